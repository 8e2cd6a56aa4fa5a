from typing import Any

from edge.cameras.controls import apply_controls
from edge.cameras.settings import ControlSettings
from edge.cameras.sources.genicam import GenicamControls


class RefusedError(Exception):
    """The exception of the library."""


class Gige:
    """``Aravis.Camera`` of an old camera without automatic exposure."""

    def __init__(self) -> None:
        self.log: list[tuple[str, Any]] = []

    def is_feature_available(self, name: str) -> bool:
        return name != "ExposureAuto"

    def set_exposure_time(self, value: float) -> None:
        raise RefusedError

    def get_exposure_time(self) -> float:
        return 10_000.0

    def set_string(self, name: str, value: str) -> None:
        self.log.append((name, value))

    def get_string(self, name: str) -> str:
        return str(dict(self.log)[name])

    def set_integer(self, name: str, value: int) -> None:
        self.log.append((name, value))

    def get_integer(self, name: str) -> int:
        return int(dict(self.log)[name])


def test_trigger_is_configured_before_it_is_switched_on() -> None:
    gige = Gige()
    controls = ControlSettings(trigger_mode=True, trigger_source="Line0", width_px=640)
    assert apply_controls(controls, GenicamControls(gige, RefusedError)) == ()
    assert gige.log == [
        ("Width", 640),
        ("TriggerSource", "Line0"),
        ("TriggerSelector", "FrameStart"),
        ("TriggerMode", "On"),
    ]


def test_refusals_are_reported_and_not_raised() -> None:
    controls = ControlSettings(auto_exposure=False, exposure_time_us=8000)
    refused = apply_controls(controls, GenicamControls(Gige(), RefusedError))
    assert refused == (
        "auto_exposure: wanted off, got nothing (the camera has no such setting)",
        "exposure_time_us: wanted 8000, got 10000",
    )
