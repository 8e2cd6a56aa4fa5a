import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.installer import open_installer
from deploy.links import locked
from deploy.results import FlashOutcome
from deploy.selftest.process import Selftest
from deploy.target import FlashTarget
from models.errors import InstallError
from models.manifest import MANIFEST_NAME, SEAL_NAME
from models.package import Package, open_package
from models.slot_states import SlotState
from tests.simulators.resealed import nothing, reseal
from tests.simulators.target import SimTarget

CRASH = (sys.executable, "-I", "-S", "-c", "import os; os.abort()")


def flash_that_crashes(line_pc: SimTarget, package: Package) -> None:
    target = FlashTarget("local:here", line_pc.slot)
    open_installer(target, lambda _: None, Selftest(CRASH)).flash(package)


def damage(package_folder: Path) -> None:
    (package_folder / "golden" / "03.png").unlink()


def damage_manifest(package_folder: Path) -> None:
    """Raise a threshold, as a flipped bit does."""
    path = package_folder / MANIFEST_NAME
    path.write_text(path.read_text().replace('"red": 0.5', '"red": 0.7'))


def test_first_flash_puts_the_package_in_force(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    report = line_pc.flash(builds[0])
    assert report.outcome is FlashOutcome.COMMITTED
    assert report.previous is None
    assert line_pc.current() == builds[0].sha256
    assert line_pc.record().state is SlotState.COMMITTED
    assert line_pc.proven() == {builds[0].sha256}


def test_second_flash_keeps_the_first_package_as_previous(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    report = line_pc.flash(builds[1])
    assert report.previous is not None
    assert report.previous.build == 1
    assert (line_pc.current(), line_pc.previous()) == (
        builds[1].sha256,
        builds[0].sha256,
    )


def test_steps_are_reported_in_order(line_pc: SimTarget, builds: list[Package]) -> None:
    steps: list[str] = []
    selftest = line_pc.installer.selftest
    target = FlashTarget("local:here", line_pc.slot)
    open_installer(target, steps.append, selftest).flash(builds[0])
    names = [line.partition(":")[0] for line in steps]
    assert names == ["store", "verified", "self-test", "in force"]


def test_same_package_again_changes_nothing(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    before = line_pc.record()
    report = line_pc.flash(builds[0])
    assert report.outcome is FlashOutcome.ALREADY_IN_FORCE
    assert line_pc.record() == before


def test_same_package_again_repairs_a_damaged_copy(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    damage(line_pc.slot.current)
    report = line_pc.flash(builds[1])
    assert report.outcome is FlashOutcome.REPAIRED
    assert line_pc.current() == builds[1].sha256
    assert line_pc.previous() == builds[0].sha256


def test_same_package_again_is_tested_again_if_its_proof_is_lost(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.slot.proof.unlink()
    assert line_pc.flash(builds[0]).outcome is FlashOutcome.REPAIRED
    assert line_pc.proven() == {builds[0].sha256}


def test_proof_of_another_machine_is_not_valid(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    text = line_pc.slot.proof.read_text()
    machine = line_pc.flash(builds[0]).proof.machine
    line_pc.slot.proof.write_text(text.replace(machine, "another machine"))
    assert line_pc.flash(builds[0]).outcome is FlashOutcome.REPAIRED


def test_older_package_is_refused_and_rollback_is_named(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[1])
    line_pc.flash(builds[2])
    with pytest.raises(InstallError, match="build 2 is older than build 3") as caught:
        line_pc.flash(builds[1])
    assert caught.value.fix == f"graftline rollback local:{line_pc.root}"
    with pytest.raises(InstallError, match="build 1 is older") as caught:
        line_pc.flash(builds[0])
    assert "Pack that run again" in caught.value.fix
    assert line_pc.current() == builds[2].sha256


def test_package_that_fails_the_self_test_leaves_the_old_one_in_force(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    with pytest.raises(InstallError, match="SIGABRT"):
        flash_that_crashes(line_pc, builds[1])
    assert line_pc.current() == builds[0].sha256
    assert line_pc.previous() == ""
    record = line_pc.record()
    assert record.state is SlotState.ROLLED_BACK
    assert record.package_sha256 == builds[1].sha256
    assert "SIGABRT" in record.reason


def test_line_pc_that_refused_one_package_accepts_the_next(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    with pytest.raises(InstallError):
        flash_that_crashes(line_pc, builds[1])
    line_pc.flash(builds[2])
    assert line_pc.current() == builds[2].sha256
    assert line_pc.previous() == builds[0].sha256


def test_damaged_package_in_force_does_not_become_the_previous_one(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    damage(line_pc.slot.current)
    line_pc.flash(builds[2])
    assert line_pc.previous() == builds[0].sha256


def test_last_three_packages_are_kept_with_their_proofs(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    for package in builds:
        line_pc.flash(package)
    newest = {package.sha256 for package in builds[1:]}
    assert line_pc.proven() == newest
    assert {path.name for path in line_pc.slot.store.iterdir()} == newest


def test_two_flashes_at_once_are_refused(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    before = line_pc.record()
    with locked(line_pc.slot), pytest.raises(InstallError, match="busy"):
        line_pc.flash(builds[1])
    with locked(line_pc.slot), pytest.raises(InstallError, match="busy"):
        line_pc.installer.rollback()
    assert line_pc.record() == before


def test_slot_that_cannot_be_written_is_an_install_error(
    tmp_path: Path, builds: list[Package]
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InstallError, match="cannot be written") as caught:
        SimTarget(tmp_path / "file").flash(builds[0])
    assert "File exists" in caught.value.why


def test_rollback_swaps_current_and_previous(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    report = line_pc.installer.rollback()
    assert (report.current.build, report.previous and report.previous.build) == (1, 2)
    assert line_pc.current() == builds[0].sha256
    assert line_pc.previous() == builds[1].sha256
    record = line_pc.record()
    assert record.state is SlotState.ROLLED_BACK
    assert record.package_sha256 == builds[1].sha256
    line_pc.installer.rollback()
    assert line_pc.current() == builds[1].sha256


def test_package_that_was_rolled_back_can_be_flashed_again(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    line_pc.installer.rollback()
    assert line_pc.flash(builds[1]).outcome is FlashOutcome.COMMITTED
    assert line_pc.previous() == builds[0].sha256


@pytest.mark.parametrize("flashes", [0, 1])
def test_rollback_without_a_previous_package_is_refused(
    flashes: int, line_pc: SimTarget, builds: list[Package]
) -> None:
    for package in builds[:flashes]:
        line_pc.flash(package)
    with pytest.raises(InstallError, match="no previous package"):
        line_pc.installer.rollback()
    assert line_pc.root.exists() == bool(flashes)


@pytest.mark.parametrize("loss", ["all of it", "one file", "one byte", "threshold"])
def test_rollback_to_a_damaged_package_is_refused(
    loss: str, line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    folder = line_pc.slot.store / builds[0].sha256
    match loss:
        case "all of it":
            shutil.rmtree(folder)
        case "one file":
            damage(folder)
        case "threshold":
            damage_manifest(folder)
        case _:
            content = (folder / "openvino" / "fp32.xml").read_bytes()
            flipped = bytes([content[0] ^ 1]) + content[1:]
            (folder / "openvino" / "fp32.xml").write_bytes(flipped)
    with pytest.raises(InstallError, match="previous package is damaged") as caught:
        line_pc.installer.rollback()
    assert "fp32.xml" in caught.value.why or loss != "one byte"
    assert line_pc.current() == builds[1].sha256


def test_rollback_to_a_package_without_proof_tests_it_first(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    line_pc.slot.proof.unlink()
    target = FlashTarget("local:here", line_pc.slot)
    with pytest.raises(InstallError, match="SIGABRT"):
        open_installer(target, lambda _: None, Selftest(CRASH)).rollback()
    assert line_pc.current() == builds[1].sha256
    line_pc.installer.rollback()
    assert builds[0].sha256 in line_pc.proven()


def test_stored_package_can_be_flashed_to_another_line_pc(
    line_pc: SimTarget, builds: list[Package], tmp_path: Path
) -> None:
    line_pc.flash(builds[0])
    other = SimTarget(tmp_path / "other")
    other.flash(open_package(line_pc.slot.current))
    assert other.current() == builds[0].sha256


def test_damaged_package_in_force_is_named_where_builds_are_compared(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[1])
    damage_manifest(line_pc.slot.current)
    steps: list[str] = []
    replace(line_pc.installer, on_step=steps.append).flash(builds[0])
    assert "warning: the package in force is damaged: builds not compared" in steps


def test_changed_threshold_of_the_stored_copy_is_repaired(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    damage_manifest(line_pc.slot.current)
    assert line_pc.flash(builds[0]).outcome is FlashOutcome.REPAIRED
    assert open_package(line_pc.slot.current).sha256 == builds[0].sha256


def test_removed_seal_of_the_stored_copy_is_repaired(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    (line_pc.slot.current / SEAL_NAME).unlink()
    assert line_pc.flash(builds[0]).outcome is FlashOutcome.REPAIRED
    assert open_package(line_pc.slot.current).sha256 == builds[0].sha256


def test_build_of_the_future_is_refused(
    line_pc: SimTarget, builds: list[Package], tmp_path: Path
) -> None:
    future = reseal(builds[0], tmp_path / "future", nothing, build=10**11)
    with pytest.raises(InstallError, match="in the future"):
        line_pc.installer.flash(future)
