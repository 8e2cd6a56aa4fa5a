"""Settings of a GigE or USB3 Vision camera as GenICam features.

The features of a camera depend on its age and maker: older ones call the exposure time
``ExposureTimeAbs`` and the gain ``GainRaw``. Aravis handles these; any other feature is
used only if the camera has it.

Source:
    GenICam Standard Features Naming Convention 2.7.
"""

import contextlib
from typing import Any

from edge.cameras.settings import Value

ON_OFF = {True: "On", False: "Off"}
AUTOMATIC = {True: "Continuous", False: "Off"}
FEATURES = {
    "pixel_format": "PixelFormat",
    "width_px": "Width",
    "height_px": "Height",
    "auto_exposure": "ExposureAuto",
    "auto_gain": "GainAuto",
    "auto_white_balance": "BalanceWhiteAuto",
    "brightness": "BlackLevel",
    "trigger_source": "TriggerSource",
    "trigger_activation": "TriggerActivation",
    "trigger_mode": "TriggerMode",
}
WHOLE_NUMBERS = {"width_px", "height_px"}


class GenicamControls:
    """The settings of an open camera.

    Args:
        camera: ``Aravis.Camera``.
        failure: The exception that it raises on a refusal.
    """

    def __init__(self, camera: Any, failure: type[Exception]) -> None:  # noqa: ANN401
        self._camera, self._failure = camera, failure

    def write(self, name: str, value: Value) -> None:
        """Write one setting; see ``ControlPort``."""
        with contextlib.suppress(self._failure):  # reading back detects a refusal
            self._write(name, value)

    def read(self, name: str) -> Value | None:
        """Return one setting; see ``ControlPort``."""
        try:
            return self._read(name)
        except self._failure:
            return None

    def _write(self, name: str, value: Value) -> None:
        camera = self._camera
        match name:
            case "fps":
                camera.set_frame_rate(value)
            case "exposure_time_us":
                camera.set_exposure_time(value)
            case "gain":
                camera.set_gain(value)
            case _ if self._has(name):
                self._write_feature(name, value)

    def _write_feature(self, name: str, value: Value) -> None:
        feature = FEATURES[name]
        if name == "trigger_mode":
            # One picture per trigger: some cameras select bursts by default.
            if self._camera.is_feature_available("TriggerSelector"):
                self._camera.set_string("TriggerSelector", "FrameStart")
            self._camera.set_string(feature, ON_OFF[bool(value)])
        elif isinstance(value, bool):
            self._camera.set_string(feature, AUTOMATIC[value])
        elif isinstance(value, str):
            self._camera.set_string(feature, value)
        elif name in WHOLE_NUMBERS:
            self._camera.set_integer(feature, round(value))
        else:
            self._camera.set_float(feature, value)

    def _read(self, name: str) -> Value | None:
        camera = self._camera
        match name:
            case "fps":
                return float(camera.get_frame_rate())
            case "exposure_time_us":
                return float(camera.get_exposure_time())
            case "gain":
                return float(camera.get_gain())
            case _:
                return self._read_feature(name) if self._has(name) else None

    def _read_feature(self, name: str) -> Value:
        feature = FEATURES[name]
        if name in WHOLE_NUMBERS:
            return int(self._camera.get_integer(feature))
        if name == "brightness":
            return float(self._camera.get_float(feature))
        text = str(self._camera.get_string(feature))
        is_switch = name == "trigger_mode" or name.startswith("auto_")
        return text != "Off" if is_switch else text

    def _has(self, name: str) -> bool:
        feature = FEATURES.get(name)
        return feature is not None and bool(self._camera.is_feature_available(feature))
