"""Parses MQTT messages into records for the history. Pure.

Topics and payloads are untrusted until they are parsed here: any client that may
publish under ``graftline/`` can send anything. An invalid message becomes a
``Rejection``, never an exception.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from models.counted import counted
from models.messages import (
    SCHEMA_VERSION,
    THUMBNAIL_MAX_BYTES,
    AlertEvent,
    CameraStats,
    CameraStatus,
    LossEvent,
    StationStatus,
    VerdictEvent,
    content_digest,
    content_text,
    sent_content_text,
)
from models.topics import ParsedTopic, StationTopics, parse_topic

# An alert with 100 boxes, the most in a frame, is 20 kB; with the longest names 100 kB.
JSON_MAX_BYTES = 128 * 1024
STATE_MAX_BYTES = 16 * 1024  # the longest state that a daemon sends has 3 kB
TEXT_MAX_CHARS = 500  # a class name, a reason, a file name
INTEGER_MAX = 2**63 - 1  # what SQLite can hold
CLOCK_TOLERANCE_MS = 5 * 60 * 1000  # a station's clock may be ahead by this
EVENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,199}")
HALF_PAIR = re.compile("[\ud800-\udfff]")
INFINITE = float("inf")
JPEG_START = b"\xff\xd8\xff"
# Leaves of a station's topics that are not for the collector.
OTHER_LEAVES = ("ack", "cmd", "model")


class RejectionReason(StrEnum):
    """Why a message was rejected."""

    TOPIC = "topic"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NEWER_SCHEMA = "newer_schema"
    WRONG_SHAPE = "wrong_shape"
    WRONG_STATION = "wrong_station"
    NOT_A_PICTURE = "not_a_picture"
    TOO_MANY = "too_many"
    CONFLICT = "conflict"
    FAR_AHEAD = "far_ahead"
    NO_ROOM = "no_room"
    UNSTORABLE = "unstorable"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as received from the broker.

    Attributes:
        topic: Any text.
        payload: Any bytes.
        received_ms: Wall clock of the collector, UTC.
        is_retained: A retained message; it does not show that the sender is alive.
    """

    topic: str
    payload: bytes
    received_ms: int
    is_retained: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that was rejected.

    Attributes:
        detail: One sentence for the log; may hold text from the message.
    """

    reason: RejectionReason
    topic: str
    detail: str


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender according to the topic, which the broker's access rules protect.

    Attributes:
        camera: Name of the camera; empty for the station itself.
        received_ms: Wall clock of the collector, UTC.
        is_retained: A retained message; it does not show that the sender is alive.
    """

    topics: StationTopics
    camera: str
    received_ms: int
    is_retained: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert.

    Attributes:
        happened_ms: Its time by the most trustworthy clock.
        digest: Identifies its content, see ``models.messages.content_digest``.
    """

    sender: Sender
    event: AlertEvent
    happened_ms: int
    digest: str


@dataclass(frozen=True, slots=True)
class PartVerdict:
    """A verdict; the attributes are those of ``Alert``."""

    sender: Sender
    event: VerdictEvent
    happened_ms: int
    digest: str


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss record; the attributes are those of ``Alert``."""

    sender: Sender
    event: LossEvent
    digest: str


@dataclass(frozen=True, slots=True)
class Image:
    """The picture of an alert: a JPEG of at most 128 kB."""

    sender: Sender
    event_id: str
    sha256: str
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class State:
    """State of a station or a camera; the last one is kept."""

    sender: Sender
    message: StationStatus | CameraStatus | CameraStats


Record = Alert | PartVerdict | Loss | Image | State
Queued = Alert | PartVerdict | Loss
AnyMessage = TypeVar("AnyMessage", bound=BaseModel)


class _RefusedError(Exception):
    """A message is invalid; raised and caught in this module only."""

    def __init__(self, reason: RejectionReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def read_message(message: Message) -> Record | Rejection | None:
    """Parse a message.

    Returns:
        A record for the history; a rejection if it is invalid; None if it is meant for
        another reader, or says that a sender is gone.
    """
    parsed = parse_topic(message.topic)
    if parsed is None:
        return Rejection(
            RejectionReason.TOPIC, message.topic, "not a topic of a station"
        )
    if not parsed.camera and parsed.leaf.partition("/")[0] in OTHER_LEAVES:
        return None
    if is_retirement(parsed, message.payload):
        return None
    sender = Sender(
        parsed.topics, parsed.camera, message.received_ms, message.is_retained
    )
    try:
        return _read(parsed, sender, message.payload)
    except _RefusedError as refused:
        return Rejection(refused.reason, message.topic, refused.detail)


def is_retirement(parsed: ParsedTopic, payload: bytes) -> bool:
    """Return whether a message deletes the retained state of a sender that is gone."""
    return not payload and parsed.leaf == "status"


def _read(parsed: ParsedTopic, sender: Sender, payload: bytes) -> Record:
    kind, _, rest = parsed.leaf.partition("/")
    record: Record
    match ("camera" if parsed.camera else "station", kind, rest):
        case ("camera", "image", event_id):
            record = _read_image(sender, event_id, payload)
        case ("camera", "alert", ""):
            alert, digest = _parse_event(payload, AlertEvent)
            _check_sender(sender, alert)
            record = Alert(sender, alert, _happened_ms(sender, alert), digest)
        case ("camera", "verdict", ""):
            verdict, digest = _parse_event(payload, VerdictEvent)
            _check_sender(sender, verdict)
            record = PartVerdict(sender, verdict, _happened_ms(sender, verdict), digest)
        case ("camera", "status", ""):
            record = State(sender, _parse_state(payload, CameraStatus))
        case ("camera", "stats", ""):
            record = State(sender, _parse_state(payload, CameraStats))
        case ("station", "status", ""):
            record = State(sender, _parse_state(payload, StationStatus))
        case ("station", "loss", ""):
            loss, digest = _parse_event(payload, LossEvent)
            _check_sender(sender, loss)
            record = Loss(sender, loss, digest)
        case _:
            raise _RefusedError(RejectionReason.TOPIC, "no such topic of a station")
    return record


def _read_image(sender: Sender, event_id: str, payload: bytes) -> Image:
    if not EVENT_ID.fullmatch(event_id):
        raise _RefusedError(RejectionReason.TOPIC, "not an event id")
    if len(payload) > THUMBNAIL_MAX_BYTES:
        raise _RefusedError(
            RejectionReason.TOO_LARGE, f"{counted(len(payload), 'byte')} of picture"
        )
    if not payload.startswith(JPEG_START):
        raise _RefusedError(RejectionReason.NOT_A_PICTURE, "not a JPEG")
    return Image(sender, event_id, hashlib.sha256(payload).hexdigest(), payload)


def _parse_state(payload: bytes, layout: type[AnyMessage]) -> AnyMessage:
    return _validate(_parse(payload, STATE_MAX_BYTES), layout)


def _parse_event(payload: bytes, layout: type[AnyMessage]) -> tuple[AnyMessage, str]:
    """Return a payload as an event, and the digest of its content."""
    document = _parse(payload, JSON_MAX_BYTES)
    event = _validate(document, layout)
    try:
        data_text = sent_content_text(payload) or content_text(document["data"])
        return event, content_digest(document, data_text)
    except RecursionError as exc:
        raise _RefusedError(RejectionReason.WRONG_SHAPE, "nested too deeply") from exc


def _parse(payload: bytes, max_bytes: int) -> dict[str, Any]:
    """Return a payload as a JSON object of a schema that this version knows."""
    if len(payload) > max_bytes:
        raise _RefusedError(
            RejectionReason.TOO_LARGE, f"{counted(len(payload), 'byte')} of JSON"
        )
    try:
        document = json.loads(payload.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise _RefusedError(RejectionReason.NOT_JSON, str(exc)[:200]) from exc
    if not isinstance(document, dict):
        raise _RefusedError(RejectionReason.WRONG_SHAPE, "not a JSON object")
    version = document.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise _RefusedError(
            RejectionReason.NEWER_SCHEMA,
            f"schema {version} is newer than this dashboard's ({SCHEMA_VERSION})",
        )
    return document


def _validate(document: dict[str, Any], layout: type[AnyMessage]) -> AnyMessage:
    """Return a document as a message, with values that can be stored.

    Keys that this version does not know are dropped: they would fill the history and
    the memory of every page, and nothing reads them.
    """
    try:
        _check_values(document)
        return layout.model_validate(document, extra="ignore")
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        detail = f"{where}: {first['msg']}"[:200]
        raise _RefusedError(RejectionReason.WRONG_SHAPE, detail) from exc
    except RecursionError as exc:
        raise _RefusedError(RejectionReason.WRONG_SHAPE, "nested too deeply") from exc


def _refuse_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python reads although they are not JSON."""
    message = f"{name} is not JSON"
    raise ValueError(message)


def _check_values(document: object) -> None:
    """Refuse values that the database cannot hold."""
    stack = [document]
    while stack:
        here = stack.pop()
        if isinstance(here, str):
            if len(here) > TEXT_MAX_CHARS:
                raise _RefusedError(
                    RejectionReason.TOO_LARGE, "a text of more than 500 letters"
                )
            if not here.isascii() and HALF_PAIR.search(here):
                raise _RefusedError(RejectionReason.NOT_JSON, "half a surrogate pair")
        elif isinstance(here, dict):
            stack.extend(here)
            stack.extend(here.values())
        elif isinstance(here, list):
            stack.extend(here)
        elif isinstance(here, float):
            if here in {INFINITE, -INFINITE}:
                raise _RefusedError(
                    RejectionReason.WRONG_SHAPE, "a number beyond a double's range"
                )
        elif isinstance(here, int) and abs(here) > INTEGER_MAX:
            raise _RefusedError(RejectionReason.WRONG_SHAPE, "a number beyond 64 bits")


def _check_sender(sender: Sender, event: AlertEvent | VerdictEvent | LossEvent) -> None:
    """Refuse an event whose content names another sender than its topic."""
    data = event.data
    content = (data.site, data.line, data.station, getattr(data, "camera", ""))
    topics = sender.topics
    if content != (topics.site, topics.line, topics.station, sender.camera):
        raise _RefusedError(
            RejectionReason.WRONG_STATION, f"the content is of {'/'.join(content)}"
        )
    if data.seq < 1 or not data.stream or event.id != f"{data.stream}:{data.seq}":
        raise _RefusedError(RejectionReason.WRONG_SHAPE, "id is not <stream>:<seq>")
    if not EVENT_ID.fullmatch(event.id):
        raise _RefusedError(RejectionReason.WRONG_SHAPE, "not an event id")


def _happened_ms(sender: Sender, event: AlertEvent | VerdictEvent) -> int:
    """Return the time of an event, by the line PC's clock if that can be trusted.

    A clock that is not synchronized, or ahead of the collector's, would put the event
    into the wrong hour of the chart. The time of arrival is then a first estimate,
    which ``dashboard.history.line_clocks`` corrects.
    """
    captured_ms = trusted_ms(sender, event)
    return sender.received_ms if captured_ms is None else captured_ms


def trusted_ms(sender: Sender, event: AlertEvent | VerdictEvent) -> int | None:
    """Return the time of an event by the line PC's clock; None = it cannot be right."""
    captured_ms = int(event.data.captured_at.timestamp() * 1000)
    is_ahead = captured_ms > sender.received_ms + CLOCK_TOLERANCE_MS
    if not event.data.clock_synchronized or is_ahead or captured_ms < 0:
        return None
    return captured_ms


def iso_utc(ms: int) -> str:
    """Return milliseconds since 1970 as ISO 8601 text, UTC."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
