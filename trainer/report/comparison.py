"""The section of the report that compares a run with one from random weights."""

from html import escape
from pathlib import Path

import numpy as np

from trainer.report.charts import Axis, LineSeries, line_chart
from trainer.run import RunRecord

FROM_SCRATCH = "random weights"


def against_scratch(run: RunRecord, scratch: RunRecord) -> str:
    """Return the section.

    Args:
        run: From pretrained weights.
        scratch: The same training from random ones.
    """
    panels = "".join(
        f'<div class="panel"><h3>{title}</h3><p>mAP@.33 of the averaged weights on '
        f"validation photos, measured while training.</p>{chart}</div>"
        for title, chart in _charts(run, scratch)
    )
    shown = f'<div class="panels">{panels}</div>' if panels else ""
    return (
        "<h2>With and without pretrained weights</h2><p>"
        f"{escape(comparison_words(run, scratch))} The same photos, recipe, seed and "
        "schedule; only the weights at the start differ.</p>"
        f"{_table(run, scratch)}{shown}"
    )


def comparison_words(run: RunRecord, scratch: RunRecord) -> str:
    """Return in a sentence what the pretrained weights brought.

    Args:
        run: From pretrained weights.
        scratch: The same training from random ones.
    """
    steps = run.schedule.steps if run.schedule else 0
    return (
        f"After the same {steps} steps mAP@.33 is {run.metrics.map_33:.3f} from "
        f"{_start(run)} and {scratch.metrics.map_33:.3f} from {FROM_SCRATCH}, recall "
        f"{run.metrics.recall:.3f} and {scratch.metrics.recall:.3f}."
    )


def comparison_document(run: RunRecord, scratch: RunRecord) -> dict[str, object]:
    """Return the figures of both for programs.

    Args:
        run: From pretrained weights.
        scratch: The same training from random ones.
    """
    return {
        name: {
            "pretrained": record.pretrained,
            "seconds": record.seconds,
            "steps": record.schedule.steps if record.schedule else None,
            "metrics": record.metrics.model_dump(mode="json"),
            "thresholds": record.thresholds.model_dump(mode="json"),
            "training": [point.model_dump(mode="json") for point in record.curve],
        }
        for name, record in (("run", run), ("scratch", scratch))
    } | {"words": comparison_words(run, scratch)}


def _start(run: RunRecord) -> str:
    return Path(run.pretrained).name


def _table(run: RunRecord, scratch: RunRecord) -> str:
    """Return the figures side by side."""
    rows = "".join(
        f"<tr><td>{name}</td><td>{one}</td><td>{other}</td></tr>"
        for (name, one), (_, other) in zip(
            _figures(run), _figures(scratch), strict=True
        )
    )
    return (
        '<div class="panel scroll"><table><thead><tr><th></th>'
        f"<th>{escape(_start(run))}</th><th>{FROM_SCRATCH}</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div><p></p>"
    )


def _figures(record: RunRecord) -> list[tuple[str, str]]:
    """Return the rows of one of the two."""
    metrics = record.metrics
    shares = [
        ("defects found", metrics.recall, metrics.recall_interval),
        ("right when reported", metrics.precision, metrics.precision_interval),
        ("defective parts escaped", metrics.escapes, metrics.escapes_interval),
    ]
    if metrics.good_images:
        shares.append(
            ("good parts alarmed", metrics.overkill, metrics.overkill_interval)
        )
    return [
        ("mAP@.33", f"{metrics.map_33:.3f}"),
        ("mAP@.5", f"{metrics.map_50:.3f}"),
        ("mAP@.75", f"{metrics.map_75:.3f}"),
        *(
            (name, f"{100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f})")
            for name, share, (low, high) in shares
        ),
        ("minutes of training", f"{record.seconds / 60:.1f}"),
    ]


def _charts(run: RunRecord, scratch: RunRecord) -> list[tuple[str, str]]:
    """Return the charts over steps and minutes; none where nothing was measured."""
    both = [
        (name, [point for point in record.curve if point.map_33 is not None])
        for name, record in ((_start(run), run), (FROM_SCRATCH, scratch))
    ]
    if not all(points for _, points in both):
        return []
    charts = []
    for title, unit in (("Over steps", "steps"), ("Over minutes", "minutes")):
        lines = []
        for name, points in both:
            x = [p.step if unit == "steps" else p.seconds / 60 for p in points]
            y = [p.map_33 for p in points]
            lines.append(LineSeries(name, np.array([0, *x]), np.array([0, *y])))
        last = max(float(line.x.max()) for line in lines)
        axis = Axis(unit, max(last, 1e-3), percent=False)
        charts.append((title, line_chart(lines, axis, Axis("mAP@.33", percent=False))))
    return charts
