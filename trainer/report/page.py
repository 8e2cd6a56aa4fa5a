"""One HTML file that says how good a detector is, for the people of the factory.

Self-contained: no script, no font, no network; pictures and charts are inside. It
can be mailed, archived with the order, and printed.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from models.detections import Detections
from models.files import write_atomically
from models.manifest import Metrics, Thresholds
from trainer.data.dataset import Dataset, Photo
from trainer.report.document import Study, report_figures
from trainer.report.figures import judge, label_figures
from trainer.report.operating_point import operating_curve
from trainer.report.sections import (
    ReportSubject,
    accuracy,
    alarmed_good,
    by_label,
    charts,
    on_the_line,
    worst,
)
from trainer.run import RunRecord, unwritable

STYLE = Path(__file__).parent / "templates" / "report.css"


def write_report(  # noqa: PLR0913 (all are given by name)
    path: Path,
    *,
    title: str,
    dataset: Dataset,
    photos: Sequence[Photo],
    found: Sequence[Detections],
    thresholds: Thresholds,
    metrics: Metrics,
    record: RunRecord | None,
    studies: Sequence[Study] = (),
) -> None:
    """Write the report of one evaluation, and its figures as JSON beside it.

    Args:
        path: HTML file to write; its folder is made if needed.
        title: Name of the run or package.
        dataset: For the class names and where the photos are from.
        photos: What was measured on.
        found: One for each photo, from ``predict_photos``.
        thresholds: From which score on a detection counts.
        metrics: From ``measure``.
        record: Of the run, for the training curve; None for a package.
        studies: What more than one training told.

    Raises:
        TrainingError: The file cannot be written.
        DatasetError: A photo cannot be read any more.
    """
    scores = np.array([thresholds.scores[name] for name in dataset.labels], np.float32)
    subject = ReportSubject(
        title,
        dataset,
        photos,
        found,
        scores,
        thresholds,
        metrics,
        record,
        [judge(d, photo, scores) for d, photo in zip(found, photos, strict=True)],
        label_figures(found, photos, scores),
        operating_curve(found, photos, scores),
    )
    page = _page(subject, [part for study in studies for part in study.sections])
    figures = report_figures(subject, {s.name: s.document for s in studies})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page.encode("utf-8", "backslashreplace"))
        text = figures.model_dump_json(indent=2) + "\n"
        write_atomically(path.with_suffix(".json"), text.encode())
    except OSError as exc:
        raise unwritable(path, exc) from exc


def _page(subject: ReportSubject, studies: Sequence[str]) -> str:
    """Return the whole document."""
    sections = (
        _head(subject),
        on_the_line(subject.metrics),
        accuracy(subject.metrics),
        by_label(subject),
        charts(subject),
        worst(subject),
        alarmed_good(subject),
        *studies,
        _small_print(subject),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(subject.title)} - Graftline report</title>"
        f"<style>{STYLE.read_text('utf-8')}</style></head>\n"
        f"<body><main>{''.join(sections)}</main></body></html>\n"
    )


def _head(subject: ReportSubject) -> str:
    """Return title and the one sentence that matters most."""
    metrics = subject.metrics
    defective = metrics.images - metrics.good_images
    sentences = []
    if defective:
        share = _of_hundred(metrics.escapes, "passes", "pass")
        sentences.append(f"Of 100 defective parts, {share} unseen.")
    if metrics.good_images:
        share = _of_hundred(metrics.overkill, "is", "are")
        sentences.append(f"Of 100 good parts, {share} alarmed.")
    source = escape(subject.dataset.root.resolve().name)
    apart = ", none of which was trained on" if subject.record else ""
    return (
        '<header><p class="kind">Graftline report</p>'
        f"<h1>{escape(subject.title)}</h1>"
        f'<p class="lead">{" ".join(sentences)}</p>'
        f'<p class="facts">Measured on {metrics.images} photos ({defective} defective, '
        f"{metrics.good_images} good) of {source}, split {escape(metrics.split)}"
        f"{apart}.</p></header>"
    )


def _of_hundred(share: float, one: str, many: str) -> str:
    """Return a share of one hundred in words that do not promise too much.

    >>> _of_hundred(0.031, "is", "are")
    'about 3 are'
    """
    if share == 0:
        return f"none {many}"
    if share < 0.005:
        return f"fewer than 1 {one}"
    number = round(100 * share)
    return f"about {number} {one if number == 1 else many}"


def _small_print(subject: ReportSubject) -> str:
    """Return how it was measured, and what would be needed to repeat it."""
    facts = {
        "Average precision": "pycocotools: 101 recall points, at most 100 detections "
        "a photo.",
        "Intervals": "Wilson score intervals, 95 %.",
        "Right": "Right name, overlap (IoU) at least 0.33, each label taken once.",
        "Dataset": f"sha256 {subject.dataset.sha256}",
    }
    if subject.record:
        record = subject.record
        facts |= {
            "Detector": f"{record.detector}, {record.activation}, input "
            f"{record.input_width_px} x {record.input_height_px} px",
            "Trained from": f"{record.pretrained}, seed {record.seed}, "
            f"{record.dataset_images} photos in all",
            "Recipe": ", ".join(f"{k} {v}" for k, v in record.recipe.items()),
            "Versions": ", ".join(f"{k} {v}" for k, v in record.versions.items()),
        }
    rows = "".join(
        f"<dt>{name}</dt><dd>{escape(words)}</dd>" for name, words in facts.items()
    )
    return f"<details><summary>How this was measured</summary><dl>{rows}</dl></details>"
