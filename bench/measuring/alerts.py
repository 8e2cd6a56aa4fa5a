"""Alerts as a real station makes them: about 1 kB each, without a picture."""

from datetime import datetime

from models.messages import AlertData, AlertDetection, ModelInForce
from models.topics import StationTopics

TOPICS = StationTopics("bench", "line-1", "station-1")
DETECTIONS = 3


def make_alert(number: int, captured_at: datetime) -> AlertData:
    """Return an alert of one part with three defects."""
    return AlertData(
        site=TOPICS.site,
        line=TOPICS.line,
        station=TOPICS.station,
        boot_id="5a3e4c70bb3b4f5c9f3d3b5a2a3c9f10",
        camera="top",
        part_id=f"part-{number:08}",
        frame_id=number,
        captured_at=captured_at,
        captured_ns=1_000_000_000 + number,
        decided_ns=1_009_000_000 + number,
        frame_age_ms=9.0,
        clock_synchronized=True,
        model=ModelInForce(
            name="boards", build=7, sha256="0123456789abcdef" * 4, variant="int8"
        ),
        frame_width_px=1920,
        frame_height_px=1080,
        detections=tuple(
            AlertDetection(
                label="missing_hole",
                score=0.91234,
                box_px=(10.25 + place, 20.5, 30.75 + place, 40.0),
                box_norm=(0.00534, 0.01898, 0.01602, 0.03704),
            )
            for place in range(DETECTIONS)
        ),
        thumbnail_sha256=None,
        evidence=f"2026-05-04/top/part-{number:08}.jpg",
    )
