"""The cameras in force, built from their configuration, and swapped by a reload.

A camera that did not change keeps everything: its process, its memory, its figures. One
whose rules changed keeps its process. One whose source changed gets a new process; the
old one is killed and taken leave of later, so that no other camera waits for it.
"""

import logging
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from edge.cameras.frame_publisher import CapturePlan
from edge.cameras.supervisor import CameraProcess
from edge.config.camera import CameraSettings, TriggerMode, load_baseline
from edge.config.rules import PartsSettings
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.model import LoadedModel
from edge.rules.alert_suppression import AlertSuppression
from edge.rules.defect_rate import DefectRateAlarm
from edge.rules.part_counter import GRID, Belt, PartCounter
from edge.rules.regions import unknown_labels
from edge.rules.tracker import Tracker
from edge.rules.triggers import CommandTriggers, EveryFrame
from models.errors import ConfigError
from models.pictures import DamagedPictureError, read_picture
from models.preprocess import Frame

logger = logging.getLogger(__name__)

RUN_CHARS = 8  # of a random name: unlikely to be drawn twice at one camera


class CameraSet:
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
            camera.enable()

    def supervise(self, now_ns: int) -> None:
        """Watch every camera, and take leave of those that a reload removed.

        Args:
            now_ns: Monotonic clock.
        """
        for camera in (*self.cameras, *self._leaving):
            camera.supervise(now_ns)
        self._leaving = [camera for camera in self._leaving if not camera.is_terminated]

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

    def swap(self, settings: Sequence[CameraSettings]) -> list[CameraChannel]:
        """Put other settings in force.

        Args:
            settings: Of all cameras.

        Returns:
            Lanes that are no more; of the parts that they know, nobody will see any.
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
                lane.camera.terminate()
                self._leaving.append(lane.camera)
        self.admit_frames()
        stays = set(map(id, self.in_force))
        return [lane for lane in old.values() if id(lane) not in stays]


def capture_plan(settings: CameraSettings) -> CapturePlan:
    """Return what a camera's process is told; the same plan needs no new process.

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
        loops=settings.loops,
        health=settings.health if settings.health.enabled else None,
        baseline=load_baseline(settings.health, settings.name),
        controls=settings.settings,
        keeps_every_frame=settings.trigger is TriggerMode.HARDWARE,
    )


def build_lane(
    settings: CameraSettings, camera: CameraProcess | None = None
) -> CameraChannel:
    """Return one camera with what belongs to it.

    Args:
        settings: Of the camera.
        camera: Its process where that runs already; none = a new one, not started.

    Raises:
        ConfigError: The picture of the empty belt cannot be used.
    """
    tracker = Tracker(
        settings.k,
        settings.n,
        iou_threshold=settings.track_iou_threshold,
        max_missed=settings.track_max_missed,
    )
    streak, parts = settings.streak, settings.parts
    lane = CameraChannel(
        camera or CameraProcess(capture_plan(settings)),
        tracker,
        tuple(region.region for region in settings.region),
        AlertSuppression(settings.cool_down_s),
        DefectRateAlarm(streak.parts, streak.alerts, streak.window_s),
        _part_counter(parts, frames_min=settings.k) if parts else None,
    )
    match settings.trigger:
        case TriggerMode.FREE:
            pass
        case TriggerMode.COMMAND:
            lane.triggers = CommandTriggers()
        case TriggerMode.HARDWARE:
            lane.every_frame = EveryFrame(f"{settings.name}-{_random_name()}")
        case _:
            assert_never(settings.trigger)
    return lane


def rebuild_lane(
    lane: CameraChannel | None, before: CameraSettings | None, fresh: CameraSettings
) -> CameraChannel:
    """Return a camera's lane after a reload: the old one as far as it fits.

    Args:
        lane: The old one, if there was a camera of this name. What the new one goes
            on with is taken out of it.
        before: Its settings.
        fresh: The settings from now on.

    Raises:
        ConfigError: The picture of the empty belt cannot be used.
    """
    if lane is None or before is None:
        return build_lane(fresh)
    if before == fresh:
        return lane
    if capture_plan(before) != capture_plan(fresh):
        new = build_lane(fresh)
    else:
        new = build_lane(fresh, lane.camera)
        if new.triggers is not None and lane.triggers is not None:
            # commands that wait are for this very camera
            new.triggers, lane.triggers = lane.triggers, None
        if new.parts is not None and before.parts == fresh.parts:
            new.parts, lane.parts = lane.parts, None  # the part in view goes on
        if new.every_frame is not None:
            new.every_frame = lane.every_frame
    new.counters = lane.counters
    return new


def _part_counter(settings: PartsSettings, *, frames_min: int) -> PartCounter:
    """Return what counts the parts of a camera."""
    belt = Belt(_picture(settings.empty), settings.window, settings.difference)
    return PartCounter(
        belt,
        _random_name(),
        enter_share=settings.enter_share,
        leave_share=settings.leave_share,
        frames_min=frames_min,
    )


def _picture(path: Path) -> Frame:
    """Return the picture in a file, ``[H, W, 3]`` uint8 BGR."""
    try:
        picture = read_picture(path)
        if min(picture.shape[:2]) >= GRID:
            return picture
        why = f"It has less than {GRID} x {GRID} px."
    except OSError as exc:
        why = f"It cannot be read: {exc.strerror}."
    except DamagedPictureError as exc:
        why = f"Not a picture that can be read: {exc}."
    raise ConfigError(
        f"camera.parts.empty = {path}: cannot be used.",
        why=why,
        fix="Give a picture of the empty belt that this camera took.",
    )


def _random_name() -> str:
    """Return a short name that no earlier run has used."""
    return uuid.uuid4().hex[:RUN_CHARS]


def check_labels(cameras: Sequence[CameraSettings], model: LoadedModel) -> None:
    """Refuse rules for labels that the model does not have.

    Args:
        cameras: Settings of all cameras.
        model: The model that is to run.

    Raises:
        ConfigError: There are such rules; all are told together.
    """
    faults = [
        f"camera {camera.name}: {phrase}, unknown to the model"
        for camera in cameras
        for phrase in unknown_labels([r.region for r in camera.region], model.labels)
    ]
    if not faults:
        return
    known, name = ", ".join(model.labels), model.in_force.name
    raise ConfigError(
        f"{'; '.join(faults)}.",
        why=f"Model {name} build {model.in_force.build} knows {known}.",
        fix="Give a label of the model, or take the threshold out.",
    )
