"""The check of the installed model, on a small real package."""

from pathlib import Path

import pytest

from edge.config.station import ModelSettings
from edge.doctor import model_check
from edge.doctor.check_result import Grade
from edge.doctor.model_check import bit_depth_in_force, check_model
from models.errors import GraftlineError, PackageError
from models.package import write_manifest
from models.pictures import FULL_DEPTH
from models.slot_files import SlotFolder
from tests.simulators.packages import install_package, make_package
from tests.simulators.resealed import expect_what_is_not_there, reseal


@pytest.fixture(scope="module")
def slot(tmp_path_factory: pytest.TempPathFactory) -> SlotFolder:
    folder = tmp_path_factory.mktemp("slot")
    return install_package(folder / "slot", make_package(folder / "package"))


def settings(slot: SlotFolder) -> ModelSettings:
    return ModelSettings(slot=slot.root, threads=1)


def test_installed_model_is_named_with_its_speed(slot: SlotFolder) -> None:
    result = check_model(settings(slot))
    assert result.grade is Grade.OK
    assert "bright-cells build 1" in result.what
    assert "golden frames as expected" in result.what
    assert set(result.figures) == {"load_s", "frame_ms"}


def test_at_least_one_golden_frame_is_run(
    slot: SlotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_check, "GOLDEN_LIMIT_S", 1e-9)
    assert "1 golden frames as expected" in check_model(settings(slot)).what


def test_model_that_does_not_reproduce_a_golden_frame_is_refused(
    tmp_path: Path,
) -> None:
    package = make_package(tmp_path / "package")
    changed = reseal(package, tmp_path / "changed", expect_what_is_not_there)
    slot = install_package(tmp_path / "slot", changed)
    with pytest.raises(PackageError, match="does not reproduce its golden frames"):
        check_model(settings(slot))


def test_slot_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraftlineError):
        check_model(settings(SlotFolder(tmp_path / "empty")))


def test_cameras_are_checked_with_the_bit_depth_of_the_package(
    slot: SlotFolder, tmp_path: Path
) -> None:
    assert bit_depth_in_force(settings(slot)) is None
    package = make_package(tmp_path / "package")
    info = package.manifest.input.model_copy(update={"bit_depth": 12})
    manifest = package.manifest.model_copy(update={"input": info})
    deep = install_package(tmp_path / "slot", write_manifest(package.folder, manifest))
    assert bit_depth_in_force(settings(deep)) == 12
    none = ModelSettings(slot=tmp_path / "empty")
    assert bit_depth_in_force(none) == FULL_DEPTH
