"""Golden frames: the detections that a model must reproduce on every machine.

The package holds some frames as lossless PNG and the detections that the trained
network returned for them. A run passes if every expected detection well above its
threshold is found again (overlap and score within the tolerance), and no other
detection is well above the threshold. "Well above" means by more than the tolerance of
the score.

The set also holds the decisions at the package's thresholds: which of the expected
detections are reported as defects, and whether the frame alarms. ``read_golden_set``
decides again from the recorded scores with the thresholds of the manifest, and refuses
another result: thresholds or labels were changed after packing. What a machine detects
is compared within the tolerance instead, because INT8 and bf16 may move a score that is
close to a threshold to its other side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from models.boxes import FloatArray, iou
from models.counted import counted
from models.detections import Detections
from models.detector import Detector, detect
from models.errors import PackageError
from models.files import read_regular
from models.manifest import Manifest, RelativePath, Thresholds, Tolerance
from models.package import Package
from models.pictures import PictureError, read_picture
from models.postprocess import DecisionRule
from models.preprocess import Frame
from models.strict_json import parse_json
from models.value_types import LABELS_MAX, Share

SHOWN_FAULTS = 5
FRAMES_MAX = 1000  # `pack` writes some 20; each takes an inference in each run mode
DETECTIONS_MAX = 10_000  # of a frame; overlaps of all pairs are compared
GOLDEN_MAX_BYTES = 16 << 20  # 50 frames have some 100 kB
KEPT_BELOW_THRESHOLD = 0.25  # a match may have a lower score than the threshold
MIN_KEPT_SCORE = 0.01
# A run mode that differs more is not packed; expected detections are kept for no more.
WIDEST = Tolerance(score=KEPT_BELOW_THRESHOLD, iou=0.7)


class GoldenDetection(BaseModel):
    """One expected detection."""

    model_config = ConfigDict(frozen=True)

    label: int = Field(ge=0, lt=LABELS_MAX)
    score: float = Field(ge=0, le=1)
    box: tuple[float, float, float, float] = Field(description="xyxy, frame pixels.")


class GoldenFrame(BaseModel):
    """One frame and all that is expected on it."""

    model_config = ConfigDict(frozen=True)

    file: RelativePath = Field(description="PNG, relative to expected.json.")
    good: bool = Field(description="Whether the photo shows a good part.")
    detections: tuple[GoldenDetection, ...] = Field(max_length=DETECTIONS_MAX)
    defects: tuple[int, ...] | None = Field(
        default=None,
        description="Positions in `detections` of those that are reported as defects "
        "at the thresholds; null = packed by an earlier version.",
    )
    alarms: bool | None = Field(
        default=None,
        description="Whether any is reported; null = packed by an earlier version.",
    )


class GoldenThresholds(BaseModel):
    """The thresholds that the decisions were recorded at."""

    model_config = ConfigDict(frozen=True)

    scores: dict[str, Share] = Field(
        description="Label to score threshold, in the order of the labels."
    )
    iou_threshold: Share = Field(description="Overlap at which NMS drops a box.")
    cross_class_iou: Share | None = Field(
        default=None,
        description="Overlap above which boxes of two labels are one defect; null = "
        "each is reported.",
    )


class GoldenSet(BaseModel):
    """``golden/expected.json``."""

    model_config = ConfigDict(frozen=True)

    frames: tuple[GoldenFrame, ...] = Field(min_length=1, max_length=FRAMES_MAX)
    thresholds: GoldenThresholds | None = Field(
        default=None,
        description="Those of the decisions; null = packed by an earlier version.",
    )


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


def golden_set(
    frames: Sequence[GoldenFrame], labels: Sequence[str], thresholds: Thresholds
) -> GoldenSet:
    """Return golden frames with their decisions at the thresholds.

    Args:
        frames: With their detections; decisions in them are replaced.
        labels: Names in the order of the label numbers.
    """
    rule = thresholds.decision_rule(labels)
    decided = [_decided(frame, rule) for frame in frames]
    return GoldenSet(
        frames=tuple(decided),
        thresholds=GoldenThresholds(
            scores={label: thresholds.scores[label] for label in labels},
            iou_threshold=thresholds.iou_threshold,
            cross_class_iou=thresholds.cross_class_iou,
        ),
    )


def _decided(frame: GoldenFrame, rule: DecisionRule) -> GoldenFrame:
    """Return a frame with the decisions of a rule."""
    # As arrays of float32, as the daemon compares them. A box beyond float32 overlaps
    # none, without a warning about it.
    with np.errstate(over="ignore", invalid="ignore"):
        defects = tuple(rule.positions(_expected(frame)).tolist())
    return frame.model_copy(update={"defects": defects, "alarms": bool(defects)})


def read_golden(package: Package) -> list[tuple[GoldenFrame, Frame]]:
    """Return the golden frames of a verified package, each with its picture.

    Returns:
        Pairs of expected detections and ``[H, W, 3]`` uint8 BGR.

    Raises:
        PackageError: The set or one of its pictures cannot be read, or does not
            fit the package.
    """
    folder = (package.folder / package.manifest.golden).parent
    pairs = []
    for frame in read_golden_set(package).frames:
        try:
            picture = read_picture(folder / frame.file)
        except (OSError, PictureError) as exc:
            raise PackageError(
                f"{frame.file}: golden frame cannot be read.",
                why="It is missing or not a PNG.",
                fix="Pack the run again.",
            ) from exc
        pairs.append((frame, picture))
    return pairs


def read_golden_set(package: Package) -> GoldenSet:
    """Return the golden set of a verified package; no picture is read.

    Raises:
        PackageError: It cannot be read or does not fit the package: frames without a
            hash, unknown labels, or decisions that its thresholds do not give.
    """
    path = package.folder / package.manifest.golden
    try:
        golden = GoldenSet.model_validate(
            parse_json(read_regular(path, GOLDEN_MAX_BYTES))
        )
    except (OSError, ValueError) as exc:
        raise PackageError(
            f"{path}: not a golden set.", why=str(exc), fix="Pack the run again."
        ) from exc
    _check_golden(golden, package.manifest)
    _check_tolerances(path, package.manifest)
    if faults := list(_decision_faults(golden, package.manifest)):
        raise PackageError(
            f"{path}: the decisions on golden frames do not fit the manifest.",
            why="; ".join(faults[:SHOWN_FAULTS]) + ".",
            fix="Pack the run again: thresholds and labels are part of the package.",
        )
    return golden


def _check_tolerances(path: Path, manifest: Manifest) -> None:
    """Refuse tolerances within which any detections would pass."""
    for name, variant in manifest.variants.items():
        for hint, limit in variant.tolerances.items():
            if limit.score > WIDEST.score or limit.iou < WIDEST.iou:
                raise PackageError(
                    f"{path}: proves nothing for {name} ({hint}).",
                    why=f"Its tolerance is {limit.score} of the score and overlap "
                    f"{limit.iou}, the widest is {WIDEST.score} and {WIDEST.iou}.",
                    fix="Pack the run again.",
                )


def _decision_faults(golden: GoldenSet, manifest: Manifest) -> Iterator[str]:
    """Yield what differs between the recorded decisions and those of the manifest."""
    recorded = golden.thresholds
    if recorded is None:
        if manifest.sealed:  # an earlier version writes neither
            yield "they are missing, and the package is sealed"
        return
    if not manifest.sealed:
        yield "they are recorded, so the package was sealed, and its seal is gone"
    if tuple(recorded.scores) != manifest.labels:
        yield (
            f"recorded for the labels {', '.join(recorded.scores)}, the manifest has "
            f"{', '.join(manifest.labels)}"
        )
        return
    yield from _threshold_faults(recorded, manifest.thresholds)
    decided = golden_set(golden.frames, manifest.labels, manifest.thresholds).frames
    for frame, wanted in zip(golden.frames, decided, strict=True):
        if (frame.defects, frame.alarms) != (wanted.defects, wanted.alarms):
            yield (
                f"{frame.file}: {len(wanted.defects or ())} of "
                f"{len(frame.detections)} detections pass the thresholds, recorded as "
                f"defects are {len(frame.defects or ())}"
            )


def _threshold_faults(recorded: GoldenThresholds, now: Thresholds) -> Iterator[str]:
    for label, was in recorded.scores.items():
        if now.scores[label] != was:
            yield f"threshold of {label} is {now.scores[label]}, recorded at {was}"
    if now.iou_threshold != recorded.iou_threshold:
        yield f"iou_threshold is {now.iou_threshold}, not {recorded.iou_threshold}"
    if now.cross_class_iou != recorded.cross_class_iou:
        yield (
            f"cross_class_iou is {now.cross_class_iou}, not {recorded.cross_class_iou}"
        )


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
                    why=f"The package has {counted(len(manifest.labels), 'label')}.",
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
        # A box beyond float32 overlaps none, without a warning about it.
        with np.errstate(over="ignore", invalid="ignore"):
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
