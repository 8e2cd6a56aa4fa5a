"""The section that compares a run with one from random weights."""

import json

import pytest

from models.detections import Detections, no_detections
from tests.simulators.records import make_record
from trainer.data.dataset import Photo
from trainer.report.comparison import (
    FROM_SCRATCH,
    comparison_document,
    comparison_text,
    scratch_section,
)
from trainer.run_record import RunRecord

LABELS = ("dent", "hole", "unused")


@pytest.fixture
def run(photos: list[Photo], found: list[Detections]) -> RunRecord:
    record = make_record(photos, found, LABELS)
    return record.model_copy(update={"pretrained": "/weights/graft<n>"})


@pytest.fixture
def scratch(photos: list[Photo]) -> RunRecord:
    return make_record(photos, [no_detections() for _ in photos], LABELS)


def test_sentence_gives_both_figures(run: RunRecord, scratch: RunRecord) -> None:
    text = comparison_text(run, scratch)
    assert f"{run.metrics.map_33:.3f} from graft<n> and 0.000 from {FROM_SCRATCH}" in (
        text
    )
    assert "recall 0.333 and 0.000" in text


def test_section_shows_both_side_by_side(run: RunRecord, scratch: RunRecord) -> None:
    html = scratch_section(run, scratch)
    assert "<th>graft&lt;n&gt;</th><th>random weights</th>" in html
    assert "<td>good parts alarmed</td>" in html
    assert "<svg" not in html  # nothing was measured during the trainings


def test_charts_over_steps_and_minutes_where_both_were_measured(
    run: RunRecord, scratch: RunRecord
) -> None:
    both = []
    for record in (run, scratch):
        curve = [point.model_copy(update={"map_33": 0.5}) for point in record.curve]
        both.append(record.model_copy(update={"curve": tuple(curve)}))
    html = scratch_section(*both)
    assert html.count("<svg") == 2
    assert "Over minutes" in html


def test_document_is_plain_json(run: RunRecord, scratch: RunRecord) -> None:
    document = comparison_document(run, scratch)
    assert json.loads(json.dumps(document)) == document
    assert set(document) == {"run", "scratch", "words"}
