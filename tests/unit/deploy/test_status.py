import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.installer import open_installer
from deploy.results import StatusReport
from deploy.status import read_status
from deploy.target import FlashTarget, parse_target
from models.errors import InstallError
from models.manifest import MANIFEST_NAME, SEAL_NAME
from models.package import Package
from models.slot_files import Health, ProofFile, write_file
from models.slot_states import SlotState
from tests.simulators.target import SimTarget


def status_of(line_pc: SimTarget) -> StatusReport:
    return read_status(FlashTarget(f"local:{line_pc.root}", line_pc.slot))


def test_missing_line_pc_is_an_error(line_pc: SimTarget) -> None:
    with pytest.raises(InstallError, match="there is no line PC"):
        status_of(line_pc)


def test_folder_that_cannot_be_read_is_an_install_error(tmp_path: Path) -> None:
    """As root there is no permission to miss; a name that is too long fails alike."""
    target = parse_target(f"local:{tmp_path / ('x' * 300)}")
    with pytest.raises(InstallError, match="cannot be read") as caught:
        read_status(target)
    assert caught.value.why
    assert caught.value.fix
    with pytest.raises(InstallError, match="cannot be read"):
        open_installer(target, lambda _: None).rollback()


def test_line_pc_without_a_package_is_idle(line_pc: SimTarget) -> None:
    line_pc.root.mkdir()
    status = status_of(line_pc)
    assert status.state is SlotState.IDLE
    assert (status.current, status.proof, status.faults) == (None, None, ())


def test_status_names_both_packages_and_how_the_first_runs(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    status = status_of(line_pc)
    assert status.state is SlotState.COMMITTED
    assert status.current is not None
    assert status.previous is not None
    assert (status.current.build, status.previous.build) == (2, 1)
    assert status.proof is not None
    assert status.proof.package_sha256 == builds[1].sha256
    assert not status.faults


def test_age_of_the_health_file_is_reported(line_pc: SimTarget) -> None:
    line_pc.root.mkdir()
    written_at = datetime.now(UTC) - timedelta(seconds=90)
    write_file(
        line_pc.slot.health, Health(at=written_at, boot_id="1", state="ready", fps=12)
    )
    status = status_of(line_pc)
    assert status.health is not None
    assert status.health.fps == 12
    assert status.health_age_s == pytest.approx(90, abs=5)


def test_health_file_from_the_future_has_no_negative_age(line_pc: SimTarget) -> None:
    line_pc.root.mkdir()
    written_at = datetime.now(UTC) + timedelta(hours=1)
    write_file(line_pc.slot.health, Health(at=written_at, boot_id="1", state="ready"))
    assert status_of(line_pc).health_age_s == 0


def test_damaged_package_in_force_is_a_fault(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    (line_pc.slot.current / "golden" / "00.png").unlink()
    status = status_of(line_pc)
    assert status.current is None
    assert "current" in status.faults[0]
    assert "00.png is missing" in status.faults[0]


def test_damaged_slot_files_are_faults_and_the_rest_is_reported(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.slot.state.write_bytes(b"")
    line_pc.slot.health.write_bytes(b"[]")
    status = status_of(line_pc)
    assert status.current is not None
    assert [fault.partition(":")[0] for fault in status.faults] == [
        str(line_pc.slot.state),
        str(line_pc.slot.health),
    ]


def test_proof_of_another_machine_is_a_fault(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    machine = line_pc.flash(builds[0]).proof.machine
    text = line_pc.slot.proof.read_text()
    line_pc.slot.proof.write_text(text.replace(machine, "another machine"))
    assert status_of(line_pc).faults == ("tested on another machine: another machine",)


def test_package_in_force_without_a_proof_is_a_fault(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    write_file(line_pc.slot.proof, ProofFile(proofs={}))
    (fault,) = status_of(line_pc).faults
    assert "proof.json: no proof of the package in force" in fault


def test_link_that_was_changed_by_hand_is_a_fault(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    line_pc.slot.current.unlink()
    line_pc.slot.current.symlink_to(Path("store") / builds[0].sha256)
    (fault,) = status_of(line_pc).faults
    assert f"put {builds[1].sha256[:12]} in force" in fault
    assert f"`current` names {builds[0].sha256[:12]}" in fault
    line_pc.flash(builds[0])
    assert status_of(line_pc).faults == ()


def test_stored_manifest_that_was_sealed_again_is_a_fault(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    stored = line_pc.slot.store / builds[0].sha256
    for name in (MANIFEST_NAME, SEAL_NAME):
        shutil.copyfile(builds[2].folder / name, stored / name)
    (fault,) = status_of(line_pc).faults
    assert fault.startswith("previous: ")
    assert "holds another package" in fault
