"""Parity: the packed model detects what the trained network detected.

A float32 variant must agree within ``STRICT``, or nothing is packed. bf16 and INT8
calculate less exactly: each such run mode gets the tolerance that was measured here,
with a margin for other processors, and is left out where it exceeds ``WIDEST``.
"""

from collections.abc import Sequence

from models.detector import Detector
from models.errors import PackageError
from models.golden import WIDEST, GoldenFrame, GoldenResult, run_golden
from models.manifest import Manifest, PrecisionHint, Tolerance, VariantName
from models.preprocess import Frame

GoldenPairs = list[tuple[GoldenFrame, Frame]]

STRICT = Tolerance(score=0.05, iou=0.9)
# bf16 alone moved scores by up to 0.10 on real frames
UNMEASURED_BF16 = Tolerance(score=0.15, iou=0.8)
MARGIN = 1.5  # other processors round differently
STEPS = 4  # from a measured tolerance to the widest one


def require_parity(
    detector: Detector, pairs: GoldenPairs, manifest: Manifest, name: VariantName
) -> GoldenResult:
    """Return how a float32 variant reproduces the golden frames.

    Args:
        detector: The variant, in float32.

    Raises:
        PackageError: It does not reproduce them within ``STRICT``.
    """
    result = run_golden(detector, pairs, manifest, STRICT)
    if not result.passed:
        raise PackageError(
            f"{name}: {len(result.faults)} golden detections differ from torch.",
            why=f"Within {STRICT.score} of the score and overlap {STRICT.iou}: "
            f"{'; '.join(result.faults[:3])}.",
            fix="Report this with the versions of torch, onnx and openvino.",
        )
    return result


def measure_tolerance(
    detector: Detector, pairs: GoldenPairs, manifest: Manifest
) -> tuple[Tolerance, GoldenResult] | None:
    """Return the tolerance of a run mode that calculates less exactly.

    Returns:
        The tolerance and the result within it, or None where even ``WIDEST`` is
        exceeded.
    """
    widest = run_golden(detector, pairs, manifest, WIDEST)
    if not widest.passed:
        return None
    for tolerance in _candidates(widest):
        result = run_golden(detector, pairs, manifest, tolerance)
        if result.passed:
            return _with_margin(result, tolerance), result
    return WIDEST, widest


def _candidates(widest: GoldenResult) -> Sequence[Tolerance]:
    """Return tolerances from the one measured with ``WIDEST`` up to ``WIDEST``.

    A narrow tolerance also compares detections close to the threshold, which move
    more than those above it, so the first tolerance may be exceeded.
    """
    first = _with_margin(widest, STRICT)
    return [
        Tolerance(
            score=round(first.score + (WIDEST.score - first.score) * n / STEPS, 3),
            iou=round(first.iou + (WIDEST.iou - first.iou) * n / STEPS, 3),
        )
        for n in range(STEPS)
    ]


def _with_margin(result: GoldenResult, at_least: Tolerance) -> Tolerance:
    """Return a tolerance with room for the rounding of other processors."""
    score = max(at_least.score, MARGIN * result.worst_score_difference)
    iou = min(at_least.iou, 1 - MARGIN * (1 - result.worst_iou))
    return Tolerance(
        score=round(min(score, WIDEST.score), 3), iou=round(max(iou, WIDEST.iou), 3)
    )


def run_mode_name(name: VariantName, hint: PrecisionHint) -> str:
    """Return the name of a run mode, for example ``openvino-int8 (bf16)``."""
    return f"{name} ({hint})"
