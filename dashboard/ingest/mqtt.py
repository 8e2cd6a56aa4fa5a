"""The dashboard's only door to MQTT: one thread that receives and acknowledges.

Everything that touches paho happens in this thread; others hand over what is to be
acknowledged and wake it through a socket pair. A message is acknowledged to the
broker (PUBACK) only after its commit, then to its station (``ack``). The session
outlives the process: what arrives while the dashboard is down waits in the broker,
and what was committed but not acknowledged comes again and makes no second row.

MQTT 5 is tried first. A broker that refuses it, or hangs up on it without a word, is
tried with 3.1.1 in turn.
"""

import logging
import random
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from dashboard.config import BrokerSettings
from dashboard.ingest.writer import Delivery, Done, Receipt
from dashboard.messages import Message
from dashboard.status import BrokerStatus, now_ms
from models.broker import make_tls_context, read_password
from models.topics import ROOT

SUBSCRIPTION = f"{ROOT}/+/+/+/#"
SESSION_EXPIRY_S = 7 * 24 * 3600
RECEIVE_MAXIMUM = 200  # unacknowledged messages that the broker may send us
PACKET_MAX_BYTES = 512 * 1024  # four times the largest message of ours
CONNECT_LIMIT_S = 5.0
CONNACK_LIMIT_S = 5.0
RETRY_FIRST_S, RETRY_LAST_S = 0.5, 10.0
LOOP_S = 0.5
STOP_LIMIT_S = 8.0
CUT = "the connection was cut"
UNSUPPORTED_VERSION = "Unsupported protocol version"

logger = logging.getLogger(__name__)


class Collector:
    """Receives what the stations publish, in a thread of its own.

    Args:
        settings: The broker.
        client_id: Stable over restarts: the session in the broker has its name.
        is_first: No session of this name was ever used with this history: whatever
            the broker keeps under it belongs to another one.
        take: Accepts a message without waiting; false if there is no room.

    Raises:
        ConfigError: The password or a certificate cannot be used.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        client_id: str,
        *,
        is_first: bool,
        take: Callable[[Delivery], bool],
    ) -> None:
        self._settings, self._client_id = settings, client_id
        self._is_first, self._take = is_first, take
        self._on_change: Callable[[], None] = lambda: None
        self._password = read_password(settings)
        self._tls = make_tls_context(settings)
        self._protocol = MQTTProtocolVersion.MQTTv5
        self._connection = 0  # message ids start anew with each connection
        self._is_accepted = False
        self._done: deque[Done] = deque()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)  # noqa: FBT003 - its signature
        self._wake_write.setblocking(False)  # noqa: FBT003 - its signature
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="dashboard-collector", daemon=True
        )
        address = f"{settings.host}:{settings.port}"
        self.link = BrokerStatus(
            address, is_up=False, since_ms=now_ms(), reason="connecting"
        )
        self.callback_errors = 0
        self.connections = 0

    def start(self, on_change: Callable[[], None] = lambda: None) -> None:
        """Start the thread.

        Args:
            on_change: Called in it when the link changed.
        """
        self._on_change = on_change
        self._thread.start()

    def stop(self) -> None:
        """Acknowledge what is committed, disconnect, and end the thread."""
        self._stop.set()
        self._wake()
        self._thread.join(STOP_LIMIT_S)
        if not self._thread.is_alive():
            self._wake_read.close()
            self._wake_write.close()

    def acknowledge(self, done: Done) -> None:
        """Hand over what is committed; may be called from any thread.

        Args:
            done: Messages of the broker, and events of the stations.
        """
        self._done.append(done)
        self._wake()

    def _wake(self) -> None:
        """Let the thread look at what it was handed."""
        try:
            self._wake_write.send(b"\0")
        except BlockingIOError:
            pass  # it has not read the last wake-ups yet: it is awake
        except OSError as exc:
            logger.debug("collector_not_woken reason=%s", exc)

    def _run(self) -> None:
        """Stay connected until stopped."""
        retry_s = RETRY_FIRST_S
        while not self._stop.is_set():
            self._is_accepted = False
            try:
                reason = self._stay_connected()
            except (OSError, ValueError) as exc:
                text = exc.strerror if isinstance(exc, OSError) else ""
                reason = text or str(exc) or type(exc).__name__
            # The top of the thread: whatever a broker sends must not end it.
            except Exception as exc:
                logger.exception("collector_failed")
                reason = f"{type(exc).__name__}: {exc}"
            self._set_link(is_up=False, reason=reason)
            retry_s = (
                RETRY_FIRST_S if self._is_accepted else min(retry_s * 2, RETRY_LAST_S)
            )
            # Spread: a hundred clients must not come back in the same moment.
            self._stop.wait(retry_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    def _stay_connected(self) -> str:
        """Connect and serve one connection; returns why it ended."""
        self._connection += 1
        client = self._make_client()
        with selectors.DefaultSelector() as selector:
            try:
                self._connect(client)
                connection = client.socket()
                if not isinstance(connection, socket.socket):
                    return "the broker hung up"
                selector.register(connection, selectors.EVENT_READ)
                selector.register(self._wake_read, selectors.EVENT_READ)
                self._serve(client, connection, selector)
            finally:
                client.disconnect()
                if client.want_write():
                    client.loop_write()
                _close(client)
        if not self._is_accepted and self.link.reason != UNSUPPORTED_VERSION:
            self._use_other_protocol()  # hung up on our greeting, or never answered
        return self.link.reason if not self.link.is_up else CUT

    def _serve(
        self,
        client: Client,
        connection: socket.socket,
        selector: selectors.BaseSelector,
    ) -> None:
        """Move packets until the connection ends or we are stopped."""
        answer_by_s = time.monotonic() + CONNACK_LIMIT_S
        while not self._stop.is_set() and client.socket() is connection:
            events = selectors.EVENT_READ
            events |= selectors.EVENT_WRITE * client.want_write()
            selector.modify(connection, events)
            is_pending = isinstance(connection, ssl.SSLSocket) and connection.pending()
            for key, mask in selector.select(0 if is_pending else LOOP_S):
                if key.fileobj is self._wake_read:
                    _drain(self._wake_read)
                elif mask & selectors.EVENT_WRITE:
                    client.loop_write()
            # Reading without data is cheap, and TLS may hold some that select() misses.
            client.loop_read()
            client.loop_misc()
            self._send_acknowledgements(client)
            if not self._is_accepted and time.monotonic() > answer_by_s:
                self._set_link(is_up=False, reason="the broker does not answer")
                return
        self._send_acknowledgements(client)

    def _make_client(self) -> Client:
        """Return a client for one connection."""
        is_v5 = self._protocol is MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if is_v5 else self._is_first,
            protocol=self._protocol,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.suppress_exceptions = True  # we count and log them ourselves
        client.connect_timeout = CONNECT_LIMIT_S
        if self._settings.username:
            client.username_pw_set(self._settings.username, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.user_data_set(self._connection)
        client.on_connect = self._when_connected
        client.on_subscribe = self._when_subscribed
        client.on_message = self._when_received
        client.on_disconnect = self._when_disconnected
        return client

    def _connect(self, client: Client) -> None:
        """Open the connection and send the greeting, acknowledgements undelayed."""
        self._greet(client)
        opened = client.socket()
        if isinstance(opened, socket.socket):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _greet(self, client: Client) -> None:
        """Send CONNECT in the version of MQTT that is tried now."""
        if self._protocol is not MQTTProtocolVersion.MQTTv5:
            client.connect(
                self._settings.host, self._settings.port, self._settings.keepalive_s
            )
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = PACKET_MAX_BYTES
        client.connect(
            self._settings.host,
            self._settings.port,
            self._settings.keepalive_s,
            clean_start=self._is_first,
            properties=properties,
        )

    def _when_connected(
        self,
        client: Client,
        _connection: int,
        flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        """Subscribe, or remember why the broker refused."""
        if reason.is_failure:
            text = str(reason)
            self._set_link(is_up=False, reason=text)
            if text == UNSUPPORTED_VERSION:
                self._use_other_protocol()
            return
        self._is_accepted, self._is_first = True, False
        self.connections += 1
        logger.info("broker_connected session_present=%s", flags.session_present)
        if self._protocol is MQTTProtocolVersion.MQTTv5:
            options = SubscribeOptions(qos=1, noLocal=True)  # not our own acks
            client.subscribe(SUBSCRIPTION, options=options)
        else:
            client.subscribe(SUBSCRIPTION, qos=1)

    def _when_subscribed(
        self,
        _client: Client,
        _connection: int,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        """Be up, or say that the broker's rules do not let us read."""
        refused = [str(each) for each in reasons if each.is_failure]
        if refused:
            self._set_link(is_up=False, reason=f"subscription refused: {refused[0]}")
        else:
            self._set_link(is_up=True)

    def _when_received(
        self, client: Client, connection: int, message: MQTTMessage
    ) -> None:
        """Pass a message on to the recorder."""
        try:
            received = Message(
                message.topic,
                bytes(message.payload),
                now_ms(),
                is_retained=message.retain,
            )
            receipt = Receipt(connection, message.mid, message.qos)
            self._take(Delivery(received, receipt))
        except UnicodeDecodeError:
            # A topic that is no text: nobody's; let the broker forget it.
            self.callback_errors += 1
            client.ack(message.mid, message.qos)
        # The top of a callback: paho would hide what goes wrong here.
        except Exception:
            self.callback_errors += 1
            logger.exception("message_failed mid=%d", message.mid)

    def _when_disconnected(
        self,
        _client: Client,
        _connection: int,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        """Remember what the broker said when it hung up."""
        if self.link.is_up:
            text = str(reason)
            # What paho says when the broker said nothing.
            is_silent = text == "Unspecified error"
            self._set_link(is_up=False, reason=CUT if is_silent else text)

    def _send_acknowledgements(self, client: Client) -> None:
        """Send what was committed: to the broker, then to the stations."""
        while self._done:
            done = self._done.popleft()
            for receipt in done.receipts:
                if receipt.connection == self._connection and receipt.qos:
                    client.ack(receipt.mid, receipt.qos)
            if not self._is_accepted:
                continue  # the stations will send again, and be told then
            for topics, acknowledgement in done.acks:
                client.publish(topics.ack, acknowledgement.model_dump_json(), qos=1)

    def _use_other_protocol(self) -> None:
        """Try the other version of MQTT next."""
        if self._protocol is MQTTProtocolVersion.MQTTv5:
            self._protocol = MQTTProtocolVersion.MQTTv311
        else:
            self._protocol = MQTTProtocolVersion.MQTTv5

    def _set_link(self, *, is_up: bool, reason: str = "") -> None:
        """Publish the state of the link; logged once when it changes."""
        changed = is_up != self.link.is_up
        if not changed and reason == self.link.reason:
            return
        protocol = self.link.protocol
        if is_up:
            is_v5 = self._protocol is MQTTProtocolVersion.MQTTv5
            protocol = "5" if is_v5 else "3.1.1"
        since_ms = now_ms() if changed else self.link.since_ms
        self.link = replace(
            self.link, is_up=is_up, since_ms=since_ms, reason=reason, protocol=protocol
        )
        if is_up:
            logger.info("broker_up address=%s mqtt=%s", self.link.address, protocol)
        elif not self._stop.is_set():
            logger.warning(
                "broker_down address=%s reason=%s", self.link.address, reason
            )
        self._on_change()


def _drain(wake: socket.socket) -> None:
    """Read all wake-ups."""
    try:
        while wake.recv(4096):
            pass
    except BlockingIOError:
        return


def _close(client: Client) -> None:
    """Close the connection even where paho waits for a last packet to leave."""
    connection = client.socket()
    if connection is not None:
        connection.close()
