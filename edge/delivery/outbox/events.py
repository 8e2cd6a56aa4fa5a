"""Events that are queued for the collector, and their CloudEvents.

A row of the outbox holds the content without its position. The CloudEvent around it is
built when it is sent: position, id, whether it is a repetition and whether its picture
was evicted are known only then.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models.messages import SCHEMA_VERSION, EventType
from models.topics import ROOT

ALERT_LEAF = "/alert"
_FILLED_IN = ("seq", "stream", "replayed")
_EVENT_TYPES = {
    "alert": EventType.ALERT,
    "verdict": EventType.VERDICT,
    "loss": EventType.LOSS,
}


def new_nonce() -> str:
    """Return the random part of an event's content; see ``models.messages``."""
    return secrets.token_hex(8)


class EventKind(StrEnum):
    """Kind of a queued event."""

    ALERT = "alert"
    VERDICT = "verdict"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that has no position yet.

    Attributes:
        time: Wall clock of the event, ISO 8601 with offset.
        data: Content, JSON object.
        image: JPEG that is sent before it; only an alert may have one.
    """

    kind: EventKind
    topic: str
    time: str
    data: bytes
    image: bytes | None = None

    @property
    def size_bytes(self) -> int:
        """Approximate size in bytes."""
        return len(self.data) + len(self.image or b"") + len(self.topic)


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event in the outbox.

    Attributes:
        seq: Position in the stream, from 1.
        was_sent: A broker has confirmed it once.
        is_whole: The disk has not changed it.
    """

    seq: int
    event: NewEvent
    was_sent: bool
    is_whole: bool = True

    def id_in(self, stream: str) -> str:
        """Return its id in a stream."""
        return f"{stream}:{self.seq}"

    def image_topic(self, stream: str) -> str:
        """Return the topic of its JPEG."""
        root = self.event.topic.removesuffix(ALERT_LEAF)
        return f"{root}/image/{self.id_in(stream)}"


def cloud_event(
    queued: QueuedEvent, stream: str, *, replayed: bool, with_image: bool
) -> dict[str, Any]:
    """Return the CloudEvent of an event, in structured mode, for ``encode``.

    Args:
        replayed: It may have been transmitted before.
        with_image: Its JPEG is sent too; else the event announces no JPEG.
    """
    content: dict[str, Any] = json.loads(queued.event.data)
    for name in _FILLED_IN:
        content.pop(name, None)
    if queued.event.kind is EventKind.ALERT and not with_image:
        content["thumbnail_sha256"] = None  # else a collector waits for the picture
    data = {"seq": queued.seq, "stream": stream, "replayed": replayed, **content}
    station = (content["site"], content["line"], content["station"])
    event = {
        "specversion": "1.0",
        "schema_version": SCHEMA_VERSION,
        "id": queued.id_in(stream),
        "source": "/".join((ROOT, *station)),
        "time": queued.event.time,
        "datacontenttype": "application/json",
        "type": _EVENT_TYPES[queued.event.kind].value,
        "data": data,
    }
    if "camera" in content:
        event["subject"] = f"camera/{content['camera']}"
    return event


def encode(event: Mapping[str, Any]) -> bytes:
    """Return a CloudEvent as the payload of a message."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
