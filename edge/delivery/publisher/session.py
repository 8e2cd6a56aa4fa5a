"""One connection to a broker, driven by the thread that owns it: all of paho there is.

Each attempt is a new client: what was not confirmed is in the outbox, and paho's own
memory queue (which loses events, and repeats what we repeat) is never used. paho's
network loop is turned by our own thread, so that no callback runs beside our code.

Source:
    paho 2.2: an exception in a callback ends the network loop; messages are sent again
    only on a reconnect; the broker's Receive Maximum is not observed.
"""

import logging
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.station import BrokerSettings, ProtocolChoice
from edge.delivery.publisher.connection_diagnosis import explain_tls
from edge.delivery.publisher.delivery_faults import DeliveryFaults
from edge.delivery.publisher.send_queue import Packet, SendQueue
from models.broker import make_tls_context, read_password
from models.errors import ConfigError

CONNECT_LIMIT_S = 5.0
CONNACK_LIMIT_S = 3.0
TURN_S = 0.25
IN_FLIGHT_MAX = 100
IN_FLIGHT_UNKNOWN = 20  # MQTT 3.1.1 brokers do not say; mosquitto's own limit
# A line of 10 kB/s passes this within twice the usual keepalive of 15 s: more on the
# way would keep the broker's sign of life behind it until the line counts as dead.
IN_FLIGHT_MAX_BYTES = 256 * 1024
TOO_LARGE = "Packet too large"
logger = logging.getLogger(__name__)


CommandSubscription = tuple[str, Callable[[str, bytes, bool], None]]


class LostError(Exception):
    """The connection ended, or there was none; its text says why."""


class ConnectionRefusedByBrokerError(LostError):
    """The broker answered, and does not want us: trying often would not help."""


class OtherProtocolError(LostError):
    """The broker does not speak this version of MQTT.

    Args:
        reason: What was seen.
        is_closed: It hung up without a word, for whatever reason.
    """

    def __init__(self, reason: str, *, is_closed: bool = False) -> None:
        super().__init__(reason)
        self.is_closed = is_closed


class MqttSession:
    """One attempt at a connection, from TCP to its end.

    Args:
        settings: Of the broker.
        client_id: The same for every attempt.
        protocol: Version of MQTT.
        will: What the broker publishes when this link breaks.
        feed: Hears what is confirmed, refused and acknowledged.
        ack_topic: Where the collector answers.
        alarms: Hears what the broker refuses.
        commands: Filter of the command topics, and who takes a command: topic,
            payload, and whether it was retained. Returns at once.

    Attributes:
        in_flight: What is sent and not confirmed, by packet id.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        protocol: MQTTProtocolVersion,
        will: Packet,
        feed: SendQueue,
        ack_topic: str,
        alarms: DeliveryFaults,
        commands: CommandSubscription | None = None,
    ) -> None:
        self.in_flight: dict[int, Packet] = {}
        self.quota = IN_FLIGHT_UNKNOWN
        self.max_packet_bytes: int | None = None
        self._in_flight_bytes = 0
        self._alarms = alarms
        self._settings, self._feed, self._ack_topic = settings, feed, ack_topic
        self._protocol, self._commands = protocol, commands
        self._filters = [ack_topic, *([commands[0]] if commands else [])]
        self._connack: ReasonCode | None = None
        self._lost_reason = ""
        self._selector = selectors.DefaultSelector()
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol
        )
        client.suppress_exceptions = True  # beside our own guard
        client.connect_timeout = CONNECT_LIMIT_S
        client.max_inflight_messages_set(0)  # we count ourselves
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client

    def open(self, wake: socket.socket) -> None:
        """Connect and wait for the broker's answer.

        Args:
            wake: Readable when there is something to do.

        Raises:
            LostError: No connection, with the reason.
        """
        self._dial()
        reason = self._await_answer(wake)
        if reason.is_failure:
            if reason.getName() == "Unsupported protocol version":
                raise OtherProtocolError(str(reason))
            raise ConnectionRefusedByBrokerError(f"refused the connection: {reason}")
        self._client.subscribe([(topic, 1) for topic in self._filters])

    def _await_answer(self, wake: socket.socket) -> ReasonCode:
        """Return what the broker answers to the greeting."""
        deadline = time.monotonic() + CONNACK_LIMIT_S
        try:
            # Else Nagle's algorithm and delayed acknowledgements add 40 ms a message.
            self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(self._socket(), selectors.EVENT_READ)
            self._selector.register(wake, selectors.EVENT_READ)
            while self._connack is None and time.monotonic() < deadline:
                self.turn(TURN_S)
        except LostError as exc:
            if self._connack is None:  # closed without a word: MQTT 5 is unknown
                raise OtherProtocolError(str(exc), is_closed=True) from exc
        if self._connack is None:  # amqtt is silent when it meets MQTT 5
            raise OtherProtocolError("accepts connections but does not answer")
        return self._connack

    def _dial(self) -> None:
        """Make the TCP and TLS connection, and send the greeting."""
        settings, client = self._settings, self._client
        try:
            if settings.username:
                client.username_pw_set(settings.username, read_password(settings))
            if (context := make_tls_context(settings)) is not None:
                client.tls_set_context(context)
            client.connect(settings.host, settings.port, keepalive=settings.keepalive_s)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
            raise LostError(f"cannot be reached: {exc}") from exc
        except ssl.SSLError as exc:
            raise ConnectionRefusedByBrokerError(
                f"cannot be used: {explain_tls(exc)}"
            ) from exc
        except ConfigError as exc:
            raise ConnectionRefusedByBrokerError(f"cannot be used: {exc}") from exc
        except (OSError, ValueError) as exc:
            raise LostError(f"cannot be reached: {exc}") from exc

    def turn(self, timeout_s: float) -> None:
        """Wait for the network or a wake-up, at most so long, and serve it.

        Args:
            timeout_s: Longest wait.

        Raises:
            LostError: The connection ended.
        """
        connection = self._socket()
        writes = selectors.EVENT_WRITE if self._client.want_write() else 0
        self._selector.modify(connection, selectors.EVENT_READ | writes)
        # TLS may hold decrypted bytes that the socket does not announce.
        has_pending = bool(getattr(connection, "pending", int)())
        for key, events in self._selector.select(0 if has_pending else timeout_s):
            if key.fileobj is not connection:
                with suppress(BlockingIOError):
                    key.fileobj.recv(4096)  # type: ignore[union-attr]
            elif events & selectors.EVENT_WRITE:
                self._client.loop_write()
        self._client.loop_read()
        self._client.loop_misc()
        self._socket()

    def publish(self, packet: Packet) -> None:
        """Send a packet.

        Args:
            packet: What.

        Raises:
            LostError: The connection ended.
        """
        info = self._client.publish(
            packet.topic, packet.payload, packet.qos, packet.retain
        )
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            raise LostError(f"publish failed: {mqtt.error_string(info.rc)}")
        if packet.qos:
            self.in_flight[info.mid] = packet
            self._in_flight_bytes += len(packet.payload)

    @property
    def room(self) -> int:
        """Packets that may be sent before a confirmation comes."""
        if self.room_bytes <= 0:
            return 0
        return max(0, self.quota - len(self.in_flight))

    @property
    def room_bytes(self) -> int:
        """Bytes that may be sent; the packet that passes this is the last."""
        return IN_FLIGHT_MAX_BYTES - self._in_flight_bytes

    def close(self) -> None:
        """End in order: the broker keeps the last will to itself."""
        self._client.disconnect()
        self.abandon()

    def abandon(self) -> None:
        """Close the socket, in whatever state."""
        self._selector.close()
        connection = self._client.socket()
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def _socket(self) -> Any:  # noqa: ANN401 - paho's own union of socket types
        connection = self._client.socket()
        if connection is None:
            raise LostError(self._lost_reason or "closed the connection")
        return connection

    # --- paho calls these, inside ``turn``; a fault in one must not end the loop ---

    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._connack = reason
        if self._protocol is MQTTProtocolVersion.MQTTv5:
            limit = getattr(properties, "ReceiveMaximum", IN_FLIGHT_MAX)
            self.quota = min(limit, IN_FLIGHT_MAX)
            self.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._lost_reason = str(reason)
        oldest = next(iter(self.in_flight.values()), None)
        # mosquitto confirms what is beyond its message_size_limit with a reason that
        # MQTT 5 does not allow there, and paho takes the packet for a damaged one.
        if self._lost_reason == "Protocol error" and oldest and oldest.image_of:
            with self._guarded("on_disconnect"):
                self._feed.image_refused(oldest, is_too_large=True, was_cut=True)

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        with self._guarded("on_subscribe"):
            for topic, reason in zip(self._filters, reasons, strict=False):
                self._judge(topic, reason)

    def _on_publish(
        self,
        _client: mqtt.Client,
        _data: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        packet = self.in_flight.pop(mid, None)
        if packet is None:
            return
        self._in_flight_bytes -= len(packet.payload)
        with self._guarded("on_publish"):
            if packet.image_of and reason.is_failure:
                self._feed.image_refused(packet, is_too_large=str(reason) == TOO_LARGE)
            if not packet.image_of or str(reason) != TOO_LARGE:
                self._judge(packet.topic_family, reason)
            if packet.seq and reason.is_failure:
                self._feed.refused(packet, time.monotonic_ns())
            elif packet.seq:
                self._feed.confirmed(packet, time.monotonic_ns())

    def _on_message(
        self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage
    ) -> None:
        with self._guarded("on_message"):
            if message.topic == self._ack_topic:
                self._feed.acknowledged(bytes(message.payload), time.monotonic_ns())
            elif self._commands:
                self._commands[1](message.topic, bytes(message.payload), message.retain)

    @contextmanager
    def _guarded(self, callback: str) -> Iterator[None]:
        """Let the network loop outlive any fault of ours and any payload."""
        try:
            yield
        # The top of what paho calls: its loop would end here in silence.
        except Exception:
            self._feed.callback_errors += 1
            logger.exception("broker_callback_failed callback=%s", callback)

    def _judge(self, topic: str, reason: ReasonCode) -> None:
        """Note whether the broker wants a topic; a refused event is kept."""
        if reason.is_failure:
            self._alarms.raise_alarm(topic, f"the broker refuses {topic}: {reason}")
        else:
            self._alarms.clear(topic)


def protocols_of(choice: ProtocolChoice) -> tuple[MQTTProtocolVersion, ...]:
    """Return the versions of MQTT to try, in order.

    Args:
        choice: Of the configuration.
    """
    match choice:
        case ProtocolChoice.AUTO:
            return (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311)
        case ProtocolChoice.V5:
            return (MQTTProtocolVersion.MQTTv5,)
        case ProtocolChoice.V311:
            return (MQTTProtocolVersion.MQTTv311,)
