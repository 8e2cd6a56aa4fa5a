"""Turns events of the outbox into packets, and applies the answers to the outbox."""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import assert_never

from edge.config.station import CollectorAck
from edge.delivery.outbox.events import QueuedEvent, render
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher.acknowledgement_check import AcknowledgementCheck
from edge.delivery.publisher.delivery_faults import DeliveryFaults
from edge.delivery.publisher.packet import Packet
from edge.delivery.publisher.picture_queue import UNLIMITED_BYTES, PictureQueue
from edge.delivery.publisher.send_window import NS_PER_S, SendWindow
from models.messages import ranges_of

WINDOW_EVENTS = 200  # sent without the collector's acknowledgement
READ_EVENTS = 50
HEADER_MAX_BYTES = 512  # of a PUBLISH packet: topic, packet id, properties
# In "auto", how long a collector may take to answer after the last event.
COLLECTOR_GRACE_NS = 4 * NS_PER_S
SILENCE_KEY, KEPT_KEY = "collector", "event size"
NO_DASHBOARD = 'Where there is none, set [broker] collector_ack = "off"'
logger = logging.getLogger(__name__)


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
        self._pictures = PictureQueue(alarms)
        self._outbox, self._rule = outbox, collector_ack
        self._window = SendWindow(WINDOW_EVENTS, chance)
        self._stream = ""
        self._ready: deque[Packet] = deque()
        self._max_packet_bytes: int | None = None
        self._confirmed_last_ns = 0
        # Since when the broker has events, and no collector has ever answered.
        self._unclaimed_ns: int | None = None
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

    @property
    def rule_in_words(self) -> str:
        """What ``collector_ack`` means now, for the log and the status."""
        match self._rule:
            case CollectorAck.REQUIRED:
                return "required: delivered when the dashboard has acknowledged it"
            case CollectorAck.OFF:
                return "off: delivered when the broker has confirmed it"
            case CollectorAck.AUTO if self.awaits_collector:
                return (
                    "auto, and a dashboard has answered: delivered when the dashboard "
                    "has acknowledged it"
                )
            case CollectorAck.AUTO:
                return (
                    "auto, and no dashboard has ever answered: delivered when the "
                    "broker has confirmed it, and kept for a dashboard"
                )
            case _:
                assert_never(self._rule)

    def waiting(self) -> int:
        """Return how many events wait for the broker, or for an expected collector."""
        if self.awaits_collector:
            return self._outbox.depth()
        return self._outbox.unsent()

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

    def connected(
        self,
        now_ns: int,
        max_packet_bytes: int | None,
        *,
        confirms_everything: bool = False,
    ) -> None:
        """Start on a new connection.

        Args:
            max_packet_bytes: The broker's limit; None: it announced none.
            confirms_everything: The broker gives no reason for what it drops.
        """
        self._max_packet_bytes = max_packet_bytes
        lost = self._pictures.lost_with_connection
        # A collector that waits for these pictures has not answered yet.
        redelivers = self.awaits_collector or self._pictures.has_unconfirmed
        if lost and self._rule is CollectorAck.OFF:  # their alerts are delivered
            logger.warning("pictures_left_out count=%d: the connection ended", lost)
        self._pictures.connected(
            None if max_packet_bytes is None else self._payload_limit_bytes,
            confirms_everything=confirms_everything,
        )
        self._alarms.clear(KEPT_KEY)
        self._ready.clear()
        if self._outbox.depth() > self._outbox.unsent():  # of an earlier run
            self._note_unclaimed(now_ns)
        self._window.connected(now_ns, redelivers=redelivers)

    def packets(
        self, limit: int, now_ns: int, limit_bytes: int = UNLIMITED_BYTES
    ) -> list[Packet]:
        """Return the packets to publish now, in order.

        Args:
            limit_bytes: Most bytes; the packet that passes it is the last.
        """
        self._follow_stream(now_ns)
        unanswered = self._window.tick(now_ns)
        if unanswered is not None:
            self._pictures.unanswered(unanswered, now_ns)
        self._check.tick(now_ns)
        self._check_collector(now_ns)
        packets: list[Packet] = []
        while len(packets) < limit and limit_bytes > 0:
            packet = self._next_packet(now_ns)
            if packet is None:
                break
            limit_bytes -= len(packet.payload)
            if packet.seq:
                self._window.transmitted(packet.seq, now_ns)
            packets.append(packet)
        return packets

    def due_ns(self) -> int | None:
        """Return the latest time of the next call for packets; None: no limit."""
        if self._pictures.is_waiting:  # for the broker, not for a time
            return None
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
            self._note_unclaimed(now_ns)

    def refused(self, packet: Packet, now_ns: int) -> None:
        """Note that the broker refused an event; it stays in the outbox."""
        if packet.stream == self._stream:
            self._window.refused(packet.seq, now_ns)

    def image_confirmed(self, packet: Packet) -> None:
        """Note that the broker has a picture."""
        if packet.stream == self._stream:
            self._pictures.confirmed(packet)

    def image_refused(self, packet: Packet, now_ns: int, *, is_too_large: bool) -> None:
        """Note that the broker refused a picture; its alert is sent again.

        The alert was already sent and announces the picture. No collector can complete
        it, so it stays unacknowledged, and is sent again with a smaller one, or none.

        Args:
            is_too_large: The broker has a limit that it did not announce.
        """
        if packet.stream == self._stream:
            self._pictures.refused(packet, now_ns, is_too_large=is_too_large)

    def cut(self, in_flight: Sequence[Packet], now_ns: int, *, is_exact: bool) -> str:
        """Note that the connection ended; return which picture may be why, or nothing.

        Args:
            in_flight: Packets that are sent and not confirmed, oldest first.
            is_exact: The end is the broker's answer to the oldest one.
        """
        ours = [each for each in in_flight if each.stream == self._stream]
        return self._pictures.cut(ours, now_ns, is_exact=is_exact)

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
        self._pictures.acknowledged(seqs)
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
            self._pictures.new_stream()
            self._window.connected(now_ns, redelivers=self.awaits_collector)

    def _check_collector(self, now_ns: int) -> None:
        """Raise an alarm when confirmed events are not acknowledged.

        An MQTT 3.1.1 broker also confirms messages that its access list denies: the
        missing acknowledgement is the only sign of such a denial.
        """
        if self.awaits_collector:
            since_ns = self._window.unanswered_since_ns
            text = (
                "acknowledged by the broker but not by the collector for "
                f"{self._silent_after_s:g} s: is it running, and does the broker let "
                f"this station write? {NO_DASHBOARD}"
            )
        else:
            since_ns = self._unclaimed_ns
            text = (
                "alerts are with the broker, and no dashboard has ever acknowledged "
                f"one ({self._silent_after_s:g} s): is it running, and may it write "
                f"to the topic ack? {NO_DASHBOARD}"
            )
        if since_ns is None or not self._outbox.depth():
            self._alarms.clear(SILENCE_KEY)
        elif now_ns - since_ns >= self._silent_after_s * NS_PER_S:
            self._alarms.raise_alarm(SILENCE_KEY, text)

    def _note_unclaimed(self, now_ns: int) -> None:
        """Note that the broker has an event that a collector should acknowledge."""
        if self._rule is CollectorAck.AUTO and self._unclaimed_ns is None:
            self._unclaimed_ns = now_ns

    def _next_packet(self, now_ns: int) -> Packet | None:
        """Return the next packet: new events, then late pictures, then repetitions."""
        if not self._ready:
            self._read_new(now_ns)
        if not self._ready and (late := self._pictures.take()) is not None:
            return late
        if not self._ready and not self._pictures.is_waiting:
            self._read_again(now_ns)
        return self._ready.popleft() if self._ready else None

    def _read_new(self, now_ns: int) -> None:
        """Make packets of the next events that no broker has confirmed."""
        window, limit = self._window, min(self._window.room, READ_EVENTS)
        # Read before the query: events that are committed later wait for the next call.
        last_seq = self._outbox.last_seq
        if limit and window.cursor < last_seq:
            queued = self._outbox.read(window.cursor, limit, was_sent=False)
            if queued is not None:
                window.read_up_to(queued[-1].seq if queued else last_seq)
                self._add(queued, now_ns)

    def _read_again(self, now_ns: int) -> None:
        """Make packets of the next events to repeat."""
        window = self._window
        # Each picture is confirmed before the next alert is repeated.
        most = 1 if self._pictures.is_cautious else READ_EVENTS
        limit = min(window.redelivery_limit(now_ns), most)
        if limit:
            queued = self._outbox.read(window.redelivery_cursor, limit, was_sent=True)
            if queued is not None:
                if queued and window.is_silent:
                    self._pictures.unanswered(queued[0].seq, now_ns)
                self._add(queued, now_ns)
                seqs = [each.seq for each in queued]
                window.redelivered(seqs, now_ns, is_end=len(queued) < limit)

    def _add(self, queued: list[QueuedEvent], now_ns: int) -> None:
        """Make the packets of those events that are not in the window."""
        for each in queued:
            if each.seq in self._window:  # sent, and perhaps not confirmed yet
                continue
            if not each.is_whole:
                logger.error("event_damaged seq=%d: the disk changed it", each.seq)
                self._outbox.acknowledge(self._stream, ((each.seq, each.seq),))
                continue
            image = self._pictures.image_of(each, now_ns)
            rendered = render(
                each,
                self._stream,
                replayed=each.was_sent or each.seq <= self._window.sent_up_to,
                with_image=image is not None,
                smaller=None if image == each.event.image else image,
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
            if image:
                topic = each.image_topic(self._stream)
                picture = Packet(topic, image, stream=self._stream, image_of=each.seq)
                if not self._pictures.add(picture):
                    self._ready.append(picture)  # the alert is complete on arrival
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
