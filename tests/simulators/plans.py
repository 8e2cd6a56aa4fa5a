"""Plans of a camera's process, with the defaults of the configuration."""

from typing import Any

from edge.cameras.frame_publisher import CapturePlan
from edge.cameras.source import parse_source
from edge.config.camera import CameraSettings


def plan_of(source: object, camera: str = "cam", **options: Any) -> CapturePlan:
    """Return a plan without checks of the frames.

    Args:
        source: In the grammar of the configuration.
        camera: Name of the camera.
        options: Other fields of the plan.
    """
    settings = CameraSettings(name=camera, source=str(source))
    defaults = {
        "fps": settings.fps,
        "open_timeout_ms": settings.open_timeout_ms,
        "read_timeout_ms": settings.read_timeout_ms,
        "loops": settings.loops,
        "keeps_every_frame": False,
        "controls": settings.settings,
        "health": None,
    }
    return CapturePlan(camera, parse_source(str(source)), **(defaults | options))
