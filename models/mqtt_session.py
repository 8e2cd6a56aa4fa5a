"""One MQTT connection, from TCP to its end; the only module that imports paho.

The daemon's publisher, ``graftline doctor`` and the dashboard's collector use it. Each
attempt is a new session with a new paho client: unconfirmed messages are sent again
from the owner's file, never from paho's queue in memory, which is lost with the process
and would send the same messages a second time.

The thread that owns a session serves it with ``turn``. paho's callbacks run inside it
and only append to the list of events that ``turn`` returns, so that no code of the
owner runs inside paho.

Source:
    paho 2.2: an exception in a callback ends the network loop; messages are sent again
    only on a reconnect; the broker's Receive Maximum is not observed.
"""

import selectors
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from models.broker import BrokerLogin, make_tls_context, read_password
from models.errors import ConfigError
from models.tls_errors import explain_tls

ANSWER_TURN_S = 0.25  # one wait for the broker's answer to the login
RECEIVE_MAXIMUM = 100  # unconfirmed packets, even if an MQTT 5 broker allows more
# MQTT 3.1.1 brokers do not announce their limit; this is the default of mosquitto.
RECEIVE_MAXIMUM_UNKNOWN = 20
QOS = 1  # of every subscription and of the will
UNSUPPORTED_VERSION = "Unsupported protocol version"
PROTOCOL_ERROR = "Protocol error"
NO_REASON = "Unspecified error"  # paho's text where the broker gives no reason
CLOSED = "closed the connection"
TAKEN_OVER = "Session taken over"  # by another client of this id (MQTT 5)


class MqttVersion(StrEnum):
    """Version of MQTT."""

    V5 = "5"
    V311 = "3.1.1"

    @property
    def label(self) -> str:
        """``MQTTv5`` or ``MQTTv311``, for logs and reports."""
        return f"MQTTv{self.value.replace('.', '')}"


class ConnectionLostError(Exception):
    """The connection ended, or could not be made; its text is the reason.

    Attributes:
        is_protocol_error: paho could not read what the broker sent.
    """

    def __init__(self, reason: str, *, is_protocol_error: bool = False) -> None:
        super().__init__(reason)
        self.is_protocol_error = is_protocol_error


class ConnectionRefusedByBrokerError(ConnectionLostError):
    """The broker refuses the client, or is not trusted; a retry does not help."""


class OtherVersionError(ConnectionLostError):
    """The broker does not support this version of MQTT, or does not answer."""


class HungUpError(OtherVersionError):
    """The broker closed the connection during the login, for any reason."""


@dataclass(frozen=True, slots=True)
class LastWill:
    """Retained message that the broker publishes when the connection breaks."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class BrokerQueue:
    """A persistent session: the broker queues messages while the client is offline.

    Received messages are then acknowledged by ``MqttSession.acknowledge`` only.

    Attributes:
        is_fresh: Discard what the broker has kept under this client id.
        expiry_s: How long the broker keeps it (MQTT 5 only).
        receive_maximum: Unacknowledged messages that the broker may send (MQTT 5).
        packet_max_bytes: Largest packet that the broker may send (MQTT 5).
    """

    is_fresh: bool
    expiry_s: int
    receive_maximum: int
    packet_max_bytes: int


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message of a subscribed topic.

    Attributes:
        topic: Empty if it is not UTF-8.
        mid: Packet id, valid in this session alone.
        qos: 0 or 1; a message with 0 needs no acknowledgement.
        is_retained: The message is a retained one.
    """

    topic: str
    payload: bytes
    mid: int
    qos: int
    is_retained: bool


@dataclass(frozen=True, slots=True)
class PublishAnswer:
    """The broker's answer to a packet with QoS 1.

    Attributes:
        mid: Packet id, as returned by ``publish``.
        refusal: Why the packet was refused; empty if it was accepted.
    """

    mid: int
    refusal: str


@dataclass(frozen=True, slots=True)
class SubscribeAnswer:
    """The broker's answer to a subscription.

    Attributes:
        refusals: Why each topic filter was refused; empty text if it was accepted.
    """

    refusals: dict[str, str]


SessionEvent = ReceivedMessage | PublishAnswer | SubscribeAnswer


class SessionWakeup:
    """Ends the wait of ``MqttSession.turn``; may be used from any thread.

    Attributes:
        is_cancelled: A login in progress is given up too.
    """

    def __init__(self) -> None:
        self.is_cancelled = False
        self._reader, self._writer = socket.socketpair()
        self._reader.settimeout(0)
        self._writer.settimeout(0)

    def set(self) -> None:
        """End the current wait, or the next one."""
        with suppress(OSError):  # full: already set; closed: no session is left
            self._writer.send(b"\0")

    def cancel(self) -> None:
        """End the current wait, including the wait for the answer to a login."""
        self.is_cancelled = True
        self.set()

    def clear(self) -> None:
        """Clear every ``set`` so far."""
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    def fileno(self) -> int:
        """Return the descriptor that is readable while it is set."""
        return self._reader.fileno()

    def close(self) -> None:
        """Close both ends; called after the last session."""
        self._reader.close()
        self._writer.close()


class MqttSession:
    """One attempt at a connection. Used by one thread.

    Args:
        login: Address and credentials; password and certificates are read at the
            connect, so that rotated files are used.
        client_id: Name of this client at the broker.
        connect_limit_s: Longest wait for TCP.
        answer_limit_s: Longest wait for the broker's answer to the login.
        will: None: nothing is published when the connection breaks.
        queue: None: the broker forgets this client with the connection.

    Attributes:
        receive_maximum: Packets that may be unconfirmed at a time.
        max_packet_bytes: The broker's limit; None: it announced none.
        is_resumed: The broker had kept a session of this client id.
    """

    def __init__(
        self,
        login: BrokerLogin,
        client_id: str,
        version: MqttVersion,
        *,
        connect_limit_s: float,
        answer_limit_s: float,
        will: LastWill | None = None,
        queue: BrokerQueue | None = None,
    ) -> None:
        self.version = version
        self.receive_maximum = RECEIVE_MAXIMUM_UNKNOWN
        self.max_packet_bytes: int | None = None
        self.is_resumed = False
        self._login, self._queue = login, queue
        self._answer_limit_s = answer_limit_s
        self._events: list[SessionEvent] = []
        self._filters: dict[int, Sequence[str]] = {}  # of subscriptions, by packet id
        self._connack: ReasonCode | None = None
        self._lost_reason = ""
        self._selector = selectors.DefaultSelector()
        self._wakeup: SessionWakeup | None = None
        is_clean = None if self._is_v5 else queue is None or queue.is_fresh
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=is_clean,
            protocol=MQTTProtocolVersion[version.label],
            reconnect_on_failure=False,
            manual_ack=queue is not None,
        )
        client.connect_timeout = connect_limit_s
        if queue is None:
            # The owner observes ``receive_maximum``: packets that paho held back in
            # its own memory could not be counted as sent.
            client.max_inflight_messages_set(0)
        if will is not None:
            client.will_set(will.topic, will.payload, qos=QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = lambda _c, _d, _f, reason, _p: self._note_end(
            str(reason)
        )
        client.on_publish = lambda _c, _d, mid, reason, _p: self._note_published(
            mid, reason
        )
        client.on_subscribe = lambda _c, _d, mid, reasons, _p: self._note_subscribed(
            mid, reasons
        )
        client.on_message = self._on_message
        self._client = client

    # --- connect ---------------------------------------------------------------------

    def open(self, wakeup: SessionWakeup | None = None) -> None:
        """Connect, log in and wait for the broker's answer.

        Args:
            wakeup: Ends a ``turn`` early. None: nothing does.

        Raises:
            ConnectionLostError: There is no connection, with the reason.
        """
        self.connect()
        self.await_answer(wakeup)

    def connect(self) -> None:
        """Make the TCP and TLS connection, and send the login.

        Raises:
            ConnectionLostError: There is no connection, with the reason.
        """
        login, client = self._login, self._client
        try:
            if login.username:
                client.username_pw_set(login.username, read_password(login))
            if (context := make_tls_context(login)) is not None:
                client.tls_set_context(context)
            client.connect(login.host, login.port, login.keepalive_s, **self._extras())
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
            raise ConnectionLostError(f"cannot be reached: {exc}") from exc
        except ssl.SSLError as exc:
            reason = f"cannot be used: {explain_tls(exc)}"
            raise ConnectionRefusedByBrokerError(reason) from exc
        except ConfigError as exc:
            raise ConnectionRefusedByBrokerError(f"cannot be used: {exc}") from exc
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
            raise ConnectionLostError(f"cannot be reached: {reason}") from exc

    def await_answer(self, wakeup: SessionWakeup | None = None) -> None:
        """Wait for the broker's answer to the login.

        Args:
            wakeup: Ends a ``turn`` early. None: nothing does.

        Raises:
            ConnectionLostError: The broker refuses the client, or does not answer.
        """
        try:
            reason = self._wait_for_connack(wakeup)
        except ConnectionLostError as exc:
            # A broker that does not support the version may close without a reason.
            is_protocol_error = exc.is_protocol_error
            raise HungUpError(str(exc), is_protocol_error=is_protocol_error) from exc
        if reason is None and wakeup is not None and wakeup.is_cancelled:
            raise ConnectionLostError("the login was cancelled")
        if reason is None:  # amqtt sends nothing when it meets MQTT 5
            raise OtherVersionError("accepts connections but does not answer")
        if reason.is_failure and reason.getName() == UNSUPPORTED_VERSION:
            raise OtherVersionError(str(reason))
        if reason.is_failure:
            raise ConnectionRefusedByBrokerError(f"refused the connection: {reason}")

    def _wait_for_connack(self, wakeup: SessionWakeup | None) -> ReasonCode | None:
        """Return the reason code of the answer; None: no answer came in time."""
        deadline_s = time.monotonic() + self._answer_limit_s
        connection = self.connection
        # Else Nagle's algorithm and delayed acknowledgements add 40 ms a message.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(connection, selectors.EVENT_READ)
        if wakeup is not None:
            self._wakeup = wakeup
            self._selector.register(wakeup, selectors.EVENT_READ)
        while self._connack is None and time.monotonic() < deadline_s:
            self._serve(min(ANSWER_TURN_S, self._answer_limit_s))
            if self._connack is None:
                self.ensure_open()
            if wakeup is not None and wakeup.is_cancelled:
                break
        return self._connack

    def _extras(self) -> dict[str, Any]:
        """Return the arguments of paho's ``connect`` that exist in MQTT 5 only."""
        if self._queue is None or not self._is_v5:
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._queue.expiry_s
        properties.ReceiveMaximum = self._queue.receive_maximum
        properties.MaximumPacketSize = self._queue.packet_max_bytes
        return {"clean_start": self._queue.is_fresh, "properties": properties}

    @property
    def _is_v5(self) -> bool:
        return self.version is MqttVersion.V5

    # --- send and receive ------------------------------------------------------------

    def turn(self, timeout_s: float) -> list[SessionEvent]:
        """Serve the network once, and return what has happened.

        Args:
            timeout_s: Longest wait for the network or a wake-up.

        Raises:
            ConnectionLostError: The connection ended, and every event before its end
                was returned.
        """
        self.ensure_open()
        self._serve(0 if self._events else timeout_s)
        events, self._events = self._events, []
        if not events:
            self.ensure_open()
        return events

    def publish(
        self, topic: str, payload: bytes, *, qos: int = QOS, retain: bool = False
    ) -> int:
        """Send a message and return its packet id.

        Raises:
            ConnectionLostError: The connection ended.
        """
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc != mqtt.MQTT_ERR_SUCCESS:
            self.ensure_open()
            raise ConnectionLostError(f"publish failed: {mqtt.error_string(info.rc)}")
        return info.mid

    def subscribe(self, filters: Sequence[str], *, own_messages: bool = True) -> None:
        """Subscribe to topics; ``turn`` returns the ``SubscribeAnswer``.

        Args:
            own_messages: False: messages that this client publishes are not received
                (MQTT 5 only).
        """
        if self._is_v5:
            options = SubscribeOptions(qos=QOS, noLocal=not own_messages)
            _, mid = self._client.subscribe([(each, options) for each in filters])
        else:
            _, mid = self._client.subscribe([(each, QOS) for each in filters])
        if mid is not None:
            self._filters[mid] = filters

    def acknowledge(self, mid: int, qos: int) -> None:
        """Let the broker delete a message of this session from its queue."""
        if qos:
            self._client.ack(mid, qos)

    def close(self) -> None:
        """Send a DISCONNECT and close: the broker does not publish the last will."""
        self._client.disconnect()
        if self._client.want_write():
            self._client.loop_write()
        self.abandon()

    def abandon(self) -> None:
        """Close the socket without a DISCONNECT, in any state."""
        self._selector.close()
        # paho may still wait to send a last packet: the socket is closed anyway.
        connection = self._client.socket()
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def ensure_open(self) -> None:
        """Raise ``ConnectionLostError`` if the connection has ended."""
        _ = self.connection

    @property
    def connection(self) -> Any:  # noqa: ANN401 - paho's own union of socket types
        """The connected socket.

        Raises:
            ConnectionLostError: The connection ended.
        """
        connection = self._client.socket()
        if connection is None:
            reason = self._lost_reason
            raise ConnectionLostError(
                reason or CLOSED, is_protocol_error=reason == PROTOCOL_ERROR
            )
        return connection

    def _serve(self, timeout_s: float) -> None:
        """Wait for the network or a wake-up, and let paho read and write."""
        connection = self.connection
        writes = selectors.EVENT_WRITE if self._client.want_write() else 0
        self._selector.modify(connection, selectors.EVENT_READ | writes)
        # TLS may hold decrypted bytes: the socket is then not readable.
        has_pending = bool(getattr(connection, "pending", int)())
        for key, ready in self._selector.select(0 if has_pending else timeout_s):
            if self._wakeup is not None and key.fileobj is self._wakeup:
                self._wakeup.clear()
            elif ready & selectors.EVENT_WRITE:
                self._client.loop_write()
        # A read without data is cheap, and returns bytes that TLS holds.
        self._client.loop_read()
        self._client.loop_misc()

    # --- called by paho, inside ``_serve`` -------------------------------------------

    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: object,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._connack, self.is_resumed = reason, flags.session_present
        if self._is_v5:
            limit = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM)
            self.receive_maximum = min(limit, RECEIVE_MAXIMUM)
            self.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)

    def _note_end(self, reason: str) -> None:
        self._lost_reason = "" if reason == NO_REASON else reason

    def _note_subscribed(self, mid: int, reasons: list[ReasonCode]) -> None:
        filters = self._filters.pop(mid, ())
        refusals = dict(zip(filters, map(_refusal, reasons), strict=False))
        self._events.append(SubscribeAnswer(refusals))

    def _note_published(self, mid: int, reason: ReasonCode) -> None:
        self._events.append(PublishAnswer(mid, _refusal(reason)))

    def _on_message(
        self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage
    ) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        payload = bytes(message.payload)
        self._events.append(
            ReceivedMessage(topic, payload, message.mid, message.qos, message.retain)
        )


def _refusal(reason: ReasonCode) -> str:
    return str(reason) if reason.is_failure else ""


def open_session(
    make: Callable[[MqttVersion], MqttSession],
    versions: Sequence[MqttVersion],
    wakeup: SessionWakeup | None = None,
) -> MqttSession:
    """Return an open session in the first version that the broker accepts.

    Args:
        make: Returns a session that is not open yet.
        versions: To try, in order.
        wakeup: Ends a ``turn`` early. None: nothing does.

    Raises:
        OtherVersionError: The broker accepts none of them.
        ConnectionLostError: There is no connection, with the reason.
    """
    for version in versions:
        session = make(version)
        try:
            session.open(wakeup)
        except OtherVersionError:
            session.abandon()
            if version is versions[-1]:
                raise
        except BaseException:
            session.abandon()
            raise
        else:
            return session
    raise ValueError("no version of MQTT to try")
