"""The MQTT topics and payloads that stations and dashboards exchange.

One daemon is one **station**. Its topics start with
``graftline/<site>/<line>/<station>/``:

=============================== ============ ===================================
topic                           QoS          payload
=============================== ============ ===================================
``status``                      1, retained  ``StationStatus``; last will: lost
``camera/<name>/status``        1, retained  ``CameraStatus``
``camera/<name>/alert``         1            ``AlertEvent`` (CloudEvents 1.0)
``camera/<name>/verdict``       1            ``VerdictEvent``
``camera/<name>/image/<id>``    1            JPEG, sent before its alert
``camera/<name>/stats``         0            ``CameraStats``
``loss``                        1            ``LossEvent``: dropped events
``ack``                         1            ``Acknowledgement``, to the station
``cmd/<verb>``                  1            to the station, see ``models.commands``
``model/desired``               1, retained  ``DesiredModel``, to the agent
``model/reported``              1, retained  ``ReportedModel``, from the agent
=============================== ============ ===================================

Alerts, verdicts and loss records are *queued*: they share one sequence per stream
(station and epoch), ``id`` is ``<stream>:<seq>``, the same id is the same event, and
the station keeps each until the collector acknowledged it. Readers keep unknown fields
and refuse a newer ``schema_version``.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.topics import Name
from models.value_types import Share

SCHEMA_VERSION = 1
THUMBNAIL_MAX_BYTES = 128 * 1024
URL_MAX_CHARS = 2000
REASON_MAX_CHARS = 500  # the longest text that a collector accepts
DIGEST_CHARS = 32  # 128 bits: cannot be guessed, and an acknowledgement stays short
# An event that is sent again may differ in these: their values are not its content.
NOT_CONTENT = ("replayed", "thumbnail_sha256")
_CONTENT_JSON = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":")
)
# The end of an event as a station sends it: the values that are not its content.
_CHANGING_END = re.compile(
    rb',"replayed":(?:true|false)(?:,"thumbnail_sha256":(?:null|"[0-9a-f]{64}"))?\}\}'
)
_CHANGING_MAX_BYTES = 128

Reason = Annotated[str, Field(max_length=REASON_MAX_CHARS)]
Digest = Annotated[str, Field(max_length=DIGEST_CHARS)]
PackageId = Annotated[str, Field(max_length=64, pattern="^[0-9a-f]*$")]
# A larger number does not fit a column of the history.
Build = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Message(BaseModel):
    """Immutable; keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


class DaemonState(StrEnum):
    """State of a station."""

    INIT = "init"
    READY = "ready"
    DEGRADED = "degraded"
    DISCONNECTED = "disconnected"  # published on a clean stop
    LOST = "lost"  # published by the broker: the last will


class CameraState(StrEnum):
    """State of a camera."""

    UP = "up"
    DEGRADED = "degraded"
    LOST = "lost"
    ENDED = "ended"  # a folder or video file is finished


class VerdictKind(StrEnum):
    """What is said of one part."""

    OK = "ok"
    DEFECT = "defect"
    NOT_INSPECTED = "not-inspected"


class EventType(StrEnum):
    """CloudEvents type of the queued kinds."""

    ALERT = "graftline.alert.v1"
    VERDICT = "graftline.verdict.v1"
    LOSS = "graftline.loss.v1"


class ModelInForce(_Message):
    """The model that a station runs."""

    name: Name
    build: Build
    sha256: PackageId = Field(description="Identity of the package.")
    variant: str = Field(default="", max_length=64, pattern=r"^[^\x00]*$")


class ModelProof(_Message):
    """What the self-test of the model in force found on the line PC."""

    at: AwareDatetime
    machine: str = Field(description="Processor and number of cores.")
    golden_frames: int = Field(ge=1, description="Reproduced by the chosen run mode.")
    precision_hint: str
    streams: int = Field(ge=1, description="Pictures at the same time.")
    latency_ms_p50: float = Field(ge=0)
    latency_ms_p99: float = Field(ge=0)


class DesiredModel(_Message):
    """``model/desired``: retained; the agent fetches this package and installs it."""

    schema_version: int = SCHEMA_VERSION
    name: Name
    build: Build
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="Identity of the package."
    )
    url: str = Field(
        max_length=URL_MAX_CHARS,
        description="Release that holds it: http, https, or a folder of the line PC.",
    )


class PullState(StrEnum):
    """What the agent does with a desired model."""

    IDLE = "idle"  # nothing is desired
    INSTALLING = "installing"
    IN_FORCE = "in-force"
    WAITING = "waiting"  # the release cannot be reached: tried again
    REFUSED = "refused"  # not tried again; the old model runs


class ReportedModel(_Message):
    """``model/reported``: retained."""

    schema_version: int = SCHEMA_VERSION
    state: PullState
    desired_sha256: PackageId = Field(default="", description="What this answers.")
    model: ModelInForce | None = Field(default=None, description="In force now.")
    reason: Reason = Field(default="", description="Why it waits or was refused.")
    refusal: str = Field(
        default="", description="Why a release is not trusted; empty: another cause."
    )
    at: AwareDatetime = Field(description="Clock of the line PC, UTC.")


class StationStatus(_Message):
    """``status``: retained; the last will says ``lost``."""

    schema_version: int = SCHEMA_VERSION
    state: DaemonState
    reason: Reason = Field(default="", description="Why degraded; empty else.")
    boot_id: str = Field(description="New at each start of the daemon.")
    version: str = Field(description="Version of Graftline.")
    model: ModelInForce | None = None
    stream: str = ""
    outbox_depth: int = Field(
        default=0,
        ge=0,
        description="Events not delivered, as collector_ack defines delivery.",
    )
    at: AwareDatetime | None = Field(default=None, description="UTC; none in a will.")
    at_ns: int | None = Field(
        default=None,
        ge=0,
        description="Monotonic clock of the line PC at the same moment; older versions "
        "do not report it.",
    )
    flashing: Reason = Field(
        default="",
        description="Which package is in trial here, or why the last one was rolled "
        "back; empty else.",
    )
    in_trial: bool = Field(
        default=False, description="Whether a package is in trial on the line PC."
    )
    clock_synchronized: bool | None = Field(
        default=None, description="Of the line PC; older versions do not report it."
    )
    temperature_c: float | None = Field(
        default=None, description="Hottest sensor of the line PC; none: no sensor."
    )
    proof: ModelProof | None = Field(
        default=None, description="Of the model; older versions do not report it."
    )


class CameraStatus(_Message):
    """``camera/<name>/status``: retained."""

    schema_version: int = SCHEMA_VERSION
    state: CameraState
    reason: Reason = ""
    conditions: tuple[str, ...] = Field(
        default=(),
        description="Why its frames are degraded, the worst first: damaged, frozen, "
        "black, white, covered, torn (such frames are not inspected), over-exposed, "
        "blurred, moved, dark, bright, resized.",
    )
    fps: float = Field(default=0, ge=0)
    since: AwareDatetime


class CameraStats(_Message):
    """``camera/<name>/stats``: counters since start, latencies of late."""

    schema_version: int = SCHEMA_VERSION
    at: AwareDatetime
    frames_captured: int = Field(ge=0)
    frames_inspected: int = Field(ge=0)
    frames_dropped: int = Field(ge=0)
    frames_unreadable: int = Field(
        default=0,
        ge=0,
        description="Frames that came and were not inspected: damaged, or fakes.",
    )
    frames_damaged: int = Field(
        default=0, ge=0, description="Came damaged or not at all, never inspected."
    )
    alerts: int = Field(ge=0)
    alerts_suppressed: int = Field(
        default=0, ge=0, description="Held back by the cool-down."
    )
    fps: float = Field(ge=0, description="Frames inspected per second.")
    latency_ms_p50: float = Field(ge=0, description="Capture to decision.")
    latency_ms_p99: float = Field(ge=0)


class AlertDetection(_Message):
    """One box of an alert."""

    label: str
    score: Share
    box_px: tuple[float, float, float, float] = Field(description="xyxy in the frame.")
    box_norm: tuple[Share, Share, Share, Share] = Field(
        description="xyxy as share of the frame's width and height."
    )
    region: str = Field(
        default="", description="Region that holds its centre; empty: none is drawn."
    )


class _Queued(_Message):
    """What every queued event carries. The outbox fills in the first three."""

    seq: int = Field(default=0, ge=0, description="Position in the stream, from 1.")
    stream: str = Field(default="", description="Station and epoch of its outbox.")
    replayed: bool = Field(default=False, description="Not the first transmission.")
    nonce: str = Field(
        default="",
        max_length=64,
        description="Random: only a client that has read the event can compute its "
        "digest. Older versions send none.",
    )
    site: Name
    line: Name
    station: Name
    boot_id: str


class AlertData(_Queued):
    """``data`` of an alert: one defect, or all defects of one triggered part."""

    camera: Name
    part_id: str | None = None
    frame_id: int = Field(ge=0, description="The source's own frame number.")
    captured_at: AwareDatetime = Field(description="Wall clock, UTC.")
    captured_ns: int = Field(ge=0, description="Monotonic clock of the line PC.")
    decided_ns: int = Field(ge=0, description="Monotonic clock, when decided.")
    frame_age_ms: float = Field(ge=0, description="Capture to decision.")
    clock_synchronized: bool
    model: ModelInForce
    frame_width_px: int = Field(ge=1)
    frame_height_px: int = Field(ge=1)
    detections: tuple[AlertDetection, ...] = Field(min_length=1)
    thumbnail_sha256: str | None = Field(
        default=None, description="Of the JPEG on the image topic; none: it was shed."
    )
    evidence: str | None = Field(
        default=None, description="Full picture on the line PC, relative path."
    )
    heat_map: str | None = Field(
        default=None,
        description="Where the class unknown scored how much: a grey PNG that covers "
        "the frame, 255 for the score 1, on the line PC beside the full picture; none: "
        "no detection is of that class. Older versions send none.",
    )
    suppressed: int = Field(
        default=0,
        ge=0,
        description="Alerts of the same label and region that the cool-down held back "
        "since the last one.",
    )


class VerdictData(_Queued):
    """``data`` of a verdict: one for each triggered or counted part."""

    camera: Name
    part_id: str | None
    frame_id: int = Field(ge=0)
    verdict: VerdictKind
    reason: Reason = ""
    captured_at: AwareDatetime
    captured_ns: int | None = Field(
        default=None,
        ge=0,
        description="Monotonic clock of the line PC; older versions do not say.",
    )
    clock_synchronized: bool = Field(
        default=True, description="Of the line PC; older versions do not say."
    )


class LossData(_Queued):
    """``data`` of a loss record: what was shed because the disk cap was reached."""

    kind: str = Field(description="What was shed: image, stats, verdict or alert.")
    first_seq: int = Field(
        ge=0, description="0: shed from memory, before it had a position."
    )
    last_seq: int = Field(ge=0)
    count: int = Field(ge=1)


class _CloudEvent(_Message):
    """CloudEvents 1.0, structured JSON mode.

    Source:
        cloudevents/spec v1.0.2, MQTT protocol binding.
    """

    specversion: Literal["1.0"] = "1.0"
    schema_version: int = SCHEMA_VERSION
    id: str = Field(description="<stream>:<seq>; the same id is the same event.")
    source: str = Field(description="graftline/<site>/<line>/<station>.")
    time: AwareDatetime
    subject: str | None = None
    datacontenttype: Literal["application/json"] = "application/json"


class AlertEvent(_CloudEvent):
    """``camera/<name>/alert``."""

    type: Literal[EventType.ALERT] = EventType.ALERT
    data: AlertData


class VerdictEvent(_CloudEvent):
    """``camera/<name>/verdict``."""

    type: Literal[EventType.VERDICT] = EventType.VERDICT
    data: VerdictData


class LossEvent(_CloudEvent):
    """``loss``."""

    type: Literal[EventType.LOSS] = EventType.LOSS
    data: LossData


class Acknowledgement(_Message):
    """``ack``: the collector has these events in its history, committed.

    A station deletes an event only for its entry in ``digests``: a client that has not
    read an event cannot acknowledge it. ``high_water`` and ``ranges`` are for stations
    of version 0.1 only.
    """

    schema_version: int = SCHEMA_VERSION
    stream: str
    high_water: int = Field(
        ge=0, description="Highest seq up to which nothing is missing."
    )
    ranges: tuple[tuple[int, int], ...] = Field(
        default=(), description="Inclusive pairs of seq."
    )
    digests: tuple[tuple[int, Digest], ...] = Field(
        default=(),
        max_length=1000,
        description="seq and digest of each event that was just received, for the "
        "first time or again. The digest is the start of the SHA-256 of id, type, time "
        "and data, each on a line; data as compact JSON in UTF-8 with sorted keys, "
        "without replayed and thumbnail_sha256.",
    )


def content_text(data: Mapping[str, Any]) -> str:
    """Return an event's data as JSON with sorted keys, for ``content_digest``.

    What may differ between the transmissions of an event is left out.

    Args:
        data: ``data`` of the CloudEvent, as parsed from its JSON.
    """
    content = {name: data[name] for name in data if name not in NOT_CONTENT}
    return _CONTENT_JSON.encode(content)


def sent_content_text(payload: bytes) -> str | None:
    """Return ``content_text`` of an event as its station has written it.

    A station sends the text that the digest covers, followed by the values that are
    not content. To take it from the payload is 15 times as fast as to write it again.

    Args:
        payload: A JSON object in UTF-8.

    Returns:
        None if the payload is not laid out like that; a text that another sender lays
        out so differs from ``content_text`` where its keys are not sorted or it holds
        spaces.
    """
    start = payload.find(b"{", 1)  # no brace before it: the object of a key at the top
    end_from = max(start, len(payload) - _CHANGING_MAX_BYTES)
    end = _CHANGING_END.search(payload, end_from)
    is_data = payload[:start].endswith(b'"data":')
    if not is_data or end is None or end.end() != len(payload):
        return None
    return payload[start : end.start()].decode() + "}"


def content_digest(event: Mapping[str, Any], data_text: str) -> str:
    """Return the digest of an event's content, as in ``Acknowledgement.digests``.

    It is the same for every transmission of an event, and for readers of other
    versions: it does not depend on the fields that a version knows.

    Args:
        event: The CloudEvent; only id, type and time count.
        data_text: From ``sent_content_text`` or ``content_text``.

    Returns:
        ``DIGEST_CHARS`` hexadecimal digits.
    """
    text = f"{event.get('id')}\n{event.get('type')}\n{event.get('time')}\n{data_text}"
    # Half a surrogate pair is valid JSON, and no text.
    content = text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:DIGEST_CHARS]


def ranges_of(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Return positions as ranges without gaps, ascending, both ends included.

    >>> ranges_of({4, 1, 2, 5, 9})
    [(1, 2), (4, 5), (9, 9)]
    """
    ranges: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if ranges and seq <= ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges


def fit_reason(*parts: str) -> str:
    """Return causes as one text, short enough for a message.

    Args:
        parts: The causes, the most important first; those that do not fit are counted.

    >>> fit_reason("camera a lost", "camera b lost")
    'camera a lost, camera b lost'
    """
    text = ", ".join(parts)
    shown = len(parts)
    while len(text) > REASON_MAX_CHARS and shown > 1:
        shown -= 1
        text = f"{', '.join(parts[:shown])} ... and {len(parts) - shown} more"
    if len(text) > REASON_MAX_CHARS:
        text = f"{text[: REASON_MAX_CHARS - 4]} ..."
    return text
