"""The section of the report that compares a run with one from random weights."""

from html import escape
from pathlib import Path

import numpy as np

from models.counted import counted
from trainer.evaluation.text import precision_text
from trainer.report.charts import Axis, LineSeries, line_chart
from trainer.report.figures import factory_shares
from trainer.report.markup import panel, table
from trainer.run_record import RunRecord

FROM_SCRATCH = "random weights"


def scratch_section(run: RunRecord, scratch: RunRecord) -> str:
    """Return the section."""
    columns = "", escape(_start(run)), FROM_SCRATCH
    rows = zip(_figures(run), _figures(scratch), strict=True)
    figures = table(columns, [(name, one, other) for (name, one), (_, other) in rows])
    text = "mAP@.33 of the averaged weights on validation photos, during training."
    panels = "".join(panel(title, text, body) for title, body in _charts(run, scratch))
    charts = f'<div class="panels">{panels}</div>' if panels else ""
    return (
        "<h2>With and without pretrained weights</h2><p>"
        f"{escape(comparison_text(run, scratch))} Photos, recipe, seed and schedule "
        f"are the same; only the weights at the start differ.</p>{figures}{charts}"
    )


def comparison_text(run: RunRecord, scratch: RunRecord) -> str:
    """Return in a sentence what the pretrained weights brought."""
    steps = run.schedule.steps if run.schedule else 0
    return (
        f"After the same {counted(steps, 'step')} mAP@.33 is "
        f"{precision_text(run.metrics.map_33)} from {_start(run)} and "
        f"{precision_text(scratch.metrics.map_33)} from {FROM_SCRATCH}, recall "
        f"{precision_text(run.metrics.recall)} and "
        f"{precision_text(scratch.metrics.recall)}."
    )


def comparison_document(run: RunRecord, scratch: RunRecord) -> dict[str, object]:
    """Return the figures of both for programs."""
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
    } | {"words": comparison_text(run, scratch)}


def _start(run: RunRecord) -> str:
    return Path(run.pretrained).name


def _figures(record: RunRecord) -> list[tuple[str, str]]:
    """Return the name and value of each row."""
    metrics = record.metrics
    return [
        ("mAP@.33", precision_text(metrics.map_33)),
        ("mAP@.5", precision_text(metrics.map_50)),
        ("mAP@.75", precision_text(metrics.map_75)),
        *factory_shares(metrics),
        ("minutes of training", f"{record.seconds / 60:.1f}"),
    ]


def _charts(run: RunRecord, scratch: RunRecord) -> list[tuple[str, str]]:
    """Return the charts over steps and minutes; empty where nothing was measured."""
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
