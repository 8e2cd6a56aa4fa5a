"""A station that publishes its messages, without cameras and models."""

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from models.messages import (
    Acknowledgement,
    AlertData,
    AlertDetection,
    AlertEvent,
    CameraState,
    CameraStats,
    CameraStatus,
    DaemonState,
    ModelInForce,
    StationStatus,
    VerdictData,
    VerdictEvent,
    VerdictKind,
)
from models.topics import StationTopics

LIMIT_S = 15.0
WIDTH_PX, HEIGHT_PX = 640, 480
MODEL = ModelInForce(name="boards", build=1763900000, sha256="ab" * 32, variant="fp32")


def picture(seed: int, boxes: Sequence[tuple[float, ...]] = ()) -> bytes:
    """Return a JPEG of a made-up metal part, with a dark spot in each box."""
    rng = np.random.default_rng(seed)
    frame = np.full((HEIGHT_PX, WIDTH_PX, 3), 150, np.float32)
    frame += rng.normal(0, 6, (HEIGHT_PX, 1, 1)) + rng.normal(0, 4, frame.shape)
    frame = frame.clip(0, 255).astype(np.uint8)
    for hole in ((120, 110), (520, 110), (120, 370), (520, 370)):
        cv2.circle(frame, hole, 36, (52, 48, 46), -1, cv2.LINE_AA)
    for x1, y1, x2, y2 in boxes:
        center = (int((x1 + x2) / 2), int((y1 + y2) / 2))
        axes = (max(2, int((x2 - x1) / 3)), max(2, int((y2 - y1) / 3)))
        cv2.ellipse(frame, center, axes, 20, 0, 360, (40, 44, 60), -1, cv2.LINE_AA)
    return bytes(cv2.imencode(".jpg", frame)[1])


def detection(
    label: str,
    score: float = 0.9,
    box_px: tuple[float, float, float, float] = (200, 150, 260, 190),
) -> AlertDetection:
    """Return a box of an alert."""
    x1, y1, x2, y2 = box_px
    share = (x1 / WIDTH_PX, y1 / HEIGHT_PX, x2 / WIDTH_PX, y2 / HEIGHT_PX)
    return AlertDetection(label=label, score=score, box_px=box_px, box_norm=share)


def alert_event(
    topics: StationTopics, seq: int, camera: str = "top", **changes: Any
) -> AlertEvent:
    """Return an alert; ``changes`` are of its data."""
    stream = changes.pop("stream", f"{topics.station}-00ff")
    values: dict[str, Any] = {
        "seq": seq,
        "stream": stream,
        "site": topics.site,
        "line": topics.line,
        "station": topics.station,
        "boot_id": "boot-1",
        "camera": camera,
        "frame_id": seq,
        "captured_at": datetime.now(UTC),
        "captured_ns": time.monotonic_ns(),
        "decided_ns": time.monotonic_ns() + 20_000_000,
        "frame_age_ms": 21.5,
        "clock_synchronized": True,
        "model": MODEL,
        "frame_width_px": WIDTH_PX,
        "frame_height_px": HEIGHT_PX,
        "detections": (detection("scratch"),),
        **changes,
    }
    return AlertEvent(
        id=f"{stream}:{seq}",
        source=topics.root,
        time=values["captured_at"],
        data=AlertData(**values),
    )


class SimStation:
    """One station on a real broker.

    Args:
        port: Of the broker on the loopback interface.
        station: Its name; the site is ``plant``.
        protocol: Version of MQTT.
        line: Name of its line.
    """

    def __init__(
        self,
        port: int,
        station: str = "press-1",
        protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5,
        line: str = "line-1",
    ) -> None:
        self.topics = StationTopics("plant", line, station)
        self.stream = f"{station}-{time.monotonic_ns():x}"
        self.seq = 0
        self.acks: list[Acknowledgement] = []
        self._counters: dict[str, int] = {}
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self._client.on_message = self._when_acknowledged
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe(self.topics.ack, 1)

    def _when_acknowledged(self, _: Client, __: object, message: MQTTMessage) -> None:
        self.acks.append(Acknowledgement.model_validate_json(message.payload))

    def publish(
        self, topic: str, payload: str | bytes, *, retain: bool = False
    ) -> None:
        """Publish anything at QoS 1 and wait until the broker has it."""
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        info.wait_for_publish(LIMIT_S)
        assert info.is_published()

    def say(self, state: DaemonState = DaemonState.READY, reason: str = "") -> None:
        """Publish the station's status, retained."""
        status = StationStatus(
            state=state,
            reason=reason,
            boot_id="boot-1",
            version="0.1.0",
            model=MODEL,
            stream=self.stream,
            outbox_depth=0,
            at=datetime.now(UTC),
        )
        self.publish(self.topics.status, status.model_dump_json(), retain=True)

    def say_camera(
        self, camera: str = "top", state: CameraState = CameraState.UP, reason: str = ""
    ) -> None:
        """Publish a camera's status, retained."""
        status = CameraStatus(
            state=state, reason=reason, fps=25, since=datetime.now(UTC)
        )
        topic = self.topics.camera(camera, "status")
        self.publish(topic, status.model_dump_json(), retain=True)

    def count(self, camera: str = "top", fps: float = 24.8) -> None:
        """Publish a camera's statistics."""
        frames = self._counters[camera] = self._counters.get(camera, 0) + 50
        stats = CameraStats(
            at=datetime.now(UTC),
            frames_captured=frames,
            frames_inspected=frames,
            frames_dropped=0,
            alerts=self.seq,
            fps=fps,
            latency_ms_p50=18.2,
            latency_ms_p99=31.0,
        )
        self.publish(self.topics.camera(camera, "stats"), stats.model_dump_json())

    def alert(
        self,
        camera: str = "top",
        *detections: AlertDetection,
        jpeg: bytes | None = None,
        send_image: bool = True,
        **changes: Any,
    ) -> AlertEvent:
        """Publish a picture, then its alert; returns the alert."""
        self.seq += 1
        boxes = detections or (detection("scratch"),)
        if jpeg is None:
            jpeg = picture(self.seq, [each.box_px for each in boxes])
        event = alert_event(
            self.topics,
            self.seq,
            camera,
            stream=self.stream,
            detections=boxes,
            thumbnail_sha256=hashlib.sha256(jpeg).hexdigest(),
            **changes,
        )
        if send_image:
            self.send_image(event, jpeg)
        self.send(event)
        return event

    def send_image(self, event: AlertEvent, jpeg: bytes) -> None:
        """Publish the picture of an alert."""
        leaf = f"image/{event.id}"
        self.publish(self.topics.camera(event.data.camera, leaf), jpeg)

    def send(self, event: AlertEvent) -> None:
        """Publish an alert, for the first time or again."""
        topic = self.topics.camera(event.data.camera, "alert")
        self.publish(topic, event.model_dump_json())

    def verdict(self, verdict: VerdictKind, camera: str = "top") -> None:
        """Publish the verdict of one part."""
        self.seq += 1
        data = VerdictData(
            seq=self.seq,
            stream=self.stream,
            site=self.topics.site,
            line=self.topics.line,
            station=self.topics.station,
            boot_id="boot-1",
            camera=camera,
            part_id=f"part-{self.seq}",
            frame_id=self.seq,
            verdict=verdict,
            captured_at=datetime.now(UTC),
        )
        event = VerdictEvent(
            id=f"{self.stream}:{self.seq}",
            source=self.topics.root,
            time=data.captured_at,
            data=data,
        )
        topic = self.topics.camera(camera, "verdict")
        self.publish(topic, event.model_dump_json())

    def is_acknowledged(self, seq: int) -> bool:
        """Whether the collector has acknowledged this event."""
        return any(
            seq <= ack.high_water or any(low <= seq <= high for low, high in ack.ranges)
            for ack in self.acks
        )

    def close(self) -> None:
        """Disconnect in order."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
