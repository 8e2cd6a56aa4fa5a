"""Golden frames: the detections that a model must reproduce on every machine.

The package holds some frames as lossless PNG and the detections that the trained
network returned for them. A run passes if every expected detection well above its
threshold is found again (overlap and score within the tolerance), and no other
detection is well above the threshold. "Well above" means by more than the tolerance of
the score.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.boxes import FloatArray, iou
from models.detections import Detections
from models.detector import Detector, detect
from models.errors import PackageError
from models.manifest import Manifest, RelativePath, Tolerance
from models.package import Package
from models.pictures import DamagedPictureError, read_picture
from models.preprocess import Frame

KEPT_BELOW_THRESHOLD = 0.25  # a match may have a lower score than the threshold
MIN_KEPT_SCORE = 0.01


class GoldenDetection(BaseModel):
    """One expected detection."""

    model_config = ConfigDict(frozen=True)

    label: int = Field(ge=0)
    score: float = Field(ge=0, le=1)
    box: tuple[float, float, float, float] = Field(description="xyxy, frame pixels.")


class GoldenFrame(BaseModel):
    """One frame and all that is expected on it."""

    model_config = ConfigDict(frozen=True)

    file: RelativePath = Field(description="PNG, relative to expected.json.")
    good: bool = Field(description="Whether the photo shows a good part.")
    detections: tuple[GoldenDetection, ...]


class GoldenSet(BaseModel):
    """``golden/expected.json``."""

    model_config = ConfigDict(frozen=True)

    frames: tuple[GoldenFrame, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """A comparison of detections with the expected ones.

    Attributes:
        frames: Number of frames compared.
        matched: Expected detections well above the threshold that were found.
        faults: One sentence for each that was not found, or was not expected.
        worst_score_difference: Largest difference of a matched score.
        worst_iou: Smallest overlap of a matched pair; 1 where nothing matched.
    """

    frames: int
    matched: int
    faults: tuple[str, ...]
    worst_score_difference: float
    worst_iou: float

    @property
    def passed(self) -> bool:
        """Whether there are no faults."""
        return not self.faults


def kept_thresholds(thresholds: FloatArray) -> FloatArray:
    """Return the scores down to which expected detections are recorded.

    Args:
        thresholds: ``[C]`` float32, the package's thresholds.

    Returns:
        ``[C]`` float32, lower ones.
    """
    lower: FloatArray = thresholds - np.float32(KEPT_BELOW_THRESHOLD)
    return lower.clip(min=MIN_KEPT_SCORE)


def golden_detections(detections: Detections) -> tuple[GoldenDetection, ...]:
    """Return detections, in pixels of the frame, in the form of the golden file."""
    rows = zip(detections.boxes, detections.scores, detections.labels, strict=True)
    return tuple(
        GoldenDetection(
            label=int(label),
            score=float(score),
            box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        )
        for box, score, label in rows
    )


def _expected(frame: GoldenFrame) -> Detections:
    """Return the expected detections as arrays."""
    rows = frame.detections
    return Detections(
        np.array([row.box for row in rows], np.float32).reshape(-1, 4),
        np.array([row.score for row in rows], np.float32),
        np.array([row.label for row in rows], np.int64),
    )


def read_golden(package: Package) -> list[tuple[GoldenFrame, Frame]]:
    """Return the golden frames of a verified package, each with its picture.

    Returns:
        Pairs of expected detections and ``[H, W, 3]`` uint8 BGR.

    Raises:
        PackageError: The set or one of its pictures cannot be read, or does not
            fit the package.
    """
    path = package.folder / package.manifest.golden
    try:
        golden = GoldenSet.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise PackageError(
            f"{path}: not a golden set.", why=str(exc), fix="Pack the run again."
        ) from exc
    _check_golden(golden, package.manifest)
    pairs = []
    for frame in golden.frames:
        try:
            picture = read_picture(path.parent / frame.file)
        except (OSError, DamagedPictureError) as exc:
            raise PackageError(
                f"{frame.file}: golden frame cannot be read.",
                why="It is missing or not a PNG.",
                fix="Pack the run again.",
            ) from exc
        pairs.append((frame, picture))
    return pairs


def _check_golden(golden: GoldenSet, manifest: Manifest) -> None:
    folder = PurePosixPath(manifest.golden).parent
    for frame in golden.frames:
        if str(folder / frame.file) not in manifest.files:
            raise PackageError(
                f"{frame.file}: golden frame is not among the package's files.",
                why="Only files with a hash in the manifest are trusted.",
                fix="Pack the run again.",
            )
        for expected in frame.detections:
            if expected.label >= len(manifest.labels):
                raise PackageError(
                    f"{frame.file}: golden frame expects label {expected.label}.",
                    why=f"The package has {len(manifest.labels)} labels.",
                    fix="Pack the run again.",
                )


def run_golden(
    detector: Detector,
    pairs: list[tuple[GoldenFrame, Frame]],
    manifest: Manifest,
    tolerance: Tolerance,
) -> GoldenResult:
    """Run a detector on golden frames and compare it with the expected detections.

    Args:
        detector: The graph under test.
        pairs: From ``read_golden``.
        manifest: Has the thresholds.
        tolerance: The tolerance of the run mode.
    """
    thresholds = manifest.score_thresholds()
    kept = kept_thresholds(thresholds)
    matched, faults = 0, list[str]()
    score_difference, overlap = 0.0, 1.0
    for frame, picture in pairs:
        got = detect(
            detector, picture, kept, iou_threshold=manifest.thresholds.iou_threshold
        )
        result = compare(_expected(frame), got, thresholds, tolerance)
        matched += result.matched
        faults += [f"{frame.file}: {fault}" for fault in result.faults]
        score_difference = max(score_difference, result.worst_score_difference)
        overlap = min(overlap, result.worst_iou)
    return GoldenResult(len(pairs), matched, tuple(faults), score_difference, overlap)


def compare(
    expected: Detections,
    got: Detections,
    thresholds: FloatArray,
    tolerance: Tolerance,
) -> GoldenResult:
    """Compare the detections of one frame with the expected ones.

    Args:
        expected: From the golden file, down to ``kept_thresholds``.
        got: From the detector under test, down to ``kept_thresholds``.
        thresholds: ``[C]`` float32, the package's thresholds.
        tolerance: The tolerance of the run mode.
    """
    missing = _unmatched(expected, got, thresholds, tolerance)
    surplus = _unmatched(got, expected, thresholds, tolerance)
    faults = [
        f"expected label {expected.labels[i]} at {expected.scores[i]:.2f} not found"
        for i in missing.faults
    ] + [
        f"unexpected label {got.labels[i]} at {got.scores[i]:.2f}"
        for i in surplus.faults
    ]
    return GoldenResult(
        1, missing.matched, tuple(faults), missing.score_difference, missing.iou
    )


@dataclass(frozen=True, slots=True)
class _Matching:
    matched: int
    faults: tuple[int, ...]
    score_difference: float
    iou: float


def _unmatched(
    these: Detections, others: Detections, thresholds: FloatArray, limit: Tolerance
) -> _Matching:
    """Match each detection well above the threshold with a close one of the others."""
    well_above = np.nonzero(these.scores >= thresholds[these.labels] + limit.score)[0]
    overlaps = iou(these.boxes, others.boxes)  # [N, M]
    same = these.labels[:, None] == others.labels
    difference = np.abs(these.scores[:, None] - others.scores)
    close = same & (overlaps >= limit.iou) & (difference <= limit.score)
    faults, worst_difference, worst_iou = [], 0.0, 1.0
    for i in well_above:
        if not close[i].any():
            faults.append(int(i))
            continue
        partner = int(np.argmax(np.where(close[i], overlaps[i], -1)))
        worst_difference = max(worst_difference, float(difference[i, partner]))
        worst_iou = min(worst_iou, float(overlaps[i, partner]))
    matched = len(well_above) - len(faults)
    return _Matching(matched, tuple(faults), worst_difference, worst_iou)
