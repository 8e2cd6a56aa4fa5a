"""The cameras in force, built from their configuration, and swapped by a reload.

A camera that did not change keeps everything: process, rules' state, counters. One
whose rules changed keeps its process. One whose source changed gets a new process; the
old one is killed, and its exit is awaited later, so that no other camera waits for it.
"""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from edge.cameras.frame_publisher import CapturePlan
from edge.cameras.inspected_pictures import InspectedPictures
from edge.cameras.source import SourceKind
from edge.cameras.supervisor import CameraProcess
from edge.config.camera import CameraSettings, TriggerMode, load_baseline
from edge.config.rules import PartsSettings
from edge.inspection.camera_channel import CameraChannel
from edge.inspection.model import LoadedModel
from edge.inspection.rule_comparison import RuleComparison
from edge.rules.alert_suppression import AlertSuppression
from edge.rules.defect_rate import DefectRateAlarm
from edge.rules.part_counter import GRID, Belt, PartCounter
from edge.rules.regions import RegionKind, unknown_labels
from edge.rules.tracker import Tracker
from edge.rules.triggers import CommandTriggers, HardwareTriggers
from models.errors import ConfigError
from models.pictures import PictureError, read_picture
from models.preprocess import Frame

logger = logging.getLogger(__name__)

RUN_CHARS = 8  # hex digits of a random name: 32 bits, unlikely to repeat at one camera


class CameraSet:
    """All cameras of a daemon. Used by one thread.

    Args:
        pictures: Which pictures of folders were inspected; folders are watched. None =
            each folder is read once, whatever was inspected before.

    Attributes:
        channels: The cameras in force; replaced as a whole.

    Raises:
        ConfigError: The picture of an empty belt cannot be used.
    """

    def __init__(
        self,
        settings: Sequence[CameraSettings],
        pictures: InspectedPictures | None = None,
    ) -> None:
        self._pictures = pictures
        self.channels = tuple(
            build_channel(camera, pictures=pictures) for camera in settings
        )
        self._settings = {camera.name: camera for camera in settings}
        self._ending: list[CameraProcess] = []
        self._bit_depth: int | None = None

    @property
    def cameras(self) -> list[CameraProcess]:
        """The processes of the cameras in force."""
        return [channel.camera for channel in self.channels]

    def enable(self) -> None:
        """Let the cameras deliver frames."""
        for camera in self.cameras:
            camera.enable()

    def set_bit_depth(self, bit_depth: int | None) -> None:
        """Let every camera read deep pictures as the model in force expects them."""
        self._bit_depth = bit_depth
        for camera in self.cameras:
            camera.set_bit_depth(bit_depth)

    def supervise(self, now_ns: int) -> None:
        """Start, check and restart every camera; await those that a reload removed."""
        for camera in (*self.cameras, *self._ending):
            camera.supervise(now_ns)
        self._ending = [camera for camera in self._ending if not camera.is_terminated]

    def stop(self) -> None:
        """Stop every camera's process and wait until it has ended."""
        for camera in (*self.cameras, *self._ending):
            camera.stop()

    def trigger_timeout_ms(self, name: str) -> int:
        """Return how long a command may wait for a frame of a camera in force."""
        return self._settings[name].trigger_timeout_ms

    def note_inspected(self, name: str, picture: str) -> None:
        """Note that the verdict of a picture in a folder is committed; any thread."""
        if self._pictures is not None:
            self._pictures.add(name, picture)

    def swap(
        self,
        settings: Sequence[CameraSettings],
        opened: Mapping[str, CameraProcess] | None = None,
    ) -> list[CameraChannel]:
        """Put other settings in force.

        Args:
            opened: Processes of new sources that run already, by name of the camera.

        Returns:
            Channels that are no longer in force: no frame will come for the parts that
            still wait in them.
        """
        old = {channel.camera.name: channel for channel in self.channels}
        self.channels = tuple(
            rebuild_channel(
                old.get(each.name),
                self._settings.get(each.name),
                each,
                self._pictures,
                (opened or {}).get(each.name),
            )
            for each in settings
        )
        self._settings = {camera.name: camera for camera in settings}
        kept = set(map(id, self.cameras))
        for channel in old.values():
            if id(channel.camera) not in kept:
                channel.camera.terminate()
                self._ending.append(channel.camera)
        self.set_bit_depth(self._bit_depth)
        self.enable()
        in_force = set(map(id, self.channels))
        return [channel for channel in old.values() if id(channel) not in in_force]


def capture_plan(settings: CameraSettings) -> CapturePlan:
    """Return what a camera's process does; the same plan needs no new process."""
    return CapturePlan(
        camera=settings.name,
        source=settings.source,
        fps=settings.fps,
        open_timeout_ms=settings.open_timeout_ms,
        read_timeout_ms=settings.read_timeout_ms,
        is_verbose=logger.isEnabledFor(logging.DEBUG),
        loops=settings.loops,
        rtsp_transport=settings.rtsp_transport,
        health=settings.health if settings.health.enabled else None,
        baseline=load_baseline(settings.health, settings.name),
        controls=settings.settings,
        keeps_every_frame=settings.trigger is TriggerMode.HARDWARE,
    )


def build_channel(
    settings: CameraSettings,
    camera: CameraProcess | None = None,
    pictures: InspectedPictures | None = None,
) -> CameraChannel:
    """Return one camera with its rules.

    Args:
        camera: Its process if it exists already; None = a new one, not started.
        pictures: For a new process of a folder: it is watched; None = it is read once.

    Raises:
        ConfigError: The picture of the empty belt cannot be used.
    """
    tracker = Tracker(
        settings.k,
        settings.n,
        iou_threshold=settings.track_iou_threshold,
        max_missed=settings.track_max_missed,
    )
    command_triggers: CommandTriggers | None = None
    hardware_triggers: HardwareTriggers | None = None
    match settings.trigger:
        case TriggerMode.FREE:
            pass
        case TriggerMode.COMMAND:
            command_triggers = CommandTriggers()
        case TriggerMode.HARDWARE:
            hardware_triggers = HardwareTriggers(f"{settings.name}-{_random_name()}")
        case _:
            assert_never(settings.trigger)
    streak, parts, rules = settings.streak, settings.parts, settings.rules
    counter = _part_counter(parts, frames_min=settings.k) if parts else None
    if counter is not None:
        rules = replace(rules, can_count=counter.can_count)
    has_regions = any(r.kind is RegionKind.INSPECT for r in rules.regions)
    if camera is None:
        watches = settings.source.kind is SourceKind.FOLDER and pictures is not None
        plan = replace(capture_plan(settings), watches=watches)
        camera = CameraProcess(plan, pictures=pictures)
    return CameraChannel(
        camera,
        tracker,
        tuple(region.region for region in settings.region),
        AlertSuppression(settings.cool_down_s),
        DefectRateAlarm(
            parts=streak.parts, alerts=streak.alerts, window_s=streak.window_s
        ),
        counter,
        command_triggers=command_triggers,
        hardware_triggers=hardware_triggers,
        motion_tracker=_motion_tracker(settings) if has_regions else None,
        comparison=RuleComparison(rules),
    )


def rebuild_channel(
    old: CameraChannel | None,
    before: CameraSettings | None,
    after: CameraSettings,
    pictures: InspectedPictures | None = None,
    opened: CameraProcess | None = None,
) -> CameraChannel:
    """Return a camera's channel after a reload: the old one if nothing changed.

    Args:
        old: Its channel, if there was a camera of this name. State that still holds
            is moved from it to the new one.
        opened: Its process, if it has a new source and runs already.

    Raises:
        ConfigError: The picture of the empty belt cannot be used.
    """
    if old is None or before is None:
        return build_channel(after, opened, pictures)
    if before == after:
        return old
    keeps_process = capture_plan(before) == capture_plan(after)
    new = build_channel(after, old.camera if keeps_process else opened, pictures)
    new.take_over(old, has_same_parts=before.parts == after.parts)
    return new


def _motion_tracker(settings: CameraSettings) -> Tracker:
    """Return a tracker of which only the common motion is used."""
    return Tracker(
        *(1, 1),
        iou_threshold=settings.track_iou_threshold,
        max_missed=settings.track_max_missed,
    )


def _part_counter(settings: PartsSettings, *, frames_min: int) -> PartCounter:
    belt = Belt(_read_picture(settings.empty), settings.window, settings.difference)
    return PartCounter(
        belt,
        _random_name(),
        enter_share=settings.enter_share,
        leave_share=settings.leave_share,
        frames_min=frames_min,
    )


def _read_picture(path: Path) -> Frame:
    """Return the picture in a file, ``[H, W, 3]`` uint8 BGR."""
    try:
        picture = read_picture(path)
        if min(picture.shape[:2]) >= GRID:
            return picture
        why = f"It has less than {GRID} x {GRID} px."
    except OSError as exc:
        why = f"It cannot be read: {exc.strerror}."
    except PictureError as exc:
        why = f"Not a picture that can be read: {exc}."
    raise ConfigError(
        f"camera.parts.empty = {path}: cannot be used.",
        why=why,
        fix="Give a picture of the empty belt that this camera took.",
    )


def _random_name() -> str:
    return uuid.uuid4().hex[:RUN_CHARS]


def check_labels(cameras: Sequence[CameraSettings], model: LoadedModel) -> None:
    """Refuse thresholds for labels that the model does not have.

    Raises:
        ConfigError: There are such thresholds; all are reported together.
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
