"""How a model is run where the machine is not the one of its proof."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.inspection.model import load_model, load_model_at_start
from edge.inspection.proven_mode import proven_mode
from models.errors import PackageError
from models.machine import Platform, this_platform
from models.manifest import PrecisionHint, VariantName
from models.package import Package
from models.slot_files import (
    Proof,
    ProofFile,
    RunMode,
    SlotFolder,
    read_file,
    write_file,
)
from tests.simulators.packages import install_package, make_package
from tests.simulators.resealed import answer_nan, reseal

FP32, INT8 = VariantName.OPENVINO_FP32, VariantName.OPENVINO_INT8
HERE = this_platform()
CHANGES = {
    "processor": replace(HERE, processor="another one"),
    "instruction set": replace(HERE, instruction_set=f"{HERE.instruction_set} avx9"),
    "runtime": replace(HERE, runtimes="openvino 1.0"),
}


def proof_of(slot: SlotFolder) -> Proof:
    known = read_file(slot.proof, ProofFile)
    assert known is not None
    return known.proofs[slot.package_of(slot.current)]


def prove_elsewhere(slot: SlotFolder, **changes: object) -> None:
    """Let the proof of the package in force be one of another platform."""
    known = read_file(slot.proof, ProofFile)
    assert known is not None
    proof = proof_of(slot).model_copy(update=changes)
    proofs = {**known.proofs, proof.package_sha256: proof}
    write_file(slot.proof, ProofFile(proofs=proofs))


def mode(variant: VariantName, p50_ms: float = 1) -> RunMode:
    return RunMode(
        variant=variant,
        precision_hint=PrecisionHint.F32,
        passed=True,
        latency_ms_p50=p50_ms,
        latency_ms_p99=2 * p50_ms,
    )


def package_with_broken(folder: Path, *variants: VariantName) -> Package:
    """Return a package of two variants; some give NaN here, as on a wrong processor."""
    whole = make_package(folder.with_name("whole"), variants=(INT8, FP32))

    def change(copy: Path) -> None:
        for variant in variants:
            answer_nan(copy, variant.value.partition("-")[2])

    return reseal(whole, folder, change)


def test_same_machine_runs_as_flashing_has_proved_and_runs_no_golden_frame(
    tmp_path: Path,
) -> None:
    package = package_with_broken(tmp_path / "package", INT8)
    slot = install_package(tmp_path / "slot", package, INT8)
    found = proven_mode(package, proof_of(slot), HERE, 1)
    assert (found.variant, found.fault) == (INT8, "")


@pytest.mark.fault(85)
@pytest.mark.parametrize("here", CHANGES.values(), ids=CHANGES)
def test_changed_machine_takes_a_variant_that_reproduces_its_golden_frames(
    tmp_path: Path, here: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    package = package_with_broken(tmp_path / "package", INT8)
    slot = install_package(tmp_path / "slot", package, INT8)
    found = proven_mode(package, proof_of(slot), here, 1)
    assert (found.variant, found.streams) == (FP32, 1)
    assert "the model runs as openvino-fp32 f32" in found.fault
    assert "openvino-int8 f32: " in found.fault
    assert "machine_changed" in caplog.text


@pytest.mark.fault(85)
def test_changed_machine_keeps_a_variant_that_still_passes(tmp_path: Path) -> None:
    slot = install_package(tmp_path / "slot", make_package(tmp_path / "package"))
    prove_elsewhere(slot, runtimes="openvino 1.0, onnxruntime 1.0")
    model = load_model(slot, 1)
    assert (model.in_force.variant, model.fault) == (FP32.value, "")


@pytest.mark.fault(85)
def test_fallback_is_a_fault_of_the_station(tmp_path: Path) -> None:
    package = package_with_broken(tmp_path / "package", INT8)
    slot = install_package(tmp_path / "slot", package, INT8)
    prove_elsewhere(slot, machine="another one, 4 cores")
    model = load_model(slot, 1)
    assert model.in_force.variant == FP32.value
    assert "Fix: flash the package again" in model.fault


@pytest.mark.fault(85)
def test_model_without_a_variant_that_passes_here_is_refused(tmp_path: Path) -> None:
    package = package_with_broken(tmp_path / "package", INT8, FP32)
    slot = install_package(tmp_path / "slot", package, INT8)
    prove_elsewhere(slot, instruction_set="avx9")
    with pytest.raises(PackageError, match="golden frames on this machine") as raised:
        load_model(slot, 1)
    assert "without avx9" in raised.value.why
    previous = make_package(tmp_path / "previous", build=7)
    install_package(tmp_path / "slot", previous)
    slot.previous.symlink_to(slot.store / previous.sha256)
    slot.current.unlink()
    slot.current.symlink_to(slot.store / package.sha256)
    assert load_model_at_start(slot, 1).in_force.build == 7, "the previous one runs"


def test_proof_of_an_earlier_version_is_checked_too(tmp_path: Path) -> None:
    package = package_with_broken(tmp_path / "package", INT8)
    slot = install_package(tmp_path / "slot", package, INT8)
    prove_elsewhere(slot, runtimes="", instruction_set="")
    assert load_model(slot, 1).in_force.variant == FP32.value


def test_other_number_of_cores_is_the_same_machine(tmp_path: Path) -> None:
    slot = install_package(tmp_path / "slot", make_package(tmp_path / "package"))
    prove_elsewhere(slot, machine=f"{HERE.processor}, 99 cores")
    assert proof_of(slot).differences(HERE) == ()


def test_fastest_variant_that_passed_is_tried_first(tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", variants=(INT8, FP32))
    slot = install_package(tmp_path / "slot", package, INT8)
    slow, fast = mode(INT8, 9), mode(FP32, 3)
    prove_elsewhere(slot, chosen=slow, modes=(slow, fast), runtimes="openvino 1.0")
    assert load_model(slot, 1).in_force.variant == INT8.value, "the chosen one first"
