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
import time
from contextlib import suppress
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config import BrokerSettings, ProtocolChoice
from edge.delivery.feed import Feed, Packet
from models.broker import make_tls_context, read_password
from models.errors import ConfigError

CONNECT_LIMIT_S = 5.0
CONNACK_LIMIT_S = 3.0
TURN_S = 0.25
IN_FLIGHT_MAX = 100
IN_FLIGHT_UNKNOWN = 20  # MQTT 3.1.1 brokers do not say; mosquitto's own limit
logger = logging.getLogger(__name__)


class LostError(Exception):
    """The connection ended, or there was none; its text says why."""


class RefusedError(LostError):
    """The broker answered, and does not want us: trying often would not help."""


class OtherProtocolError(LostError):
    """The broker does not speak this version of MQTT."""


class Link:
    """One attempt at a connection, from TCP to its end.

    Args:
        settings: Of the broker.
        client_id: The same for every attempt.
        protocol: Version of MQTT.
        will: What the broker publishes when this link breaks.
        feed: Hears what is confirmed, refused and acknowledged.
        ack_topic: Where the collector answers.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        protocol: MQTTProtocolVersion,
        will: Packet,
        feed: Feed,
        ack_topic: str,
    ) -> None:
        self.in_flight: dict[int, Packet] = {}
        self.quota = IN_FLIGHT_UNKNOWN
        self.max_packet_bytes: int | None = None
        self.refusal = ""
        self._settings, self._feed, self._ack_topic = settings, feed, ack_topic
        self._protocol = protocol
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
        settings, client = self._settings, self._client
        try:
            if settings.username:
                client.username_pw_set(settings.username, read_password(settings))
            if (context := make_tls_context(settings)) is not None:
                client.tls_set_context(context)
            client.connect(settings.host, settings.port, keepalive=settings.keepalive_s)
        except (OSError, ValueError, ConfigError) as exc:
            raise LostError(f"cannot be reached: {exc}") from exc
        # Else Nagle's algorithm and delayed acknowledgements add 40 ms a message.
        self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(self._socket(), selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ)
        deadline = time.monotonic() + CONNACK_LIMIT_S
        while self._connack is None:
            if time.monotonic() > deadline:  # amqtt is silent when it meets MQTT 5
                raise OtherProtocolError("accepts connections but does not answer")
            try:
                self.turn(TURN_S)
            except LostError as exc:
                if self._connack is None:  # closed without a word: MQTT 5 is unknown
                    raise OtherProtocolError(str(exc)) from exc
        reason = self._connack
        if reason.is_failure:
            if reason.getName() == "Unsupported protocol version":
                raise OtherProtocolError(str(reason))
            raise RefusedError(f"refused the connection: {reason}")
        client.subscribe(self._ack_topic, qos=1)

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

    @property
    def room(self) -> int:
        """Packets that may be sent before a confirmation comes."""
        return max(0, self.quota - len(self.in_flight))

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

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        for reason in reasons:
            if reason.is_failure:
                self._refuse(self._ack_topic, reason)

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
        try:
            if reason.is_failure:
                self._refuse(packet.topic, reason)
                if packet.seq:
                    self._feed.refused(packet, time.monotonic_ns())
            elif packet.seq:
                self.refusal = ""
                self._feed.confirmed(packet, time.monotonic_ns())
        # The network loop must outlive any fault of ours.
        except Exception:
            logger.exception("publish_callback_failed seq=%d", packet.seq)

    def _on_message(
        self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage
    ) -> None:
        try:
            self._feed.acknowledged(bytes(message.payload), time.monotonic_ns())
        # The network loop must outlive any payload.
        except Exception:
            logger.exception("acknowledgement_failed bytes=%d", len(message.payload))

    def _refuse(self, topic: str, reason: ReasonCode) -> None:
        """Note that the broker does not want something; the event is kept."""
        refusal = f"the broker refuses {topic}: {reason}"
        if refusal != self.refusal:
            logger.error("broker_refuses topic=%s reason=%s", topic, reason)
        self.refusal = refusal


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
