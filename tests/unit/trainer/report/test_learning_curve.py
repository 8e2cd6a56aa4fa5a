"""The section on how many more photos are needed."""

import json

import numpy as np
import pytest

from trainer.learning_curve.extrapolation import Extrapolation, extrapolate
from trainer.learning_curve.series import Series
from trainer.report.learning_curve import (
    learning_curve_document,
    learning_curve_section,
)

PHOTOS = (25, 50, 75, 100)


def measured(label: str | None, values: tuple[float, ...]) -> Extrapolation:
    rng = np.random.default_rng(0)
    draws = np.array(values) + 0.01 * rng.normal(size=(400, len(values)))
    sides = tuple((value - 0.01, value + 0.01) for value in values)
    series = Series(label, PHOTOS, values, sides, draws, 2000, 500)
    return extrapolate(series, 0.95, 0)


@pytest.fixture
def extrapolations() -> list[Extrapolation]:
    return [
        measured(None, (0.7, 0.85, 0.9, 0.925)),  # an error of 7.5 / n
        measured("<spur>", (0.9, 0.94, 0.95, 0.96)),
    ]


def test_section_has_a_row_and_a_chart_for_each_figure(
    extrapolations: list[Extrapolation],
) -> None:
    html = learning_curve_section(extrapolations, 50, ["<pit>"])
    assert "Trained 4 times, on 25, 50, 75, 100 photos" in html
    assert "All together, mAP@.33" in html
    assert "&lt;spur&gt;, recall" in html
    assert "&lt;pit&gt;: not measured, no photo to measure on shows" in html
    assert html.count("<svg") == 2
    assert html.count("dashed") == 1  # the second has reached its goal: no curve


def test_document_is_plain_json_with_a_curve_where_there_is_one(
    extrapolations: list[Extrapolation],
) -> None:
    document = learning_curve_document(extrapolations, 50, ["pit"])
    assert json.loads(json.dumps(document)) == document
    assert document["labels_without_boxes"] == ["pit"]
    together, spur = json.loads(json.dumps(document))["outlooks"]
    assert (together["label"], together["figure"]) == (None, "mAP@.33")
    law = together["error_curve"]
    fitted = law["a"] + law["b"] * 100 ** -law["c"]
    assert fitted == pytest.approx(0.075, abs=0.01)
    assert (spur["verdict"], spur["error_curve"]) == ("reached", None)
    assert [point["photos"] for point in spur["points"]] == list(PHOTOS)
