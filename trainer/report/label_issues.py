"""The sections of the report on cross-validation, and on label issues."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from models.counted import agreeing, counted
from models.detections import Detections
from models.manifest import Metrics
from trainer.data.dataset import Dataset, Photo
from trainer.evaluation.text import precision_text
from trainer.label_errors.issues import LabelIssue, LabelIssueKind, count_likely_wrong
from trainer.report.figures import factory_shares
from trainer.report.markup import table
from trainer.report.photos import box_shape, photo_figure, text_shape

SHOWN_ISSUES = 24
NAMES = {
    LabelIssueKind.MISSING: "missing box",
    LabelIssueKind.WRONG_CLASS: "wrong class",
    LabelIssueKind.LOOSE: "loose box",
    LabelIssueKind.SPURIOUS: "spurious label",
    LabelIssueKind.DUPLICATE: "duplicate label",
}
KEYS = (
    '<ul class="keys"><li><i class="missed"></i>label in question</li>'
    '<li><i class="right"></i>detection</li>'
    '<li><i class="truth"></i>other labels</li></ul>'
)


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Every photo, measured with a detector that was not trained on it."""

    folds: int
    photos: Sequence[Photo]
    found: Sequence[Detections]  # one for each photo, from the detector of its fold
    metrics: Metrics
    issues: Sequence[LabelIssue]  # from `find_label_issues`


def folds_section(crossed: CrossValidation) -> str:
    """Return the figures of all folds together."""
    metrics = crossed.metrics
    return (
        f"<h2>Over all {crossed.folds} folds</h2><p>{counted(metrics.images, 'photo')} "
        f"({metrics.good_images} good), each measured with a detector that was trained "
        "on the other folds, at thresholds chosen on the other folds: more photos than "
        "val alone, so a narrower interval. These are figures of the recipe, not of "
        "the one detector that is packed. "
        f"mAP@.33 {precision_text(metrics.map_33)}, mAP@.5 "
        f"{precision_text(metrics.map_50)}. {escape(metrics.not_measured)}</p>"
        f"{table(('', 'share (95 % interval)'), factory_shares(metrics))}"
    )


def label_issues_section(dataset: Dataset, crossed: CrossValidation) -> str:
    """Return the labels that a person should check."""
    head = f"<h2>Which labels are wrong?</h2><p>{_method(crossed)}</p>"
    if not crossed.issues:
        return f'{head}<p class="none">No label looks wrong.</p>'
    figures = "".join(
        _figure(dataset, crossed.photos[i.photo], crossed.found[i.photo], i)
        for i in crossed.issues[:SHOWN_ISSUES]
    )
    return f'{head}{KEYS}<div class="gallery">{figures}</div>'


def _method(crossed: CrossValidation) -> str:
    """Return how the issues were found, and what to do with them."""
    total, likely = len(crossed.issues), count_likely_wrong(crossed.issues)
    shown = min(total, SHOWN_ISSUES)
    return (
        f"The photos were divided into {counted(crossed.folds, 'fold')}, and a "
        "detector was "
        "trained for each on the photos of the others. Every label was compared with "
        "the detections of the detector that was not trained on its photo. "
        f"{counted(likely, 'label')} {agreeing(likely, 'is', 'are')} more likely "
        f"wrong than right, {total} "
        "should be checked; "
        f"the {shown} with the highest confidence are here. All of them are in the "
        "folder suspects/ of the run, to open in CVAT, Label Studio or any tool that "
        "reads COCO. A detector can be wrong too: no label was changed."
    )


def _figure(
    dataset: Dataset, photo: Photo, detections: Detections, issue: LabelIssue
) -> str:
    shapes = [
        box_shape(box, "truth", dataset.labels[label])
        for number, (box, label) in enumerate(
            zip(photo.boxes, photo.labels, strict=True)
        )
        if number != issue.label
    ]
    if issue.detection is not None:
        box = detections.boxes[issue.detection]
        name = dataset.labels[detections.labels[issue.detection]]
        text = f"{name} {detections.scores[issue.detection]:.2f}"
        shapes += [box_shape(box, "right", text), text_shape(box, "right", text, photo)]
    if issue.label is not None:
        box = photo.boxes[issue.label]
        name = dataset.labels[photo.labels[issue.label]]
        shapes += [
            box_shape(box, "truth missed", name),
            text_shape(box, "missed", name, photo),
        ]
    caption = (
        f'<em class="bad">{escape(NAMES[issue.kind])}</em> confidence '
        f"{issue.confidence:.2f}"
    )
    return photo_figure(photo, shapes, caption)
