from edge.cameras.controls import apply_controls
from edge.cameras.settings import ControlSettings, Value


class Port:
    """Accepts every value and records the order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.values: dict[str, Value] = {}

    def write(self, name: str, value: Value) -> None:
        self.log.append(f"write {name}")
        self.values[name] = value
        if name == "width_px":
            self.values["fps"] = 7  # a resolution resets the frame rate

    def read(self, name: str) -> Value | None:
        self.log.append(f"read {name}")
        return self.values.get(name)


def test_all_settings_are_written_before_any_is_read() -> None:
    port = Port()
    controls = ControlSettings(fps=15, width_px=640, auto_exposure=False)
    assert apply_controls(controls, port) == ()
    assert port.log == [
        "write width_px",
        "write fps",
        "write auto_exposure",
        "read width_px",
        "read fps",
        "read auto_exposure",
    ]


def test_absent_settings_are_not_written() -> None:
    port = Port()
    assert apply_controls(ControlSettings(), port) == ()
    assert port.log == []


def test_off_and_zero_are_settings() -> None:
    given = ControlSettings(auto_gain=False, gain=0).given()
    assert given == {"auto_gain": False, "gain": 0}
