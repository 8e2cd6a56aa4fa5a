"""The doctor compares the rules with the installed package."""

from pathlib import Path

import pytest

from edge.config.camera import CameraSettings
from edge.doctor.check_result import Grade
from edge.doctor.rules_check import check_rules, is_degraded
from models.slot_files import SlotFolder
from tests.simulators.packages import install_package, make_package

WHOLE = [(0, 0), (1, 0), (1, 1), (0, 1)]


def camera(min_size_px: float) -> CameraSettings:
    body = {"name": "body", "polygon": WHOLE, "min_size_px": min_size_px}
    values = {"name": "top", "source": "folder:parts", "region": [body]}
    return CameraSettings.model_validate(values)


@pytest.fixture
def slot(tmp_path: Path) -> SlotFolder:
    return install_package(tmp_path / "slot", make_package(tmp_path / "package"))


def test_silent_rule_is_a_warning_that_names_it(slot: SlotFolder) -> None:
    result = check_rules(camera(500), slot, None)
    assert (result.check, result.grade) == ("rules top", Grade.WARN)
    assert result.what.startswith(
        "degraded: region body has min_size_px = 500, which hides every known bright"
    )
    assert result.fix == "Set a smaller min_size_px."
    assert is_degraded(result)


def test_size_of_the_frames_decides(slot: SlotFolder) -> None:
    assert is_degraded(check_rules(camera(60), slot, None))
    result = check_rules(camera(60), slot, (640, 640))
    assert (result.grade, is_degraded(result)) == (Grade.OK, False)


@pytest.mark.parametrize("has_slot", [True, False])
def test_model_that_cannot_be_read_is_left_to_the_check_of_the_model(
    slot: SlotFolder, has_slot: bool
) -> None:
    if has_slot:
        (slot.current / "manifest.json").write_text("{")
    else:
        slot.current.unlink()
    assert check_rules(camera(500), slot, None).grade is Grade.OK
    assert is_degraded(check_rules(camera(500), slot, (320, 320)))
