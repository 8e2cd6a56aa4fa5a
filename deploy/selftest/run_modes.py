"""Measures every run mode of a package on this machine.

It runs in the self-test's process. A run mode is a variant with a precision hint. Run
modes that fail on a golden frame are excluded; the fastest of the others is chosen. The
speed is measured because it cannot be predicted: on some processors bf16 is faster than
INT8, others do not support it.
"""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf

import numpy as np

from deploy.results import SHOWN_FAULTS, SelftestReport
from deploy.selftest.streams import measure_streams
from models.backends import open_detector
from models.detector import Detector, detect
from models.errors import PackageError
from models.golden import GoldenFrame, read_golden, run_golden
from models.machine import machine_name, resident_bytes, this_platform
from models.manifest import LinePcBudget, PrecisionHint, Tolerance, VariantName
from models.package import Package
from models.preprocess import Frame
from models.slot_files import RunMode

logger = logging.getLogger(__name__)

WARM_UP_RUNS = 5  # the first runs are slow; those of the golden frames count
MEASURED_RUNS = 30
# Of a run mode that is never chosen: its fastest run takes so many times as long as
# half of the runs of another one, which no other work on the machine explains away.
FEWEST_RUNS, SLOWER = 10, 1.25
ATTEMPTS = 3
MEBIBYTE = 1 << 20

Pictures = list[tuple[GoldenFrame, Frame]]


def measure_run_modes(package: Package) -> SelftestReport:
    """Return accuracy and speed of every allowed run mode of a verified package.

    Raises:
        PackageError: The golden frames cannot be read, or this machine can run
            none of the allowed run modes.
    """
    pictures = read_golden(package)
    modes: tuple[RunMode, ...] = ()
    for variant, hint, tolerance in _run_modes(package):
        fastest_ms = min((m.latency_ms_p50 for m in modes if m.passed), default=inf)
        mode = _measure(package, pictures, (variant, hint, tolerance), fastest_ms)
        modes = (*modes, mode)
    if not modes:
        raise PackageError(
            f"{package.folder}: no run mode fits this machine.",
            why="The manifest allows bf16 only, and this processor has none.",
            fix="Pack the run again with an f32 run mode.",
        )
    passed = [mode for mode in modes if mode.passed]
    fastest = min(passed, key=lambda mode: mode.latency_ms_p50, default=None)
    chosen = fastest and measure_streams(package, fastest)
    modes = tuple(chosen if chosen and mode is fastest else mode for mode in modes)
    manifest, here = package.manifest, this_platform()
    return SelftestReport(
        package_sha256=package.sha256,
        name=manifest.name,
        build=manifest.build,
        at=datetime.now(UTC),
        machine=machine_name(),
        instruction_set=here.instruction_set,
        runtimes=here.runtimes,
        golden_frames=len(pictures),
        modes=modes,
        chosen=chosen,
    )


def _run_modes(
    package: Package,
) -> Iterator[tuple[VariantName, PrecisionHint, Tolerance]]:
    """Yield the run modes that the manifest allows and this processor has."""
    for name, variant in package.manifest.variants.items():
        for hint, tolerance in variant.tolerances.items():
            if hint is PrecisionHint.BF16 and not _has_bf16(variant.runtime):
                logger.info("run_mode_skipped variant=%s hint=%s", name, hint)
                continue
            yield name, hint, tolerance


def _has_bf16(runtime: str) -> bool:
    if runtime != "openvino":
        return False
    from models.openvino_detector import supports_bf16  # noqa: PLC0415 (lazy)

    return supports_bf16()


def _measure(
    package: Package,
    pictures: Pictures,
    run_mode: tuple[VariantName, PrecisionHint, Tolerance],
    fastest_ms: float,
) -> RunMode:
    """Return whether a run mode reproduces the golden frames, and its speed if so.

    Args:
        fastest_ms: p50 of the fastest run mode that has passed.
    """
    variant, hint, tolerance = run_mode
    p50, p99, runs, memory_bytes = 0.0, 0.0, 0, 0
    before_bytes = resident_bytes()
    try:
        detector = open_detector(package, variant, hint)
        result = run_golden(detector, pictures, package.manifest, tolerance)
        reason = "; ".join(result.faults[:SHOWN_FAULTS])
        if result.passed:
            p50, p99, runs = _latency_within_budget(
                detector, pictures, package, fastest_ms
            )
            memory_bytes = max(0, resident_bytes() - before_bytes)
            reason = _excess(package.manifest.budget, p99, memory_bytes)
    # A run mode that cannot be loaded or run at all does not end the others.
    # ValueError: the output has another shape than the contract's.
    except (PackageError, ValueError) as exc:
        reason = str(exc) or type(exc).__name__
    logger.info(
        "run_mode_measured variant=%s hint=%s passed=%s p50_ms=%.1f p99_ms=%.1f",
        *(variant, hint, not reason, p50, p99),
    )
    return RunMode(
        variant=variant,
        precision_hint=hint,
        passed=not reason,
        reason=reason,
        latency_ms_p50=p50,
        latency_ms_p99=p99,
        latency_runs=runs,
        memory_bytes=memory_bytes,
    )


def _excess(budget: LinePcBudget | None, p99_ms: float, memory_bytes: int) -> str:
    """Return why a run mode needs more than its package allows; empty = it does not."""
    if budget is None:
        return ""
    limit_ms, limit_bytes = budget.latency_ms_p99, budget.memory_bytes
    faults = []
    if limit_ms is not None and p99_ms > limit_ms:
        faults.append(f"p99 is {p99_ms:.1f} ms, the package allows {limit_ms:g} ms")
    if limit_bytes is not None and memory_bytes > limit_bytes:
        faults.append(
            f"it needs {memory_bytes / MEBIBYTE:.1f} MiB, the package allows "
            f"{limit_bytes / MEBIBYTE:.1f} MiB"
        )
    return "; ".join(faults)


def _latency_within_budget(
    detector: Detector, pictures: Pictures, package: Package, fastest_ms: float
) -> tuple[float, float, int]:
    """Return p50, p99 and runs; measured again if p99 is above the package's budget."""
    budget = package.manifest.budget
    limit_ms = budget.latency_ms_p99 if budget else None
    if limit_ms is not None:  # p99 of fewer runs would be lower
        fastest_ms = inf
    measured = _latency_ms(detector, pictures, package, fastest_ms)
    for _ in range(ATTEMPTS - 1):  # another process may have had the processor
        if limit_ms is None or measured[1] <= limit_ms:
            break
        again = _latency_ms(detector, pictures, package, fastest_ms)
        measured = min(measured, again, key=lambda pair: pair[1])
    return measured


def _latency_ms(
    detector: Detector, pictures: Pictures, package: Package, fastest_ms: float
) -> tuple[float, float, int]:
    """Return p50 and p99 of frame to detections, over the golden frames; and runs."""
    manifest = package.manifest
    thresholds = manifest.score_thresholds()
    spent_ms = list[float]()
    for run in range(min(0, len(pictures) - WARM_UP_RUNS), MEASURED_RUNS):
        picture = pictures[run % len(pictures)][1]
        started_ns = time.perf_counter_ns()
        detect(
            detector,
            picture,
            thresholds,
            iou_threshold=manifest.thresholds.iou_threshold,
        )
        if run >= 0:
            spent_ms.append((time.perf_counter_ns() - started_ns) / 1e6)
        if run + 1 == FEWEST_RUNS and min(spent_ms) > SLOWER * fastest_ms:
            break
    p50, p99 = np.percentile(spent_ms, (50, 99))
    return round(float(p50), 3), round(float(p99), 3), len(spent_ms)
