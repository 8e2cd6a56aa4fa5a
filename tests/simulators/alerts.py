"""Events as the daemon would make them."""

import hashlib
from datetime import UTC, datetime

import cv2
import numpy as np

from models.messages import (
    AlertData,
    AlertDetection,
    DaemonState,
    ModelInForce,
    StationStatus,
    VerdictData,
    VerdictKind,
)
from models.topics import StationTopics

TOPICS = StationTopics("plant", "line-1", "station-1")
ALERT_TOPIC = TOPICS.camera("top", "alert")
VERDICT_TOPIC = TOPICS.camera("top", "verdict")
CAPTURED_AT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def jpeg(number: int = 0, size_bytes: int = 600) -> bytes:
    """Return bytes that pass for a JPEG; each number has its own."""
    return b"\xff\xd8\xff" + number.to_bytes(8, "big") + bytes(size_bytes - 11)


def photo(number: int = 0, side_px: int = 320) -> bytes:
    """Return a JPEG of noise, some 0.2 bytes for each pixel; it can be made smaller."""
    chance = np.random.default_rng(number)
    noise = chance.integers(0, 256, (side_px * 3 // 4, side_px, 3), np.uint8)
    frame = cv2.GaussianBlur(noise, (5, 5), 0)
    return cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 70])[1].tobytes()


def alert(frame_id: int, image: bytes | None = None) -> AlertData:
    """Return an alert of a frame."""
    box = AlertDetection(
        label="scratch",
        score=0.9,
        box_px=(10, 20, 30, 40),
        box_norm=(0.1, 0.2, 0.3, 0.4),
    )
    return AlertData(
        site=TOPICS.site,
        line=TOPICS.line,
        station=TOPICS.station,
        boot_id="boot",
        camera="top",
        frame_id=frame_id,
        captured_at=CAPTURED_AT,
        captured_ns=1_000_000,
        decided_ns=9_000_000,
        frame_age_ms=8,
        clock_synchronized=True,
        model=ModelInForce(name="model", build=7, sha256="0" * 64),
        frame_width_px=1280,
        frame_height_px=720,
        detections=(box,),
        thumbnail_sha256=hashlib.sha256(image).hexdigest() if image else None,
    )


def verdict(frame_id: int) -> VerdictData:
    """Return a verdict of a part."""
    return VerdictData(
        site=TOPICS.site,
        line=TOPICS.line,
        station=TOPICS.station,
        boot_id="boot",
        camera="top",
        part_id=f"part-{frame_id}",
        frame_id=frame_id,
        verdict=VerdictKind.OK,
        captured_at=CAPTURED_AT,
    )


def station_status(state: DaemonState = DaemonState.READY) -> StationStatus:
    """Return a station's status."""
    return StationStatus(state=state, boot_id="boot", version="1")
