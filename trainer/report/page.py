"""Writes the report of a detector: one HTML file, and its figures as JSON beside it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from models.counted import counted
from models.detections import Detections
from models.errors import TrainingError
from models.files import read_regular, write_atomically
from models.manifest import Metrics, ThresholdRule, Thresholds
from models.strict_json import parse_json
from trainer.data.dataset import Dataset, Photo
from trainer.evaluation.metrics import RIGHT_IOU
from trainer.report.document import Study, report_figures
from trainer.report.figures import label_figures, match_photo
from trainer.report.groups import by_group, group_figures
from trainer.report.markup import document
from trainer.report.operating_point import operating_curve
from trainer.report.part_scores import part_scores
from trainer.report.sections import (
    ReportSubject,
    accuracy,
    alarmed_good,
    by_label,
    charts,
    on_the_line,
    worst,
)
from trainer.report.unknown import unknown_section
from trainer.run_record import RunRecord, unwritable

FIGURES_SUFFIX = ".json"
FIGURES_MAX_BYTES = 64 << 20  # a report of 10,000 photos has some 5 MB
REPORT_KEYS = {"title", "metrics", "operating_curve"}


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
        found: One for each photo, from ``predict_photos``.
        record: For the training curve; None for a package.

    Raises:
        TrainingError: The file cannot be written, or its figures would replace a JSON
            file that is not a report's.
        DatasetError: A photo can no longer be read.
    """
    refuse_foreign_figures(path)
    rule = thresholds.decision_rule(dataset.labels)
    pairs = zip(found, photos, strict=True)
    matched = [match_photo(one, photo, rule) for one, photo in pairs]
    subject = ReportSubject(
        title,
        dataset,
        rule.score_thresholds,
        thresholds,
        metrics,
        record,
        matched,
        label_figures(found, photos, rule),
        operating_curve(found, photos, rule),
        part_scores(found, photos),
        group_figures(dataset, matched),
    )
    page = _page(subject, [part for study in studies for part in study.sections])
    figures = report_figures(subject, {s.name: s.document for s in studies})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # names of files may hold bytes that are not UTF-8
        write_atomically(path, page.encode("utf-8", "backslashreplace"))
        text = figures.model_dump_json(indent=2) + "\n"
        write_atomically(path.with_suffix(FIGURES_SUFFIX), text.encode())
    except OSError as exc:
        raise unwritable(path, exc) from exc


def refuse_foreign_figures(path: Path) -> None:
    """Raise where the figures of a report would replace another file.

    Args:
        path: HTML file to write. Beside ``packages/plate/manifest.html`` lies the
            manifest of a package, beside ``photos/train.html`` may lie labels.

    Raises:
        TrainingError: The JSON file beside it is no report's, or is the page itself.
    """
    figures = path.with_suffix(FIGURES_SUFFIX)
    if figures == path:
        why = "The page is HTML, and its figures are written beside it as JSON."
    elif figures.exists() and not _is_report(figures):
        why = f"Its figures would replace {figures}, which is not a report's."
    else:
        return
    raise TrainingError(
        f"{path}: no report can be written there.",
        why=why,
        fix="Give a name that ends in .html, in a folder of its own.",
    )


def _is_report(path: Path) -> bool:
    try:
        document = parse_json(read_regular(path, FIGURES_MAX_BYTES))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.keys() >= REPORT_KEYS


def _page(subject: ReportSubject, studies: Sequence[str]) -> str:
    sections = (
        _head(subject),
        on_the_line(subject.metrics),
        accuracy(subject.metrics),
        by_label(subject),
        by_group(subject.groups),
        _unknown(subject),
        charts(subject),
        worst(subject),
        alarmed_good(subject),
        *studies,
        _small_print(subject),
    )
    title = f"{escape(subject.title)} - Graftline report"
    return document(title, ["report.css"], "".join(sections))


def _unknown(subject: ReportSubject) -> str:
    """Return the section on the class ``unknown``; empty where all are named."""
    record = subject.record
    if record is None or record.unknown is None:
        return ""
    threshold = float(subject.scores[-1])
    return unknown_section(subject.dataset, record.unknown, threshold)


def _head(subject: ReportSubject) -> str:
    """Return the title, and escapes and overkill in a sentence each."""
    metrics = subject.metrics
    defective = metrics.images - metrics.good_images
    sentences = []
    if metrics.escapes is not None:
        share = _of_hundred(metrics.escapes, "passes", "pass")
        sentences.append(f"Of 100 defective parts, {share} unseen.")
    else:
        sentences.append("How many defective parts pass was not measured.")
    if promised := _promised_overkill(subject):
        sentences.append(
            f"Of 1000 good parts like these, at most {1000 * promised:.0f} are alarmed "
            "on average."
        )
    elif metrics.overkill is not None:
        share = _of_hundred(metrics.overkill, "is", "are")
        sentences.append(f"Of 100 good parts, {share} alarmed.")
    else:
        sentences.append("How many good parts are alarmed was not measured.")
    source = escape(subject.dataset.root.resolve().name)
    apart = ", none of which was trained on" if subject.record else ""
    return (
        '<header><p class="kind">Graftline report</p>'
        f"<h1>{escape(subject.title)}</h1>"
        f'<p class="lead">{" ".join(sentences)}</p>'
        f'<p class="facts">Measured on {counted(metrics.images, "photo")} ('
        f"{defective} defective, "
        f"{metrics.good_images} good) of {source}, split {escape(metrics.split)}"
        f"{apart}.</p></header>"
    )


def _promised_overkill(subject: ReportSubject) -> float | None:
    """Return the promised share, where overkill is measured on the parts that set it.

    The threshold lies above nearly all of them: their own share says little.
    """
    thresholds, metrics = subject.thresholds, subject.metrics
    measured = (metrics.split, metrics.images)
    is_own = measured == (thresholds.chosen_on, thresholds.images)
    if not is_own or thresholds.rule is not ThresholdRule.OVERKILL:
        return None
    return thresholds.promise.share if thresholds.promise else None


def _of_hundred(share: float, one: str, many: str) -> str:
    """Return a share of one hundred, rounded to whole parts, with its verb.

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
    """Return how it was measured, and what is needed to repeat it."""
    facts = {
        "Average precision": "pycocotools: 101 recall points, at most 100 detections "
        "a photo.",
        "Intervals": "Wilson score intervals, 95 %.",
        "Right": f"Right name, overlap (IoU) at least {RIGHT_IOU}, each label counted "
        "once.",
        "Dataset": f"sha256 {subject.dataset.sha256}",
    }
    if subject.record:
        record = subject.record
        facts |= {
            "Detector": f"{record.detector}, {record.activation}, input "
            f"{record.input_width_px} x {record.input_height_px} px",
            "Trained from": f"{record.pretrained}, seed {record.seed}, "
            f"{counted(record.dataset_images, 'photo')} in all",
            "Left out": "; ".join(record.schedule.reduced if record.schedule else ())
            or "nothing",
            "Recipe": ", ".join(f"{k} {v}" for k, v in record.recipe.items()),
            "Versions": ", ".join(f"{k} {v}" for k, v in record.versions.items()),
        }
    rows = "".join(
        f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()
    )
    return f"<details><summary>How this was measured</summary><dl>{rows}</dl></details>"
