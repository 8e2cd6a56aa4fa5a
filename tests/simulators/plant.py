"""A history as many stations fill it, without a broker."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard.messages import Message, Record, read_message
from models.messages import (
    CameraState,
    CameraStats,
    CameraStatus,
    DaemonState,
    StationStatus,
    VerdictData,
    VerdictEvent,
    VerdictKind,
)
from models.topics import StationTopics
from tests.simulators.station import MODEL, alert_event, detection, picture

LABELS = ("scratch", "dent", "crack", "stain", "missing-hole")
PARTS = 60  # of the last hour, on each camera


def record_of(topic: str, payload: bytes | str, at: datetime) -> Record:
    """Return the record of a message that arrives at this time."""
    payload = payload.encode() if isinstance(payload, str) else payload
    record = read_message(Message(topic, payload, round(at.timestamp() * 1000)))
    assert not hasattr(record, "reason"), record
    assert record is not None
    return record  # type: ignore[return-value]


@dataclass
class SimCameraPlace:
    """One camera of a plant.

    Attributes:
        seed: Of its pictures and figures.
    """

    line: str
    station: str
    camera: str = "top"
    seed: int = 0

    @property
    def topics(self) -> StationTopics:
        """Topics of its station."""
        return StationTopics("plant", self.line, self.station)

    def status(
        self,
        state: CameraState = CameraState.UP,
        reason: str = "",
        daemon: DaemonState = DaemonState.READY,
        age_s: float = 0,
        **changes: Any,
    ) -> list[Record]:
        """Return the last states of station and camera, and its statistics."""
        at = datetime.now(UTC) - timedelta(seconds=age_s)
        station = StationStatus(
            state=daemon,
            boot_id="boot-1",
            version="0.1.0",
            model=MODEL,
            stream=f"{self.station}-00ff",
            at=at,
            **changes,
        )
        camera = CameraStatus(state=state, reason=reason, fps=25, since=at)
        stats = CameraStats(
            at=at,
            frames_captured=1000,
            frames_inspected=1000,
            frames_dropped=0,
            alerts=self.seed,
            fps=24.8 - self.seed / 10,
            latency_ms_p50=16.2 + self.seed,
            latency_ms_p99=31.0,
        )
        topics, messages = self.topics, []
        messages.append((topics.status, station))
        messages.append((topics.camera(self.camera, "status"), camera))
        messages.append((topics.camera(self.camera, "stats"), stats))
        return [
            record_of(topic, each.model_dump_json(), at) for topic, each in messages
        ]

    def alert(self, seq: int, age_s: float = 0, label: str = "") -> list[Record]:
        """Return a picture and its alert."""
        at = datetime.now(UTC) - timedelta(seconds=age_s)
        left, top = 130.0 + 37 * (self.seed % 9), 120.0 + 23 * (self.seed % 7)
        box = (left, top, left + 90, top + 60)
        jpeg = picture(self.seed * 100 + seq, [box])
        event = alert_event(
            self.topics,
            seq,
            self.camera,
            stream=f"{self.line}-{self.station}-{self.camera}",
            captured_at=at,
            part_id=f"part-{1000 + seq}",
            detections=(detection(label or LABELS[self.seed % 5], 0.87, box),),
            thumbnail_sha256=hashlib.sha256(jpeg).hexdigest(),
        )
        image = self.topics.camera(self.camera, f"image/{event.id}")
        alert = self.topics.camera(self.camera, "alert")
        return [
            record_of(image, jpeg, at),
            record_of(alert, event.model_dump_json(), at),
        ]

    def parts(self, defective: int, first_seq: int = 1) -> list[Record]:
        """Return the verdicts of the last hour's parts, the defective ones last."""
        found, now = [], datetime.now(UTC)
        for number in range(PARTS):
            at = now - timedelta(seconds=PARTS - number)
            is_bad = number >= PARTS - defective
            data = VerdictData(
                seq=first_seq + number,
                stream=f"{self.line}-{self.station}-{self.camera}-parts",
                site="plant",
                line=self.line,
                station=self.station,
                boot_id="boot-1",
                camera=self.camera,
                part_id=f"part-{number}",
                frame_id=number,
                verdict=VerdictKind.DEFECT if is_bad else VerdictKind.OK,
                captured_at=at,
            )
            event = VerdictEvent(
                id=f"{data.stream}:{data.seq}",
                source=self.topics.root,
                time=at,
                data=data,
            )
            topic = self.topics.camera(self.camera, "verdict")
            found.append(record_of(topic, event.model_dump_json(), at))
        return found


def places(count: int, lines: int) -> list[SimCameraPlace]:
    """Return cameras that are all called "top", spread over lines."""
    return [
        SimCameraPlace(f"line-{n % lines + 1}", f"press-{n // lines + 1}", seed=n)
        for n in range(count)
    ]
