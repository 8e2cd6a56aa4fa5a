"""Sections of the report on made-up figures."""

import pytest

from models.manifest import COUNTED_SHARES, MEAN_PRECISIONS, Metrics
from tests.simulators.records import make_record
from trainer.report import sections
from trainer.report.sections import accuracy, on_the_line
from trainer.run_record import CurvePoint, ScheduleRecord


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(
        map_33=0.9,
        map_50=0.8,
        map_75=0.4,
        map_50_95=0.45,
        recall=0.75,
        recall_interval=(0.6, 0.85),
        precision=0.9,
        precision_interval=(0.8, 0.95),
        overkill=0.02,
        overkill_interval=(0.01, 0.07),
        escapes=0.1,
        escapes_interval=(0.05, 0.2),
        images=140,
        good_images=100,
        split="val",
    )


def test_factory_figures_have_their_intervals(metrics: Metrics) -> None:
    html = on_the_line(metrics)
    assert "75.0<small> %</small>" in html
    assert "95 %: 60.0 to 85.0 %" in html
    assert "not measured" not in html


def test_figures_without_photos_to_measure_on_are_a_dash(metrics: Metrics) -> None:
    html = on_the_line(metrics.without(COUNTED_SHARES, "All photos show <one> part."))
    assert html.count("not measured") == 4
    assert "All photos show &lt;one&gt; part." in html
    assert "small> %" not in html


def test_mean_precision_without_a_box_is_a_dash(metrics: Metrics) -> None:
    html = accuracy(metrics.without(MEAN_PRECISIONS, ""))
    assert html.count("not measured") == 4
    assert "0.000" not in html


def test_accuracy_shows_four_overlaps(metrics: Metrics) -> None:
    html = accuracy(metrics)
    assert html.count('class="card small"') == 4
    assert "0.450" in html


@pytest.mark.parametrize(
    ("measured", "text"),
    [
        (4, "An estimate: the averaged weights on 4 photos, not on the 12 that"),
        (12, "The averaged weights on the 12 photos that the run is measured on."),
    ],
    ids=["part", "all"],
)
def test_map_while_training_is_called_an_estimate_on_fewer_photos(
    measured: int, text: str
) -> None:
    point = CurvePoint(
        epoch=1, step=1, seconds=1, loss=8, map_33=0.5, map_50=0.4, photos=measured
    )
    schedule = ScheduleRecord(steps=1, steps_per_epoch=1, reduced=("fewer <steps>",))
    stored = make_record((), (), ("dot",))
    measured_on = stored.metrics.model_copy(update={"images": 12})
    stored = stored.model_copy(
        update={"curve": (point,), "schedule": schedule, "metrics": measured_on}
    )
    assert text in sections._measured_while_training(stored)  # noqa: SLF001
    assert "fewer &lt;steps&gt;." in sections._loss(stored)  # noqa: SLF001
