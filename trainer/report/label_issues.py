"""The section of the report that asks which labels are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from models.detections import Detections
from models.manifest import Metrics
from trainer.data.dataset import Dataset, Photo
from trainer.label_errors.issues import LabelIssue, LabelIssueKind, likely_wrong
from trainer.report.photos import box_shape, photo_figure, words_shape

SHOWN_SUSPECTS = 24
NAMES = {
    LabelIssueKind.MISSING: "missing box",
    LabelIssueKind.WRONG_CLASS: "wrong class",
    LabelIssueKind.LOOSE: "loose box",
    LabelIssueKind.SPURIOUS: "spurious label",
    LabelIssueKind.DUPLICATE: "duplicate label",
}
KEYS = (
    '<ul class="keys"><li><i class="missed"></i>label in question</li>'
    '<li><i class="right"></i>what is seen there</li>'
    '<li><i class="truth"></i>other labels</li></ul>'
)


@dataclass(frozen=True, slots=True)
class CrossJudged:
    """What a cross-training says of the photos and their labels.

    Attributes:
        folds: Number of detectors.
        photos: All that took part.
        found: One for each photo, from the detector that has not seen it.
        metrics: Over all of the photos.
        suspects: From ``find_suspects``.
    """

    folds: int
    photos: Sequence[Photo]
    found: Sequence[Detections]
    metrics: Metrics
    suspects: Sequence[LabelIssue]


def over_all_folds(crossed: CrossJudged) -> str:
    """Return the figures of all folds together.

    Args:
        crossed: Of the run.
    """
    metrics = crossed.metrics
    rows = [
        ("defects found", metrics.recall, metrics.recall_interval),
        ("right when reported", metrics.precision, metrics.precision_interval),
        ("defective parts escaped", metrics.escapes, metrics.escapes_interval),
    ]
    if metrics.good_images:
        rows.append(("good parts alarmed", metrics.overkill, metrics.overkill_interval))
    cells = "".join(
        f"<tr><td>{name}</td><td>{100 * value:.1f} %</td>"
        f"<td>{100 * low:.1f} to {100 * high:.1f} %</td></tr>"
        for name, value, (low, high) in rows
    )
    return (
        f"<h2>Over all {crossed.folds} folds</h2><p>{metrics.images} photos "
        f"({metrics.good_images} good), each judged by a detector that was trained on "
        "the other folds, at thresholds chosen on the other folds: more photos than "
        "val alone, so a narrower interval. Figures of the recipe, not of the one "
        "detector that is packed. "
        f"mAP@.33 {metrics.map_33:.3f}, mAP@.5 {metrics.map_50:.3f}.</p>"
        '<div class="panel scroll"><table><thead><tr><th></th><th>share</th>'
        f"<th>95 %</th></tr></thead><tbody>{cells}</tbody></table></div>"
    )


def wrong_labels(dataset: Dataset, crossed: CrossJudged) -> str:
    """Return the labels to look at again.

    Args:
        dataset: For the class names.
        crossed: Of the run.
    """
    head = f"<h2>Which labels are wrong?</h2><p>{_how(crossed)}</p>"
    if not crossed.suspects:
        return f'{head}<p class="none">No label looks wrong.</p>'
    figures = "".join(
        _figure(dataset, crossed.photos[s.photo], crossed.found[s.photo], s)
        for s in crossed.suspects[:SHOWN_SUSPECTS]
    )
    return f'{head}{KEYS}<div class="gallery">{figures}</div>'


def _how(crossed: CrossJudged) -> str:
    """Return where the suspicion comes from, and what to do with it."""
    total, likely = len(crossed.suspects), likely_wrong(crossed.suspects)
    shown = min(total, SHOWN_SUSPECTS)
    return (
        f"The photos were divided into {crossed.folds} folds, and a detector was "
        "trained for each on the photos of the others: every label was compared with "
        "what a detector sees that had never seen the photo. "
        f"{likely} labels are more likely wrong than right, {total} deserve a look; "
        f"the surest {shown} are here. All of them are in the folder suspects/ of the "
        "run, to open in CVAT, Label Studio or any tool that reads COCO. A detector "
        "can err too: nothing was changed."
    )


def _figure(
    dataset: Dataset, photo: Photo, seen: Detections, suspect: LabelIssue
) -> str:
    """Return one photo with the label in question and what is seen there."""
    side_px = max(photo.width_px, photo.height_px)
    shapes = [
        box_shape(box, "truth", dataset.labels[label])
        for number, (box, label) in enumerate(
            zip(photo.boxes, photo.labels, strict=True)
        )
        if number != suspect.labelled
    ]
    if suspect.seen is not None:
        box, label = seen.boxes[suspect.seen], seen.labels[suspect.seen]
        words = f"{dataset.labels[label]} {seen.scores[suspect.seen]:.2f}"
        shapes += [
            box_shape(box, "right", words),
            words_shape(box, "right", words, side_px),
        ]
    if suspect.labelled is not None:
        box = photo.boxes[suspect.labelled]
        name = dataset.labels[photo.labels[suspect.labelled]]
        shapes += [
            box_shape(box, "truth missed", name),
            words_shape(box, "missed", name, side_px),
        ]
    verdict = (
        f'<em class="bad">{escape(NAMES[suspect.kind])}</em> sure {suspect.sure:.2f}'
    )
    return photo_figure(photo, shapes, verdict)
