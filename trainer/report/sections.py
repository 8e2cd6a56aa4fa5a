"""The sections of the report that need one training only, each a piece of HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from models.boxes import FloatArray
from models.counted import counted
from models.manifest import Interval, Metrics, Thresholds
from trainer.data.dataset import Dataset
from trainer.evaluation.metrics import RIGHT_IOU
from trainer.evaluation.text import NOT_MEASURED
from trainer.evaluation.thresholds.text import thresholds_text
from trainer.report.charts import Axis, LineSeries, interval_bar, line_chart
from trainer.report.figures import (
    LabelFigures,
    MatchedPhoto,
    alarmed_good_photos,
    confusion,
    worst_photos,
)
from trainer.report.groups import GroupFigures
from trainer.report.markup import DASH, panel, table
from trainer.report.operating_point import OperatingCurve, operating_panels
from trainer.report.part_scores import PartScores, score_panel
from trainer.report.photos import box_shape, photo_figure, text_shape
from trainer.run_record import RunRecord

WORST_PHOTOS = 24
ALARMED_PHOTOS = 12
KEYS = (
    '<ul class="keys"><li><i class="right"></i>found and right</li>'
    '<li><i class="wrong"></i>reported, but wrong</li>'
    '<li><i class="missed"></i>labelled, but missed</li>'
    '<li><i class="truth"></i>as labelled</li></ul>'
)


@dataclass(frozen=True, slots=True)
class ReportSubject:
    """Everything that the sections are made from."""

    title: str
    dataset: Dataset
    scores: FloatArray  # [C] thresholds in the order of the labels
    thresholds: Thresholds
    metrics: Metrics
    record: RunRecord | None
    matched: list[MatchedPhoto]
    labels: list[LabelFigures]
    operating: OperatingCurve
    parts: PartScores
    groups: list[GroupFigures]  # empty where none is known


def on_the_line(metrics: Metrics) -> str:
    """Return the four figures of the factory, each with its interval."""
    cards = (
        _card(
            "Defects found",
            metrics.recall,
            metrics.recall_interval,
            "Labelled defects that were reported with the right name.",
        ),
        _card(
            "Right when reported",
            metrics.precision,
            metrics.precision_interval,
            "Reported defects that really are there.",
        ),
        _card(
            "Defective parts escaped",
            metrics.escapes,
            metrics.escapes_interval,
            "Parts with a defect on which nothing at all was reported.",
        ),
        _card(
            "Good parts alarmed",
            metrics.overkill,
            metrics.overkill_interval,
            "Overkill: parts without a defect that would be rejected.",
        ),
    )
    reason = escape(metrics.not_measured)
    return (
        "<h2>On the line</h2><p>At the thresholds that the package carries. A defect "
        "counts as found when name and place are right (overlap at least a third). "
        "The bar is the 95 % interval of the true value: more photos make it "
        f'shorter. {reason}</p><div class="cards">{"".join(cards)}</div>'
    )


def _card(name: str, value: float | None, interval: Interval | None, text: str) -> str:
    """Return one figure with its interval, or a dash where nothing was measured."""
    if value is None or interval is None:
        shown, bounds, bar = DASH, NOT_MEASURED, ""
    else:
        shown = f"{100 * value:.1f}<small> %</small>"
        bounds = f"95 %: {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"
        bar = interval_bar(value, interval)
    return (
        f'<div class="card"><div class="name">{name}</div>'
        f'<div class="value">{shown}</div>{bar}<p class="bounds">{bounds}</p>'
        f"<p>{text}</p></div>"
    )


def accuracy(metrics: Metrics) -> str:
    """Return the figures that detectors are compared by."""
    rows = (
        ("mAP@.33", metrics.map_33, "Found, name and place roughly right."),
        ("mAP@.5", metrics.map_50, "Found, and the box covers it well."),
        ("mAP@.75", metrics.map_75, "Found, and the box fits tightly."),
        ("mAP@.5:.95", metrics.map_50_95, "COCO's mean over ten overlaps."),
    )
    cards = "".join(
        f'<div class="card small"><div class="name">{name}</div>'
        f'<div class="value">{DASH if value is None else f"{value:.3f}"}</div>'
        f"<p>{text if value is not None else NOT_MEASURED}</p></div>"
        for name, value, text in rows
    )
    return (
        "<h2>Independent of thresholds</h2><p>Mean average precision over all "
        "thresholds: 1 is perfect. Use it to compare two trainings.</p>"
        f'<div class="cards second">{cards}</div>'
    )


def by_label(subject: ReportSubject) -> str:
    """Return the table of all labels."""
    columns = (
        "Kind of defect",
        "labelled",
        "found",
        "missed",
        "wrongly reported",
        "found, share",
        "AP@.33",
        "threshold",
    )
    rows = [
        (
            escape(subject.dataset.labels[one.label]),
            str(one.boxes),
            str(one.found),
            str(one.boxes - one.found),
            str(one.false_positives),
            f"{100 * one.found / one.boxes:.1f} %" if one.boxes else DASH,
            DASH if one.average_precision is None else f"{one.average_precision:.3f}",
            f"{subject.scores[one.label]:.3f}",
        )
        for one in subject.labels
    ]
    thresholds = subject.thresholds
    return (
        f"<h2>By kind of defect</h2><p>{escape(thresholds_text(thresholds))} Chosen on "
        f"{counted(thresholds.images, 'photo')} ({thresholds.good_images} good) of "
        "split "
        f"{escape(thresholds.chosen_on)}.</p>{table(columns, rows)}"
    )


def charts(subject: ReportSubject) -> str:
    """Return all charts."""
    names = subject.dataset.labels
    precision_recall = line_chart(
        [
            LineSeries(
                names[one.label],
                one.recall,
                one.precision,
                f"{one.average_precision:.3f}",
            )
            for one in subject.labels
            if one.average_precision is not None
        ],
        Axis("defects found"),
        Axis("right when reported"),
    )
    panels = [
        panel(*score_panel(subject.parts, subject.scores, names)),
        *(panel(*one) for one in operating_panels(subject.operating)),
        panel(
            "Precision and recall",
            "Each point is one threshold; a curve into the upper right corner is "
            f"perfect. Beside the name: AP at overlap {RIGHT_IOU}.",
            precision_recall,
        ),
    ]
    if subject.record and subject.record.curve:
        panels += [_loss(subject.record), _measured_while_training(subject.record)]
    panels.append(
        panel(
            "Confusion matrix",
            "Rows: as labelled. Columns: as reported. The last row holds false "
            "reports, the last column missed defects.",
            _matrix(subject),
        )
    )
    return (
        "<h2>Curves</h2><p>How the figures depend on the thresholds, and how the "
        f'training went.</p><div class="panels">{"".join(panels)}</div>'
    )


def _loss(record: RunRecord) -> str:
    epochs = np.array([point.epoch for point in record.curve], np.float32)
    losses = np.array([point.loss for point in record.curve], np.float32)
    high = float(max(losses.max() * 1.05, 1e-6))
    chart = line_chart(
        [LineSeries("loss", epochs, losses)],
        Axis("epoch", float(max(epochs.max(), 1)), percent=False),
        Axis("loss", high, percent=False),
    )
    start = Path(record.pretrained).name
    text = (
        f"{counted(len(epochs), 'epoch')} in {record.seconds / 60:.1f} minutes, from "
        f"{start}. "
        "If the loss still falls at the end, train longer."
    )
    if record.schedule:
        text += "".join(f" {one}." for one in record.schedule.reduced)
    return panel("Training", escape(text), chart)


def _measured_while_training(record: RunRecord) -> str:
    """Return mAP over the steps; empty where it was not measured."""
    points = [point for point in record.curve if point.map_50 is not None]
    if not points or record.schedule is None:
        return ""
    steps = np.array([point.step for point in points], np.float32)
    lines = [
        LineSeries("mAP@.33", steps, np.array([p.map_33 for p in points], np.float32)),
        LineSeries("mAP@.5", steps, np.array([p.map_50 for p in points], np.float32)),
    ]
    last = max(float(record.schedule.steps), 1.0)
    chart = line_chart(lines, Axis("step", last, percent=False), Axis("mAP"))
    text = _measured_on(record)
    if record.schedule.ended_early:
        text += " mAP no longer rose, so training ended early."
    if record.schedule.kept_step is not None:
        text += f" The weights of step {record.schedule.kept_step} were the best and "
        text += "are kept."
    return panel("While training", text, chart)


def _measured_on(record: RunRecord) -> str:
    """Return on which photos mAP was measured while training."""
    shown = sum((point.photos or 0) for point in record.curve[-1:])
    photos = shown or (record.schedule.measured_photos if record.schedule else 0)
    is_part = record.schedule is not None and record.schedule.final_photos > 0
    if is_part or photos < record.metrics.images:
        return (
            f"An estimate: the averaged weights on {counted(photos, 'photo')}, not on "
            f"the {record.metrics.images} that the run is measured on."
        )
    return (
        f"The averaged weights on the {counted(photos, 'photo')} that the run is "
        "measured on."
    )


def _matrix(subject: ReportSubject) -> str:
    names = subject.dataset.labels
    confused = confusion(subject.matched, len(names))
    head = "".join(f"<th>{_breakable(name)}</th>" for name in (*names, "missed"))
    rows = []
    for i, name in enumerate((*names, "nothing there")):
        total = max(1, int(confused[i].sum()))
        cells = []
        for j, number in enumerate(confused[i]):
            if i == j == len(names):  # nothing there, nothing reported: not countable
                cells.append('<td class="none"></td>')
                continue
            tone = "good" if i == j else "bad"
            share = f"--share:{number / total:.3f};--tone:var(--{tone})"
            shown = int(number) if number else "·"
            cells.append(f'<td style="{share}">{shown}</td>')
        rows.append(f"<tr><th>{_breakable(name)}</th>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" style="--columns:{len(names) + 1}">'
        f'<table class="matrix"><thead><tr><th></th>{head}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _breakable(name: str) -> str:
    """Return a name that the browser may break after ``_`` and ``-``."""
    return escape(name).replace("_", "_<wbr>").replace("-", "-<wbr>")


def worst(subject: ReportSubject) -> str:
    """Return the defective photos with the most faults."""
    shown = worst_photos(subject.matched, WORST_PHOTOS)
    faulty = sum(1 for one in subject.matched if one.faults and not one.photo.is_good)
    if not shown:
        return (
            "<h2>The worst photos</h2><p>Check these first.</p>"
            '<p class="none">On no defective photo anything is missed or wrong.</p>'
        )
    return (
        f"<h2>The worst photos</h2><p>{len(shown)} of the {faulty} on which something "
        "is missed or wrong, escapes first. Often the label is wrong, not the "
        "detector: correct it and train again.</p>"
        f"{KEYS}{_gallery(shown, subject.dataset.labels)}"
    )


def alarmed_good(subject: ReportSubject) -> str:
    """Return the good photos that would be rejected."""
    alarmed = alarmed_good_photos(subject.matched)
    head = "<h2>Good parts that were alarmed</h2>"
    if not subject.metrics.good_images:
        return (
            f"{head}<p>Not measured.</p>"
            '<p class="none">There are no photos of good parts. Put some into the '
            "folder good/ of the dataset: false alarms can then be measured, and "
            "training learns to avoid them.</p>"
        )
    if not alarmed:
        return f'{head}<p>False alarms.</p><p class="none">None.</p>'
    shown = alarmed[:ALARMED_PHOTOS]
    return (
        f"{head}<p>{len(shown)} of {len(alarmed)}, highest score first. If one shows "
        "a defect, label it. Otherwise add more photos like these to good/ and train "
        f"again.</p>{_gallery(shown, subject.dataset.labels)}"
    )


def _gallery(matched: Sequence[MatchedPhoto], labels: Sequence[str]) -> str:
    """Return photos in this order, with what was right and wrong on each."""
    figures = "".join(_photo(one, labels) for one in matched)
    return f'<div class="gallery">{figures}</div>'


def _photo(one: MatchedPhoto, labels: Sequence[str]) -> str:
    truth = list(zip(one.photo.boxes, one.photo.labels, one.missed, strict=True))
    shapes = [
        box_shape(box, "truth missed" if missed else "truth", labels[label])
        for box, label, missed in truth
    ]
    rows = zip(
        one.found.boxes, one.found.scores, one.found.labels, one.right, strict=True
    )
    for box, score, label, right in rows:
        text = f"{labels[label]} {score:.2f}"
        shapes.append(box_shape(box, "right" if right else "wrong", text))
        if not right:
            shapes.append(text_shape(box, "wrong", text, one.photo))
    # last: what was missed must not be covered
    shapes += [
        text_shape(box, "missed", labels[label], one.photo)
        for box, label, missed in truth
        if missed
    ]
    return photo_figure(one.photo, shapes, _caption(one))


def _caption(one: MatchedPhoto) -> str:
    missed, wrong = int(one.missed.sum()), int((~one.right).sum())
    if one.photo.is_good:
        return f'<em class="bad">alarmed</em> score {one.found.scores.max():.2f}'
    parts = [f"{missed} missed"] if missed else []
    parts += [f"{wrong} wrong"] if wrong else []
    parts += [f"{int(one.right.sum())} right"] if one.right.any() else []
    text = ", ".join(parts)
    return f'<em class="bad">escaped</em> {text}' if one.escaped else text
