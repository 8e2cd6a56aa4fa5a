"""Events that are queued for the collector, and their CloudEvents.

A row of the outbox holds the content without its position. The CloudEvent around it is
built when it is sent: position, id, whether it is a repetition and whether its picture
was evicted are known only then.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models.messages import (
    SCHEMA_VERSION,
    EventType,
    content_digest,
    content_text,
)
from models.topics import ROOT

ALERT_LEAF = "/alert"
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
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


@dataclass(frozen=True, slots=True)
class RenderedEvent:
    """A CloudEvent, JSON in structured mode.

    Attributes:
        digest: Identifies its content; an acknowledgement must state it.
    """

    payload: bytes
    digest: str


def render(
    queued: QueuedEvent,
    stream: str,
    *,
    replayed: bool,
    with_image: bool,
    smaller: bytes | None = None,
) -> RenderedEvent:
    """Return the CloudEvent of an event.

    Args:
        replayed: It may have been transmitted before.
        with_image: Its JPEG is sent too; else the event announces no JPEG.
        smaller: The JPEG that is sent in the place of its own.
    """
    content: dict[str, Any] = json.loads(queued.event.data)
    station = (content["site"], content["line"], content["station"])
    event = {
        "specversion": "1.0",
        "schema_version": SCHEMA_VERSION,
        "id": queued.id_in(stream),
        "source": "/".join((ROOT, *station)),
        "time": queued.event.time,
        "datacontenttype": "application/json",
        "type": _EVENT_TYPES[queued.event.kind].value,
    }
    if "camera" in content:
        event["subject"] = f"camera/{content['camera']}"
    data_text = content_text({**content, "seq": queued.seq, "stream": stream})
    changing: dict[str, Any] = {"replayed": replayed}
    if queued.event.kind is EventKind.ALERT:
        # Announced without being sent, a collector would wait for it.
        announced = content.get("thumbnail_sha256") if with_image else None
        if smaller is not None:
            announced = hashlib.sha256(smaller).hexdigest()
        changing["thumbnail_sha256"] = announced
    # The text that the digest covers is sent as it is: writing it twice is slow.
    data = f"{data_text[:-1]},{_JSON.encode(changing)[1:]}"
    payload = f'{_JSON.encode(event)[:-1]},"data":{data}}}'
    return RenderedEvent(payload.encode(), content_digest(event, data_text))
