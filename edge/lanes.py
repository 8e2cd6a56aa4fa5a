"""Builds the lane of a camera from its configuration, and checks it with a model.

At the start and again whenever the configuration is loaded anew. A camera that goes on
as before keeps its process: give it to ``build_lane``, and only the rules are new.
"""

import logging
from collections.abc import Sequence

from edge.camera_config import CameraSettings
from edge.cameras.feed import CapturePlan
from edge.cameras.process import CameraProcess
from edge.cooldown import CoolDown
from edge.lane import Lane
from edge.model import LoadedModel
from edge.streak import Streak
from edge.track import Tracker
from models.errors import ConfigError

logger = logging.getLogger(__name__)


def build_lane(settings: CameraSettings, camera: CameraProcess | None = None) -> Lane:
    """Return one camera with what belongs to it.

    Args:
        settings: Of the camera.
        camera: Its process where that runs already; none = a new one, not started.
    """
    tracker = Tracker(
        settings.k,
        settings.n,
        iou_threshold=settings.track_iou_threshold,
        max_missed=settings.track_max_missed,
    )
    streak = settings.streak
    return Lane(
        camera or CameraProcess(capture_plan(settings)),
        tracker,
        tuple(region.region for region in settings.region),
        CoolDown(settings.cool_down_s),
        Streak(streak.parts, streak.alerts, streak.window_s),
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
    )


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
