"""One connection of the publisher: packets out, answers back to the send queue."""

import logging
import time
from collections.abc import Callable, Sequence

from edge.config.station import ProtocolChoice
from edge.delivery.publisher.delivery_faults import DeliveryFaults
from edge.delivery.publisher.packet import Packet
from edge.delivery.publisher.send_queue import SendQueue
from models.mqtt_session import (
    ConnectionLostError,
    MqttSession,
    MqttVersion,
    PublishAnswer,
    ReceivedMessage,
    SessionEvent,
    SubscribeAnswer,
)

# A line of 10 kB/s transmits this within twice the usual keepalive of 15 s: with more
# in flight, the broker's ping answer would come after the keepalive has expired.
IN_FLIGHT_MAX_BYTES = 256 * 1024
TOO_LARGE = "Packet too large"
logger = logging.getLogger(__name__)

# Filter of the command topics, and the handler of a command (topic, payload, whether it
# was retained), which must not block.
CommandSubscription = tuple[str, Callable[[str, bytes, bool], None]]


def versions_of(choice: ProtocolChoice) -> Sequence[MqttVersion]:
    """Return the versions of MQTT to try, in order."""
    match choice:
        case ProtocolChoice.AUTO:
            return (MqttVersion.V5, MqttVersion.V311)
        case ProtocolChoice.V5:
            return (MqttVersion.V5,)
        case ProtocolChoice.V311:
            return (MqttVersion.V311,)


class AnswerHandler:
    """Handles messages and answers of the broker, on every connection.

    Args:
        send_queue: Receives confirmations, refusals and acknowledgements.
        alarms: Receives the refusals of the broker.
        commands: None: no commands are taken.

    Attributes:
        errors: Answers whose handling raised, since the start.
    """

    def __init__(
        self,
        send_queue: SendQueue,
        ack_topic: str,
        alarms: DeliveryFaults,
        commands: CommandSubscription | None,
    ) -> None:
        self.errors = 0
        self._send_queue, self._ack_topic = send_queue, ack_topic
        self._alarms, self._commands = alarms, commands

    @property
    def filters(self) -> Sequence[str]:
        """Topic filters to subscribe to."""
        commands = (self._commands[0],) if self._commands else ()
        return (self._ack_topic, *commands)

    def handle(self, event: SessionEvent, packet: Packet | None) -> None:
        """Handle one answer; a fault in it is counted, and the connection stays open.

        Args:
            packet: The packet that a ``PublishAnswer`` belongs to.
        """
        try:
            match event:
                case ReceivedMessage():
                    self._receive(event)
                case SubscribeAnswer(refusals):
                    for topic, refusal in refusals.items():
                        self._note_refusal(topic, refusal)
                case PublishAnswer(refusal=refusal) if packet is not None:
                    self._confirm(packet, refusal)
        # One bad answer must not end the connection, or the next ones would be lost.
        except Exception:
            self.errors += 1
            logger.exception("broker_callback_failed callback=%s", type(event).__name__)

    def handle_cut(self, in_flight: Sequence[Packet], cut: ConnectionLostError) -> str:
        """Handle the end of a connection; return which picture may be why, or nothing.

        mosquitto answers a message beyond its message_size_limit with a reason that
        MQTT 5 does not allow there, and paho treats the answer as a damaged packet.

        Args:
            in_flight: Packets that are sent and not confirmed, oldest first.
        """
        is_exact = cut.is_protocol_error or str(cut) == TOO_LARGE
        return self._send_queue.cut(in_flight, time.monotonic_ns(), is_exact=is_exact)

    def _receive(self, message: ReceivedMessage) -> None:
        if message.topic == self._ack_topic:
            self._send_queue.acknowledged(message.payload, time.monotonic_ns())
        elif self._commands and message.topic:
            take = self._commands[1]
            take(message.topic, message.payload, message.is_retained)

    def _confirm(self, packet: Packet, refusal: str) -> None:
        is_too_large = refusal == TOO_LARGE
        now_ns = time.monotonic_ns()
        if packet.image_of and refusal:
            self._send_queue.image_refused(packet, now_ns, is_too_large=is_too_large)
        elif packet.image_of:
            self._send_queue.image_confirmed(packet)
        # A picture that is too large has a separate alarm, with the limit.
        if not (packet.image_of and is_too_large):
            self._note_refusal(packet.topic_family, refusal)
        if packet.seq and refusal:
            self._send_queue.refused(packet, now_ns)
        elif packet.seq:
            self._send_queue.confirmed(packet, now_ns)

    def _note_refusal(self, topic: str, refusal: str) -> None:
        """Raise or clear the alarm of a topic; a refused event is kept."""
        if refusal:
            self._alarms.raise_alarm(topic, f"the broker refuses {topic}: {refusal}")
        else:
            self._alarms.clear(topic)


class DeliverySession:
    """One open session, with its packets in flight.

    Args:
        session: Open.

    Attributes:
        in_flight: Packets sent and not confirmed, by packet id, oldest first.
    """

    def __init__(self, session: MqttSession, answers: AnswerHandler) -> None:
        self.in_flight: dict[int, Packet] = {}
        self._in_flight_bytes = 0
        self._session, self._answers = session, answers
        session.subscribe(answers.filters)

    @property
    def version(self) -> MqttVersion:
        """Version of MQTT."""
        return self._session.version

    @property
    def max_packet_bytes(self) -> int | None:
        """The broker's limit; None: it announced none."""
        return self._session.max_packet_bytes

    @property
    def room(self) -> int:
        """Packets that may be sent before a confirmation comes."""
        if self.room_bytes <= 0:
            return 0
        return max(0, self._session.receive_maximum - len(self.in_flight))

    @property
    def room_bytes(self) -> int:
        """Bytes that may be sent; the packet that passes this is the last."""
        return IN_FLIGHT_MAX_BYTES - self._in_flight_bytes

    def publish(self, packet: Packet) -> None:
        """Send a packet.

        Raises:
            ConnectionLostError: The connection ended.
        """
        mid = self._session.publish(
            packet.topic, packet.payload, qos=packet.qos, retain=packet.retain
        )
        if packet.qos:
            self.in_flight[mid] = packet
            self._in_flight_bytes += len(packet.payload)

    def turn(self, timeout_s: float) -> None:
        """Serve the network once, and handle the broker's messages and answers.

        Args:
            timeout_s: Longest wait for the network or a wake-up.

        Raises:
            ConnectionLostError: The connection ended.
        """
        for event in self._session.turn(timeout_s):
            self._answers.handle(event, self._confirmed_by(event))
        self._session.ensure_open()

    def handle_cut(self, cut: ConnectionLostError) -> str:
        """Handle the end of the connection; return which picture may be why."""
        return self._answers.handle_cut(tuple(self.in_flight.values()), cut)

    def close(self) -> None:
        """Send a DISCONNECT and close: the broker does not publish the last will."""
        self._session.close()

    def abandon(self) -> None:
        """Close the socket without a DISCONNECT, in any state."""
        self._session.abandon()

    def _confirmed_by(self, event: SessionEvent) -> Packet | None:
        """Remove and return the packet that an answer belongs to."""
        if not isinstance(event, PublishAnswer):
            return None
        packet = self.in_flight.pop(event.mid, None)
        if packet is not None:
            self._in_flight_bytes -= len(packet.payload)
        return packet
