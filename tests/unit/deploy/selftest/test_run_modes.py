import shutil
from pathlib import Path

import numpy as np
import pytest

from deploy.selftest.run_modes import measure_run_modes
from models.errors import InstallError, PackageError
from models.manifest import LinePcBudget, PrecisionHint, VariantName
from models.openvino_detector import supports_bf16
from models.package import Package
from tests.simulators import resealed
from tests.simulators.packages import make_package
from tests.simulators.resealed import reseal


def only_f32(package: Package) -> dict[str, object]:
    """Return the manifest's variants with the one hint that is everywhere."""
    variants = package.manifest.variants
    return {
        "variants": {
            name: variant.model_copy(
                update={
                    "tolerances": {
                        PrecisionHint.F32: variant.tolerances[PrecisionHint.F32]
                    }
                }
            )
            for name, variant in variants.items()
        }
    }


def test_every_run_mode_of_this_machine_is_measured(tmp_path: Path) -> None:
    variants = (VariantName.OPENVINO_FP32, VariantName.OPENVINO_INT8)
    report = measure_run_modes(make_package(tmp_path / "package", variants=variants))
    hints = (PrecisionHint.F32, PrecisionHint.BF16)[: 1 + supports_bf16()]
    assert [(mode.variant, mode.precision_hint) for mode in report.modes] == [
        (variant, hint) for variant in variants for hint in hints
    ]
    assert all(mode.passed for mode in report.modes)
    assert all(0 < mode.latency_ms_p50 <= mode.latency_ms_p99 for mode in report.modes)
    assert all(mode.latency_runs in {10, 30} for mode in report.modes)
    assert report.chosen is not None
    assert report.chosen.latency_runs == 30


def test_fastest_run_mode_that_passed_is_chosen(builds: list[Package]) -> None:
    report = measure_run_modes(builds[0])
    assert report.chosen is not None
    fastest = min(mode.latency_ms_p50 for mode in report.modes if mode.passed)
    assert report.chosen.latency_ms_p50 == fastest
    assert report.chosen in report.modes
    proof = report.proof()
    assert proof.golden_frames == 16
    assert proof.package_sha256 == builds[0].sha256


def with_slow_int8(folder: Path) -> Package:
    """Return a package whose INT8 variant detects the same, and is far slower."""
    variants = (VariantName.OPENVINO_FP32, VariantName.OPENVINO_INT8)
    package = make_package(folder / "fast", variants=variants)
    slow = make_package(folder / "slow", turns=20, variants=variants)

    def replace_graph(copy: Path) -> None:
        for name in ("int8.xml", "int8.bin"):
            shutil.copyfile(slow.folder / "openvino" / name, copy / "openvino" / name)

    return reseal(package, folder / "package", replace_graph, **only_f32(package))


def test_slower_run_mode_passes_the_golden_frames_and_is_measured_shorter(
    tmp_path: Path,
) -> None:
    fast, slow = measure_run_modes(with_slow_int8(tmp_path)).modes
    assert fast.passed
    assert slow.passed
    assert (fast.latency_runs, slow.latency_runs) == (30, 10)
    assert slow.latency_ms_p50 > fast.latency_ms_p50


def test_run_mode_with_a_budget_is_measured_in_full(tmp_path: Path) -> None:
    package = with_slow_int8(tmp_path)
    wide = LinePcBudget(latency_ms_p99=1e6)
    limited = reseal(package, tmp_path / "limited", resealed.nothing, budget=wide)
    modes = measure_run_modes(limited).modes
    assert [mode.latency_runs for mode in modes] == [30, 30]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (resealed.expect_what_is_not_there, "15.png: expected label"),
        (resealed.answer_nan, "NaN or infinite"),
        (resealed.answer_another_shape, r"expected [6, A], got (7, 100)"),
    ],
)
def test_model_with_wrong_output_is_refused_with_the_first_fault(
    change: object, reason: str, builds: list[Package], tmp_path: Path
) -> None:
    wrong = reseal(builds[0], tmp_path / "wrong", change)  # type: ignore[arg-type]
    report = measure_run_modes(wrong)
    assert report.chosen is None
    assert all(mode.latency_ms_p50 == 0 for mode in report.modes)
    with pytest.raises(InstallError, match="failed in every run mode") as caught:
        report.proof()
    assert reason in caught.value.why


def test_run_mode_that_cannot_be_loaded_does_not_end_the_others(tmp_path: Path) -> None:
    variants = (VariantName.OPENVINO_FP32, VariantName.OPENVINO_INT8)
    package = make_package(tmp_path / "package", variants=variants)

    def cut(folder: Path) -> None:
        (folder / "openvino" / "fp32.xml").write_bytes(b"<net")

    report = measure_run_modes(reseal(package, tmp_path / "cut", cut))
    assert report.chosen is not None
    assert report.chosen.variant is VariantName.OPENVINO_INT8
    failed = [mode for mode in report.modes if not mode.passed]
    assert {mode.variant for mode in failed} == {VariantName.OPENVINO_FP32}
    assert "cannot load" in failed[0].reason


def test_run_mode_that_the_manifest_does_not_allow_is_not_tried(
    builds: list[Package], tmp_path: Path
) -> None:
    package = reseal(builds[0], tmp_path / "p", resealed.nothing, **only_f32(builds[0]))
    assert [m.precision_hint for m in measure_run_modes(package).modes] == [
        PrecisionHint.F32
    ]


def test_golden_frame_that_is_not_a_picture_is_a_package_error(
    builds: list[Package], tmp_path: Path
) -> None:
    def blot(folder: Path) -> None:
        (folder / "golden" / "00.png").write_bytes(np.zeros(64, np.uint8).tobytes())

    with pytest.raises(PackageError, match="golden frame cannot be read"):
        measure_run_modes(reseal(builds[0], tmp_path / "blot", blot))


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({"latency_ms_p99": 1e-6}, "ms, the package allows 1e-06 ms"),
        ({"memory_bytes": 1}, "MiB, the package allows 0.0 MiB"),
    ],
)
def test_run_mode_beyond_the_budget_of_its_package_is_refused(
    budget: dict[str, float], reason: str, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "package", turns=1)  # 16 MiB of weights
    limited = reseal(
        package,
        tmp_path / "limited",
        resealed.nothing,
        budget=LinePcBudget.model_validate(budget),
    )
    report = measure_run_modes(limited)
    assert report.chosen is None
    assert all(reason in mode.reason for mode in report.modes)
    assert all(mode.latency_ms_p99 > 0 for mode in report.modes)


def test_run_mode_within_the_budget_is_measured(tmp_path: Path) -> None:
    package = make_package(tmp_path / "package", turns=1)
    wide = LinePcBudget(latency_ms_p99=1e6, memory_bytes=1 << 40)
    limited = reseal(package, tmp_path / "limited", resealed.nothing, budget=wide)
    report = measure_run_modes(limited)
    assert report.chosen is not None
    assert report.modes[0].memory_bytes > 1 << 20
