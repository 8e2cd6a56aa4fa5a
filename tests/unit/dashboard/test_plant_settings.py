"""What operators may set, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from dashboard.plant_settings import PlantSettings, Shift

CAMERA = "plant/line-1/press-1/top"
EARLY = {"name": "Early", "start": "06:00", "end": "14:00"}
LATE = {"name": "Late", "start": "14:00", "end": "22:00"}
NIGHT = {"name": "Night", "start": "22:00", "end": "06:00"}


def test_defaults_are_complete() -> None:
    settings = PlantSettings()
    assert (settings.zone, settings.shifts, settings.limits) == ("UTC", (), {})
    assert settings.name_of("plant", "line-1") == "line-1"


def test_shifts_may_share_a_minute_and_pass_midnight() -> None:
    settings = PlantSettings.model_validate({"shifts": [NIGHT, LATE, EARLY]})
    assert [shift.minutes for shift in settings.shifts] == [480, 480, 480]


def test_overlap_of_shifts_is_named() -> None:
    shifts = [EARLY, {**LATE, "start": "13:59"}]
    with pytest.raises(ValidationError, match="The shifts 'Early' and 'Late' overlap"):
        PlantSettings.model_validate({"shifts": shifts})


def test_shift_of_equal_times_lasts_a_day() -> None:
    assert Shift(name="All", start="06:00", end="06:00").minutes == 1440


def test_names_are_shown_for_places() -> None:
    settings = PlantSettings(names={"plant/line-1/press-1": "Presse 1"})
    assert settings.name_of("plant", "line-1", "press-1") == "Presse 1"
    assert settings.name_of("plant", "line-1", "press-1", "top") == "top"


@pytest.mark.parametrize(
    "content",
    [
        {"zone": "Europe/Nowhere"},
        {"zone": "../../etc/passwd"},
        {"zone": ""},
        {"shifts": [EARLY, {**LATE, "start": "13:59"}]},
        {"shifts": [EARLY, {**NIGHT, "end": "06:01"}]},
        {"shifts": [EARLY, {**LATE, "name": "Early"}]},
        {"shifts": [EARLY, {"name": "All", "start": "06:00", "end": "06:00"}]},
        {"shifts": [{**EARLY, "start": "6:00"}]},
        {"shifts": [{**EARLY, "end": "24:00"}]},
        {"shifts": [{**EARLY, "name": " "}]},
        {"limits": {"press-1/top": {"defect_percent": 5}}},
        {"limits": {CAMERA: {"defect_percent": 0}}},
        {"limits": {CAMERA: {"defect_percent": 101}}},
        {"limits": {CAMERA: {"streak": 1}}},
        {"limits": {CAMERA: {"defect_percent": 2, "hysteresis": 2}}},
        {"limits": {CAMERA: {"percent": 2}}},
        {"names": {"plant": "Works"}},
        {"names": {"plant/../line": "Line"}},
        {"names": {CAMERA: "x" * 61}},
        {"names": {CAMERA: "two\nlines"}},
        {"names": {CAMERA: "\u202ereversed"}},
        {"language": "../de"},
    ],
    ids=range(22),
)
def test_settings_that_cannot_be_meant_are_refused(content: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PlantSettings.model_validate(content)
