"""The cameras in force, and how a reload swaps those that changed.

A camera that did not change keeps everything: its process, its memory, its figures. One
whose rules changed keeps its process. One whose source changed gets a new process; the
old one is killed and taken leave of later, so that no other camera waits for it.
"""

import logging
import uuid
from collections.abc import Sequence
from typing import assert_never

from edge.camera_config import CameraSettings, TriggerMode
from edge.cameras.feed import CapturePlan
from edge.cameras.process import CameraProcess
from edge.lane import Lane
from edge.track import Tracker
from edge.triggers import CommandTriggers, EveryFrame

logger = logging.getLogger(__name__)


class Lanes:
    """All cameras of a daemon. Used by one thread.

    Args:
        settings: Of the cameras.

    Attributes:
        in_force: The lanes; replaced as a whole.
    """

    def __init__(self, settings: Sequence[CameraSettings]) -> None:
        self.in_force = tuple(build_lane(camera) for camera in settings)
        self._settings = {camera.name: camera for camera in settings}
        self._leaving: list[CameraProcess] = []

    @property
    def cameras(self) -> list[CameraProcess]:
        """The cameras in force."""
        return [lane.camera for lane in self.in_force]

    def admit_frames(self) -> None:
        """Let frames come: whoever inspects them is ready."""
        for camera in self.cameras:
            camera.admit_frames()

    def supervise(self, now_ns: int) -> None:
        """Watch every camera, and take leave of those that a reload removed.

        Args:
            now_ns: Monotonic clock.
        """
        for camera in (*self.cameras, *self._leaving):
            camera.supervise(now_ns)
        self._leaving = [camera for camera in self._leaving if not camera.is_gone]

    def stop(self) -> None:
        """End every camera's process."""
        for camera in (*self.cameras, *self._leaving):
            camera.stop()

    def trigger_timeout_ms(self, name: str) -> int:
        """Return how long a command may wait for its frame.

        Args:
            name: Of a camera in force.
        """
        return self._settings[name].trigger_timeout_ms

    def swap(self, settings: Sequence[CameraSettings]) -> list[Lane]:
        """Put other settings in force.

        Args:
            settings: Of all cameras.

        Returns:
            Lanes that are no more and whose commands nobody will answer now.
        """
        old = {lane.camera.name: lane for lane in self.in_force}
        self.in_force = tuple(
            rebuild_lane(old.get(each.name), self._settings.get(each.name), each)
            for each in settings
        )
        self._settings = {camera.name: camera for camera in settings}
        kept = set(map(id, self.cameras))
        for lane in old.values():
            if id(lane.camera) not in kept:
                lane.camera.end()
                self._leaving.append(lane.camera)
        self.admit_frames()
        waiting = {id(lane.triggers) for lane in self.in_force}
        return [lane for lane in old.values() if id(lane.triggers) not in waiting]


def plan_of(settings: CameraSettings) -> CapturePlan:
    """Return what the process of a camera has to do.

    Args:
        settings: Of the camera.
    """
    return CapturePlan(
        camera=settings.name,
        source=settings.parsed_source,
        fps=settings.fps,
        open_timeout_ms=settings.open_timeout_ms,
        read_timeout_ms=settings.read_timeout_ms,
        is_verbose=logger.isEnabledFor(logging.DEBUG),
        keeps_every_frame=settings.trigger is TriggerMode.HARDWARE,
    )


def build_lane(settings: CameraSettings, camera: CameraProcess | None = None) -> Lane:
    """Return one camera with what belongs to it.

    Args:
        settings: Of the camera.
        camera: Its process, if it has one already.
    """
    tracker = Tracker(
        settings.k,
        settings.n,
        iou_threshold=settings.track_iou_threshold,
        max_missed=settings.track_max_missed,
    )
    lane = Lane(camera or CameraProcess(plan_of(settings)), tracker)
    match settings.trigger:
        case TriggerMode.FREE:
            pass
        case TriggerMode.COMMAND:
            lane.triggers = CommandTriggers()
        case TriggerMode.HARDWARE:
            lane.every_frame = EveryFrame(f"{settings.name}-{uuid.uuid4().hex[:8]}")
        case _:
            assert_never(settings.trigger)
    return lane


def rebuild_lane(
    lane: Lane | None, before: CameraSettings | None, fresh: CameraSettings
) -> Lane:
    """Return a camera's lane after a reload: the old one as far as it fits.

    Args:
        lane: The old one, if there was a camera of this name.
        before: Its settings.
        fresh: The settings from now on.
    """
    if lane is None or before is None:
        return build_lane(fresh)
    if before == fresh:
        return lane
    keeps_process = plan_of(before) == plan_of(fresh)
    new = build_lane(fresh, lane.camera if keeps_process else None)
    new.counters = lane.counters
    if keeps_process and new.triggers is not None and lane.triggers is not None:
        new.triggers = lane.triggers  # commands that wait are for this very camera
    if keeps_process and new.every_frame is not None:
        new.every_frame = lane.every_frame
    return new
