"""Which pictures of alerts are sent, how large, and when.

A picture goes before its alert, so that the alert is complete on arrival. After a
connection was cut while a picture was on its way, the queue is *cautious*: alerts go
first, and one picture at a time, so that no alert waits behind a picture, and a second
cut shows which picture is too large. Pictures are then sent smaller, and left out only
where even a small one does not pass; the alarm and the log state it.

A broker of MQTT 3.1.1 may also confirm a picture and drop it. Its alert is then stored
and never acknowledged, while alerts without a picture are.

Source:
    mosquitto 2.0.11: ``max_packet_size`` closes the connection, ``message_size_limit``
    drops and confirms (3.1.1), or answers with a reason that paho cannot read (5).
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge.delivery.evidence import smaller_jpeg
from edge.delivery.outbox.events import QueuedEvent
from edge.delivery.publisher.delivery_faults import DeliveryFaults
from edge.delivery.publisher.packet import Packet
from edge.delivery.publisher.picture_limit import PICTURE_MIN_BYTES, PictureLimit
from models.counted import counted

UNLIMITED_BYTES = 1 << 62
TRANSMISSIONS_MIN = 2  # without an answer, before the size of a picture is the cause
TRIED_SHARE = 4  # a broker that confirms everything gets a picture this much smaller
EVENTS_KEPT = 1000  # many times what is sent without an acknowledgement
TOO_LARGE_KEY = "picture size"
logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Transmission:
    """A picture whose event is not acknowledged.

    Attributes:
        answers: Acknowledgements of the collector before the first transmission.
    """

    size_bytes: int
    answers: int
    count: int = 0


class PictureQueue:
    """Decides about the pictures of one station. Used by the publisher's thread.

    All times are of the monotonic clock.

    Args:
        alarms: Gets the alarm about pictures that are too large.

    Attributes:
        is_cautious: Alerts go first, and one picture at a time.
    """

    def __init__(self, alarms: DeliveryFaults) -> None:
        self.is_cautious = False
        self._alarms, self._limit = alarms, PictureLimit()
        self._announced_bytes = UNLIMITED_BYTES
        self._confirms_everything = False
        self._was_cut = False  # a picture may have ended the last connection
        self._suspect_bytes = 0  # a picture of this size that passes ends the caution
        self._passed_here_bytes = 0  # on this connection
        self._refused: dict[int, None] = {}  # events whose picture is not allowed
        self._tried: dict[int, int] = {}  # largest picture of an event, for a test
        self._late: dict[int, Packet] = {}  # by event: their alerts were sent
        self._in_flight: Packet | None = None  # the only one while cautious
        self._unconfirmed: set[int] = set()  # events whose picture the broker lacks
        self._transmissions: dict[int, _Transmission] = {}  # by event
        self._answers = 0

    def connected(
        self, announced_bytes: int | None, *, confirms_everything: bool
    ) -> None:
        """Start on a new connection.

        Args:
            announced_bytes: Largest payload that the broker accepts; None: it
                announced none.
            confirms_everything: The broker gives no reason for what it drops.
        """
        # A limit that was found is tried again on each connection that did not follow
        # such a cut, or the broker's new configuration would never be noticed.
        if not self._was_cut:
            self._limit.reset()
            self._refused.clear()
            self._tried.clear()
            self._transmissions.clear()
            self._alarms.clear(TOO_LARGE_KEY)
            self.is_cautious = False
        self._was_cut = False
        self._announced_bytes = (
            UNLIMITED_BYTES if announced_bytes is None else announced_bytes
        )
        self._confirms_everything = confirms_everything
        self._passed_here_bytes = 0
        self.clear()

    def clear(self) -> None:
        """Discard the pictures that wait: their events are read again."""
        self._late.clear()
        self._unconfirmed.clear()
        self._in_flight = None

    @property
    def lost_with_connection(self) -> int:
        """Pictures of alerts that were sent before them, and that were not sent yet."""
        return len(self._late) + (self._in_flight is not None)

    @property
    def has_unconfirmed(self) -> bool:
        """Whether the broker lacks pictures of events that were read."""
        return bool(self._unconfirmed)

    def new_stream(self) -> None:
        """Discard the positions of the previous stream."""
        self.clear()
        self._refused.clear()
        self._tried.clear()
        self._transmissions.clear()

    # --- what is sent ----------------------------------------------------------------

    def image_of(self, queued: QueuedEvent, now_ns: int) -> bytes | None:
        """Return the picture to send with an event, made smaller where it must be."""
        image, seq = queued.event.image, queued.seq
        if image is None or seq in self._refused:
            return None
        if self._limit.is_probe_due(now_ns) and self._limit.max_bytes is not None:
            self._suspect_bytes = self._limit.max_bytes + 1
            self._limit.forget()
            self.is_cautious = True
        limit_bytes = self._tried.get(seq, UNLIMITED_BYTES)
        limit_bytes = min(limit_bytes, self._announced_bytes)
        if self._limit.max_bytes is not None:
            limit_bytes = min(limit_bytes, self._limit.max_bytes)
        if len(image) <= limit_bytes:
            return image
        smaller = (
            smaller_jpeg(image, limit_bytes)
            if limit_bytes >= PICTURE_MIN_BYTES
            else None
        )
        if smaller is None:
            logger.warning(
                "picture_left_out seq=%d bytes=%d limit_bytes=%d",
                *(seq, len(image), limit_bytes),
            )
        if seq not in self._tried:
            self._note_too_large(limit_bytes)
        return smaller

    def add(self, picture: Packet) -> bool:
        """Take a picture whose alert is sent first; return false while not cautious."""
        seq = picture.image_of
        entry = self._transmissions.setdefault(
            seq, _Transmission(len(picture.payload), self._answers)
        )
        entry.size_bytes = len(picture.payload)
        entry.count += 1
        self._unconfirmed.add(seq)
        if len(self._transmissions) > EVENTS_KEPT:  # without a collector, none is taken
            del self._transmissions[next(iter(self._transmissions))]
        if self.is_cautious:
            self._late[seq] = picture
        return self.is_cautious

    def take(self) -> Packet | None:
        """Return the next picture whose alert was sent; None: none may be sent now."""
        if not self._late or self.is_waiting:
            return None
        picture = self._late.pop(next(iter(self._late)))
        if self.is_cautious:
            self._in_flight = picture
        return picture

    @property
    def is_waiting(self) -> bool:
        """Whether nothing but alerts may be sent before a picture is confirmed."""
        return self.is_cautious and self._in_flight is not None

    # --- what happened to it ---------------------------------------------------------

    def confirmed(self, picture: Packet) -> None:
        """Note that the broker has a picture."""
        size_bytes = len(picture.payload)
        self._passed_here_bytes = max(self._passed_here_bytes, size_bytes)
        self._limit.passed(size_bytes)
        self._unconfirmed.discard(picture.image_of)
        if picture is self._in_flight:
            self._in_flight = None
        if not self.is_cautious:
            return
        if self._limit.max_bytes is not None:
            self.is_cautious = False
        elif size_bytes >= self._suspect_bytes:
            self.is_cautious = False
            self._alarms.clear(TOO_LARGE_KEY)

    def refused(self, picture: Packet, now_ns: int, *, is_too_large: bool) -> None:
        """Note that the broker refused a picture, for its size or another reason."""
        self._unconfirmed.discard(picture.image_of)
        if picture is self._in_flight:
            self._in_flight = None
        if is_too_large:
            self._fail(picture.image_of, len(picture.payload), now_ns)
        else:
            self._refused[picture.image_of] = None
            if len(self._refused) > EVENTS_KEPT:
                del self._refused[next(iter(self._refused))]

    def cut(self, in_flight: Sequence[Packet], now_ns: int, *, is_exact: bool) -> str:
        """Note that the connection ended; return which picture may be why, or nothing.

        Args:
            in_flight: Packets that are sent and not confirmed, oldest first.
            is_exact: The end is the broker's answer to the oldest one.
        """
        if is_exact:
            in_flight = in_flight[:1]
        # A picture as small as an alert is not cut for its size.
        passes_bytes = max(self._passed_here_bytes, PICTURE_MIN_BYTES)
        suspects = [
            each
            for each in in_flight
            if each.image_of and len(each.payload) > passes_bytes
        ]
        self._was_cut = any(each.image_of for each in in_flight)
        if not suspects:
            return ""
        picture = suspects[0]
        size_bytes = len(picture.payload)
        if self.is_cautious or is_exact:
            self._fail(picture.image_of, size_bytes, now_ns)
        else:
            self._suspect_bytes = min(len(each.payload) for each in suspects)
        self.is_cautious = True
        return f"closed the connection at a picture of {counted(size_bytes, 'byte')}"

    def acknowledged(self, seqs: Iterable[int]) -> None:
        """Note the events that the collector has acknowledged."""
        self._answers += 1
        for seq in seqs:
            self._refused.pop(seq, None)
            self._tried.pop(seq, None)
            self._late.pop(seq, None)
            self._unconfirmed.discard(seq)
            entry = self._transmissions.pop(seq, None)
            if entry is not None:
                self._limit.passed(entry.size_bytes)

    def unanswered(self, seq: int, now_ns: int) -> None:
        """Note that the collector does not acknowledge an event that the broker has."""
        entry = self._transmissions.get(seq)
        is_searching = self._limit.max_bytes is not None
        if entry is None or entry.count < (1 if is_searching else TRANSMISSIONS_MIN):
            return
        if self._answers > entry.answers:  # it takes others
            self._fail(seq, entry.size_bytes, now_ns)
        elif self._confirms_everything:
            # The collector may be off, or this picture does not reach it. If the
            # smaller one does, the next ones are known to be too large.
            limit_bytes = entry.size_bytes // TRIED_SHARE
            self._tried[seq] = limit_bytes if limit_bytes >= PICTURE_MIN_BYTES else 0

    def _fail(self, seq: int, size_bytes: int, now_ns: int) -> None:
        self._limit.failed(size_bytes, now_ns)
        self._transmissions.pop(seq, None)
        limit_bytes = self._limit.max_bytes or 0
        logger.warning(
            "picture_too_large seq=%d bytes=%d limit_bytes=%d",
            *(seq, size_bytes, limit_bytes),
        )
        self._note_too_large(limit_bytes)

    def _note_too_large(self, limit_bytes: int) -> None:
        if limit_bytes < PICTURE_MIN_BYTES:
            text = "the broker takes no pictures: alerts go without them"
        else:
            text = (
                "the broker takes no pictures of more than "
                f"{counted(limit_bytes, 'byte')}: they are made smaller, or left out"
            )
        self._alarms.raise_alarm(
            TOO_LARGE_KEY, f"{text}. Fix: raise the broker's limit of a message"
        )
