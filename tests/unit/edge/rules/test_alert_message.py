"""The content of alert and verdict messages."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.rules.alert_message import (
    AlertPictures,
    FrameContext,
    StationIdentity,
    build_alert,
    build_verdict,
    verdict_kind,
)
from models.detections import Detections, no_detections
from models.messages import AlertData, ModelInForce, VerdictKind

STATION = StationIdentity(
    site="plant",
    line="line-1",
    station="station-1",
    boot_id="boot",
    clock_synchronized=True,
    model=ModelInForce(name="model", build=7, sha256="0" * 64),
)
FRAME = FrameContext(
    camera="top",
    frame_id=42,
    part_id="part-9",
    captured_ns=1_000_000_000,
    captured_at=datetime(2026, 5, 4, tzinfo=UTC),
    decided_ns=1_012_500_000,
    frame_width_px=200,
    frame_height_px=100,
)
LABELS = ("scratch", "stain")


def found(*boxes: tuple[float, float, float, float]) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.linspace(0.9, 0.5, count, dtype=np.float32),
        np.arange(count, dtype=np.int64) % 2,
    )


def alert_of(detections: Detections, frame: FrameContext = FRAME) -> AlertData:
    return build_alert(
        STATION,
        frame,
        detections,
        LABELS,
        pictures=AlertPictures("2026-05-04/top/part-9.jpg", "a" * 64),
    )


def test_part_with_a_detection_is_a_defect() -> None:
    assert verdict_kind(found((1, 2, 3, 4))) is VerdictKind.DEFECT


def test_part_without_detections_is_ok() -> None:
    assert verdict_kind(no_detections()) is VerdictKind.OK


def test_part_that_was_not_inspected_is_never_ok() -> None:
    verdict = build_verdict(STATION, FRAME, None, reason="late")
    assert verdict.verdict is VerdictKind.NOT_INSPECTED
    assert verdict.reason == "late"
    assert verdict.part_id == "part-9"


def test_verdict_with_a_long_reason_is_still_a_verdict() -> None:
    verdict = build_verdict(STATION, FRAME, None, reason="x" * 3000)
    assert len(verdict.reason) == 500


def test_verdict_states_whether_the_clock_can_be_trusted() -> None:
    for is_synchronized in (True, False):
        station = replace(STATION, clock_synchronized=is_synchronized)
        verdict = build_verdict(station, FRAME, no_detections())
        assert verdict.clock_synchronized is is_synchronized


def test_alert_lists_every_detection_in_pixels_and_shares() -> None:
    alert = alert_of(found((10, 20, 60, 70), (100, 50, 200, 100)))
    assert [d.label for d in alert.detections] == ["scratch", "stain"]
    assert alert.detections[0].box_px == (10, 20, 60, 70)
    assert alert.detections[0].box_norm == (0.05, 0.2, 0.3, 0.7)
    assert alert.detections[1].box_norm == (0.5, 0.5, 1.0, 1.0)
    assert alert.detections[0].score == pytest.approx(0.9, abs=1e-5)


def test_alert_names_station_time_and_model() -> None:
    alert = alert_of(found((1, 2, 3, 4)))
    assert (alert.site, alert.line, alert.station) == ("plant", "line-1", "station-1")
    assert (alert.camera, alert.frame_id, alert.part_id) == ("top", 42, "part-9")
    assert alert.captured_at == FRAME.captured_at
    assert alert.frame_age_ms == 12.5
    assert alert.model.build == 7
    assert alert.evidence == "2026-05-04/top/part-9.jpg"
    assert alert.thumbnail_sha256 == "a" * 64


def test_age_is_never_negative() -> None:
    frame = replace(FRAME, decided_ns=0)
    assert alert_of(found((1, 2, 3, 4)), frame).frame_age_ms == 0


def test_alert_without_detections_is_refused() -> None:
    with pytest.raises(ValueError, match="detections"):
        alert_of(no_detections())


@settings(deadline=None)  # the machine of a test may be busy
@given(
    st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 4), min_size=1, max_size=5),
    st.floats(-1, 2, width=32),
)
def test_boxes_and_scores_of_any_size_make_a_valid_alert(
    boxes: list[tuple[float, float, float, float]], score: float
) -> None:
    detections = found(*boxes)
    wild = replace(detections, scores=np.full(len(boxes), score, np.float32))
    alert = alert_of(wild)
    again = AlertData.model_validate_json(alert.model_dump_json())
    assert again == alert
    for detection in alert.detections:
        x1, y1, x2, y2 = detection.box_px
        assert 0 <= min(x1, x2) <= max(x1, x2) <= 200
        assert 0 <= min(y1, y2) <= max(y1, y2) <= 100
