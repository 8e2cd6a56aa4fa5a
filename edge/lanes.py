"""Builds the lane of a camera from its configuration, and checks it with a model.

At the start and again whenever the configuration is loaded anew. A camera that goes on
as before keeps its process: give it to ``build_lane``, and only the rules are new.
"""

import logging
import uuid
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.camera_config import CameraSettings
from edge.camera_health import guard_plan
from edge.cameras.feed import CapturePlan
from edge.cameras.process import CameraProcess
from edge.cooldown import CoolDown
from edge.lane import Lane
from edge.model import LoadedModel
from edge.parts import GRID, Belt, PartCounter
from edge.rule_config import PartsSettings
from edge.streak import Streak
from edge.track import Tracker
from models.errors import ConfigError
from models.preprocess import Frame

logger = logging.getLogger(__name__)

RUN_CHARS = 8  # of a random name: unlikely to be drawn twice at one camera


def build_lane(settings: CameraSettings, camera: CameraProcess | None = None) -> Lane:
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
    return Lane(
        camera or CameraProcess(capture_plan(settings)),
        tracker,
        tuple(region.region for region in settings.region),
        CoolDown(settings.cool_down_s),
        Streak(streak.parts, streak.alerts, streak.window_s),
        _part_counter(parts, frames_min=settings.k) if parts else None,
    )


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
        controls=settings.settings.controls,
        health=guard_plan(settings.health, settings.name),
    )


def _part_counter(settings: PartsSettings, *, frames_min: int) -> PartCounter:
    """Return what counts the parts of a camera."""
    belt = Belt(_picture(settings.empty), settings.window, settings.difference)
    return PartCounter(
        belt,
        uuid.uuid4().hex[:RUN_CHARS],
        enter_share=settings.enter_share,
        leave_share=settings.leave_share,
        frames_min=frames_min,
    )


def _picture(path: Path) -> Frame:
    """Return the picture in a file, ``[H, W, 3]`` uint8 BGR."""
    why = "It is no picture that can be read."
    try:
        coded = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(coded, cv2.IMREAD_COLOR) if len(coded) else None
    except (OSError, cv2.error) as exc:
        picture, why = None, str(exc)
    if picture is None or min(picture.shape[:2]) < GRID:
        raise ConfigError(
            f"camera.parts.empty = {path}: cannot be used.",
            why=why if picture is None else f"It has less than {GRID} x {GRID} px.",
            fix="Give a picture of the empty belt that this camera took.",
        )
    return np.asarray(picture, np.uint8)


def check_labels(lanes: Sequence[Lane], model: LoadedModel) -> None:
    """Refuse rules for labels that the model does not have.

    Args:
        lanes: All cameras.
        model: The model that is to run.

    Raises:
        ConfigError: There are such rules; all are told together.
    """
    faults = [fault for lane in lanes for fault in lane.label_faults(model.labels)]
    if not faults:
        return
    known, name = ", ".join(model.labels), model.in_force.name
    raise ConfigError(
        f"{'; '.join(faults)}.",
        why=f"Model {name} build {model.in_force.build} knows {known}.",
        fix="Give a label of the model, or take the threshold out.",
    )
