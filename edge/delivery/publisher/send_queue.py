"""Turns events of the outbox into packets, and applies the answers to the outbox."""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from edge.config.station import CollectorAck
from edge.delivery.outbox.events import QueuedEvent, render
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher.acknowledgement_check import AcknowledgementCheck
from edge.delivery.publisher.delivery_faults import DeliveryFaults
from edge.delivery.publisher.send_window import NS_PER_S, SendWindow
from models.counted import counted
from models.messages import ranges_of

WINDOW_EVENTS = 200  # sent without the collector's acknowledgement
READ_EVENTS = 50
HEADER_MAX_BYTES = 512  # of a PUBLISH packet: topic, packet id, properties
# In "auto", how long a collector may take to answer after the last event.
COLLECTOR_GRACE_NS = 4 * NS_PER_S
UNLIMITED_BYTES = 1 << 62
SILENCE_KEY, TOO_LARGE_KEY, KEPT_KEY = "collector", "picture size", "event size"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Packet:
    """One message to publish.

    Attributes:
        seq: Position of the event that it completes; 0 = no event.
        stream: Stream of that position.
        qos: 0 or 1.
        retain: The broker keeps it for later subscribers.
        image_of: Position of the event whose picture it is; 0 = no picture.
    """

    topic: str
    payload: bytes
    seq: int = 0
    stream: str = ""
    qos: int = 1
    retain: bool = False
    image_of: int = 0

    @property
    def topic_family(self) -> str:
        """The topic, without the id of a picture."""
        return self.topic.rpartition("/")[0] if self.image_of else self.topic


class SendQueue:
    """Decides which packets are sent next. Used by the publisher's thread.

    All times are of the monotonic clock.

    Args:
        outbox: Started.
        collector_ack: Whether the broker's or the collector's answer makes an event
            delivered.
        alarms: Receives the faults that only a person can fix.
        silent_after_s: A collector that does not answer for this long raises an alarm.
        chance: Returns numbers in 0..1, for the pauses between repetitions.
    """

    def __init__(
        self,
        outbox: Outbox,
        collector_ack: CollectorAck,
        alarms: DeliveryFaults,
        silent_after_s: float,
        chance: Callable[[], float],
    ) -> None:
        self._check = AcknowledgementCheck(alarms)
        self._alarms, self._silent_after_s = alarms, silent_after_s
        self._image_limit_bytes: int | None = None  # learned from a refusal
        self._without_image: set[int] = set()  # events whose picture was refused
        self._was_cut = False  # the refusal ended the connection
        self._outbox, self._rule = outbox, collector_ack
        self._window = SendWindow(WINDOW_EVENTS, chance)
        self._stream = ""
        self._ready: deque[Packet] = deque()
        self._max_packet_bytes: int | None = None
        self._confirmed_last_ns = 0
        self._confirmed_finally = 0
        self._apply_rule()

    @property
    def awaits_collector(self) -> bool:
        """Whether only the collector's acknowledgement makes an event delivered."""
        match self._rule:
            case CollectorAck.REQUIRED:
                return True
            case CollectorAck.OFF:
                return False
            case CollectorAck.AUTO:
                return self._outbox.collector_known
            case _:
                assert_never(self._rule)

    def _apply_rule(self) -> None:
        is_delivered = not self.awaits_collector
        self._outbox.treat_confirmed_as_delivered(is_delivered=is_delivered)

    @property
    def delivered(self) -> int:
        """Events delivered since the start."""
        return self._outbox.acknowledged + self._confirmed_finally

    def undelivered(self, now_ns: int) -> int:
        """Return how many events are not delivered, by the rule in force.

        In "auto", while no collector has ever answered, the broker's confirmation is
        enough, but after the last event a collector has ``COLLECTOR_GRACE_NS`` to
        answer for the first time.
        """
        depth = self._outbox.depth()
        if depth == 0 or self.awaits_collector:
            return depth
        unsent = self._outbox.unsent()
        if unsent or self._rule is CollectorAck.OFF:
            return unsent
        waited_ns = now_ns - self._confirmed_last_ns
        return 0 if waited_ns >= COLLECTOR_GRACE_NS else 1

    @property
    def refused_acknowledgements(self) -> int:
        """Acknowledgements of a collector that were not, or not wholly, taken."""
        return self._check.refused

    def is_only_unacknowledged(self) -> bool:
        """Return whether only the collector's acknowledgements are missing."""
        is_waited_for = self.awaits_collector and not self._window.is_silent
        return not is_waited_for and self._outbox.unsent() == 0

    def connected(self, now_ns: int, max_packet_bytes: int | None) -> None:
        """Start on a new connection.

        Args:
            max_packet_bytes: The broker's limit; None: it announced none.
        """
        self._max_packet_bytes = max_packet_bytes
        # A limit that was found by a refusal is tried again on each connection, or the
        # broker's new configuration would never be noticed.
        if not self._was_cut:
            self._image_limit_bytes = None
            self._without_image.clear()
            self._alarms.clear(TOO_LARGE_KEY)
        self._was_cut = False
        self._alarms.clear(KEPT_KEY)
        self._ready.clear()
        self._window.connected(now_ns, redelivers=self.awaits_collector)

    def packets(
        self, limit: int, now_ns: int, limit_bytes: int = UNLIMITED_BYTES
    ) -> list[Packet]:
        """Return the packets to publish now, in order.

        Args:
            limit_bytes: Most bytes; the packet that passes it is the last.
        """
        self._follow_stream(now_ns)
        self._window.tick(now_ns)
        self._check.tick(now_ns)
        self._check_collector(now_ns)
        packets: list[Packet] = []
        while (
            len(packets) < limit
            and limit_bytes > 0
            and (self._ready or self._refill(now_ns))
        ):
            packet = self._ready.popleft()
            limit_bytes -= len(packet.payload)
            if packet.seq:
                self._window.transmitted(packet.seq, now_ns)
            packets.append(packet)
        return packets

    def due_ns(self) -> int | None:
        """Return the latest time of the next call for packets; None: no limit."""
        return self._window.due_ns()

    def confirmed(self, packet: Packet, now_ns: int) -> None:
        """Note that the broker has an event.

        Args:
            packet: Completes the event; one of an older stream is ignored.
        """
        stream, seq = packet.stream, packet.seq
        if stream != self._stream:
            return
        self._window.confirmed(seq, awaits_collector=self.awaits_collector)
        self._confirmed_last_ns = now_ns
        if self._rule is CollectorAck.OFF:
            self._outbox.acknowledge(stream, ((seq, seq),))
            return
        self._outbox.mark_sent(stream, seq)
        if not self.awaits_collector:
            self._confirmed_finally += 1

    def refused(self, packet: Packet, now_ns: int) -> None:
        """Note that the broker refused an event; it stays in the outbox."""
        if packet.stream == self._stream:
            self._window.refused(packet.seq, now_ns)

    def image_refused(
        self, packet: Packet, *, is_too_large: bool, was_cut: bool = False
    ) -> None:
        """Note that the broker refused a picture; its alert is sent without it.

        The alert was already sent and announces the picture. No collector can complete
        it, so it stays unacknowledged, and is sent again without the picture.

        Args:
            is_too_large: The broker has a limit that it did not announce.
            was_cut: The refusal ended the connection; the next one keeps the limit.
        """
        if packet.stream != self._stream:
            return
        self._was_cut = was_cut
        self._without_image.add(packet.image_of)
        if is_too_large:
            self._image_limit_bytes = len(packet.payload) - 1
            self._note_too_large(self._image_limit_bytes)

    def acknowledged(self, payload: bytes, now_ns: int) -> None:
        """Take the collector's acknowledgement, as far as it proves what it names.

        Args:
            payload: As received: any bytes.
        """
        stream = self._stream
        if self._rule is CollectorAck.OFF or stream != self._outbox.stream:
            return
        seqs = self._check.read(payload, stream, self._outbox.last_seq, now_ns)
        if not seqs:
            return
        if not self._outbox.collector_known:
            self._outbox.note_collector()
            self._confirmed_finally = 0  # a collector must acknowledge them
            logger.info("collector_found stream=%s", stream)
            self._window.collector_appeared(now_ns)
        self._window.acknowledged(seqs, now_ns)
        self._outbox.acknowledge(stream, ranges_of(seqs))
        self._outbox.treat_confirmed_as_delivered(
            is_delivered=not self.awaits_collector
        )

    def _follow_stream(self, now_ns: int) -> None:
        """Start again when the outbox has started a new stream."""
        if self._stream != self._outbox.stream:
            self._stream = self._outbox.stream
            self._ready.clear()
            self._window.new_stream()
            self._check.new_stream()
            self._window.connected(now_ns, redelivers=self.awaits_collector)

    def _check_collector(self, now_ns: int) -> None:
        """Raise an alarm when confirmed events are not acknowledged.

        An MQTT 3.1.1 broker also confirms messages that its access list denies: the
        missing acknowledgement is the only sign of such a denial.
        """
        since_ns = self._window.unanswered_since_ns
        if since_ns is None or not self.awaits_collector or not self._outbox.depth():
            self._alarms.clear(SILENCE_KEY)
        elif now_ns - since_ns >= self._silent_after_s * NS_PER_S:
            self._alarms.raise_alarm(
                SILENCE_KEY,
                "acknowledged by the broker but not by the collector for "
                f"{self._silent_after_s:g} s: is it running, and does the broker let "
                "this station write?",
            )

    def _note_too_large(self, limit_bytes: int) -> None:
        self._alarms.raise_alarm(
            TOO_LARGE_KEY,
            "the broker takes no pictures of more than "
            f"{counted(limit_bytes, 'byte')}: they are "
            "left out",
        )

    def _refill(self, now_ns: int) -> bool:
        """Make packets of the next events: new ones first, else events to repeat."""
        window, limit = self._window, min(self._window.room, READ_EVENTS)
        # Read before the query: events that are committed later wait for the next call.
        last_seq = self._outbox.last_seq
        if limit and window.cursor < last_seq:
            queued = self._outbox.read(window.cursor, limit, was_sent=False)
            if queued is not None:
                window.read_up_to(queued[-1].seq if queued else last_seq)
                self._add(queued, now_ns)
        limit = min(window.redelivery_limit(now_ns), READ_EVENTS)
        if not self._ready and limit:
            queued = self._outbox.read(window.redelivery_cursor, limit, was_sent=True)
            if queued is not None:
                self._add(queued, now_ns)
                seqs = [each.seq for each in queued]
                window.redelivered(seqs, now_ns, is_end=len(queued) < limit)
        return bool(self._ready)

    def _add(self, queued: list[QueuedEvent], now_ns: int) -> None:
        """Make the packets of those events that are not in the window."""
        for each in queued:
            if each.seq in self._window:  # sent, and perhaps not confirmed yet
                continue
            if not each.is_whole:
                logger.error("event_damaged seq=%d: the disk changed it", each.seq)
                self._outbox.acknowledge(self._stream, ((each.seq, each.seq),))
                continue
            image = self._sendable_image(each)
            rendered = render(
                each,
                self._stream,
                replayed=each.was_sent or each.seq <= self._window.sent_up_to,
                with_image=image is not None,
            )
            payload = rendered.payload
            if len(payload) > (limit_bytes := self._payload_limit_bytes):
                self._alarms.raise_alarm(
                    KEPT_KEY,
                    f"an event of {len(payload)} bytes is beyond the broker's limit of "
                    f"{limit_bytes}: it is kept",
                )
                self._window.refused(each.seq, now_ns)
                continue
            if image:  # before its alert, so that the alert is complete on arrival
                topic = each.image_topic(self._stream)
                self._ready.append(
                    Packet(topic, image, stream=self._stream, image_of=each.seq)
                )
            self._check.sent(each.seq, rendered.digest)
            self._ready.append(
                Packet(each.event.topic, payload, each.seq, self._stream)
            )

    @property
    def _payload_limit_bytes(self) -> int:
        """Largest payload that the broker accepts, as it announced."""
        if self._max_packet_bytes is None:
            return UNLIMITED_BYTES
        return self._max_packet_bytes - HEADER_MAX_BYTES

    def _sendable_image(self, queued: QueuedEvent) -> bytes | None:
        """Return the picture of an event, if it is within the broker's limit."""
        image = queued.event.image
        if image is None or queued.seq in self._without_image:
            return None
        learned_bytes = self._image_limit_bytes
        limit_bytes = self._payload_limit_bytes
        if learned_bytes is not None:
            limit_bytes = min(limit_bytes, learned_bytes)
        if len(image) > limit_bytes:
            self._note_too_large(limit_bytes)
            return None
        return image
