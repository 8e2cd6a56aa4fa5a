"""The thread that receives what the stations publish, and acknowledges it.

Only this thread uses the session with the broker; others queue acknowledgements for it
and wake it. A message is acknowledged to the broker (PUBACK) only after its commit,
then to its station (``ack``). The broker keeps the session when the process ends:
messages that arrive while the dashboard is down wait in the broker. Messages that were
committed but not acknowledged are received again and create no second row.
"""

import logging
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from dashboard.config import CollectorBrokerSettings
from dashboard.ingest.takeover import TakeoverDetector
from dashboard.ingest.writer import AckRequest, Delivery, Receipt
from dashboard.messages import Message
from dashboard.outgoing import Outgoing
from dashboard.status import BrokerStatus, now_ms
from models.backoff import Backoff
from models.broker import make_tls_context, read_password
from models.mqtt_session import (
    CLOSED,
    BrokerQueue,
    ConnectionLostError,
    MqttSession,
    MqttVersion,
    PublishAnswer,
    ReceivedMessage,
    SessionEvent,
    SessionWakeup,
    SubscribeAnswer,
    open_session,
)
from models.topics import ROOT

SUBSCRIPTION = f"{ROOT}/+/+/+/#"
SESSION_EXPIRY_S = 7 * 24 * 3600
RECEIVE_MAXIMUM = 200  # unacknowledged messages that the broker may send
PACKET_MAX_BYTES = 512 * 1024  # four times the largest message of a station
CONNECT_LIMIT_S = 5.0
LOGIN_ANSWER_LIMIT_S = 5.0
RECONNECT_FIRST_S, RECONNECT_MAX_S = 0.5, 10.0
RECONNECT_SHARES = (0.5, 1.0)  # of a pause: clients must not reconnect together
TURN_S = 0.5
STOP_LIMIT_S = 8.0
MADE_UP_ID = "graftline-dashboard"  # its beginning

logger = logging.getLogger(__name__)


class Collector:
    """Receives the stations' messages, in a separate thread.

    Args:
        client_id: The same after a restart: the broker keeps the session by it.
        is_first: This history has never used the session: messages that the broker
            may keep in it belong to another history, and are discarded.
        enqueue: Accepts a message without waiting; false if there is no room.
        outgoing: What the pages send to stations.

    Attributes:
        connections: Logins that the broker has accepted.

    Raises:
        ConfigError: The password or a certificate cannot be used.
    """

    def __init__(
        self,
        settings: CollectorBrokerSettings,
        client_id: str,
        *,
        is_first: bool,
        enqueue: Callable[[Delivery], bool],
        outgoing: Outgoing | None = None,
    ) -> None:
        read_password(settings)
        make_tls_context(settings)
        address = f"{settings.host}:{settings.port}"
        self.status = BrokerStatus(
            address, is_up=False, since_ms=now_ms(), reason="connecting"
        )
        self.connections = 0
        self._settings, self._client_id = settings, client_id
        self._is_first, self._enqueue = is_first, enqueue
        self._outgoing = outgoing or Outgoing()
        self._on_change: Callable[[], None] = lambda: None
        # To try, in order.
        self._versions: Sequence[MqttVersion] = (MqttVersion.V5, MqttVersion.V311)
        self._connection = 0  # packet ids mean nothing in another one
        self._is_accepted = False
        self._takeovers = TakeoverDetector()
        self._requests: deque[AckRequest] = deque()
        self._wakeup = SessionWakeup()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="dashboard-collector", daemon=True
        )

    def start(self, on_change: Callable[[], None] = lambda: None) -> None:
        """Start the thread.

        Args:
            on_change: Called in it when ``status`` has changed.
        """
        self._on_change = on_change
        self._thread.start()

    def stop(self) -> None:
        """Acknowledge committed messages, disconnect, and end the thread."""
        self._stop.set()
        self._wakeup.cancel()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)
        if not self._thread.is_alive():
            self._wakeup.close()

    def acknowledge(self, request: AckRequest) -> None:
        """Queue acknowledgements of a commit; may be called from any thread."""
        self._requests.append(request)
        self._wakeup.set()

    def _run(self) -> None:
        pauses = Backoff(
            RECONNECT_FIRST_S, RECONNECT_MAX_S, random.random, RECONNECT_SHARES
        )
        while not self._stop.is_set():
            self._is_accepted = False
            reason = CLOSED
            try:
                self._connect_and_serve()
            except ConnectionLostError as exc:
                reason = str(exc)
            # The top of the thread: no message of a broker may end it.
            except Exception as exc:
                logger.exception("collector_failed")
                reason = f"{type(exc).__name__}: {exc}"
            is_taken = self._takeovers.is_taken(reason, time.monotonic())
            if self._is_accepted:
                pauses.reset()
                # A refused subscription is the reason to show.
                reason = reason if self.status.is_up else self.status.reason
            self._outgoing.close(reason)
            if is_taken:
                reason = self._leave_session()
            self._set_status(is_up=False, reason=reason)
            self._stop.wait(pauses.next_s())

    def _leave_session(self) -> str:
        """Leave a session that another client has taken; return the reason to show.

        What that client acknowledges is lost for this history, and what this one
        acknowledges is lost for that one: a session of a new id gets every message.
        """
        self._requests.clear()  # this session acknowledges nothing any more
        taken, start = self._client_id, self._settings.client_id or MADE_UP_ID
        self._client_id = f"{start}-{secrets.token_hex(4)}"
        logger.error("client_id_taken id=%s new_id=%s", taken, self._client_id)
        return (
            f"another dashboard uses the MQTT client id {taken}; this one continues as "
            f"{self._client_id}"
        )

    def _connect_and_serve(self) -> None:
        """Hold one connection.

        Raises:
            ConnectionLostError: It ended, or could not be made.
        """
        session = self._open()
        try:
            session.subscribe((SUBSCRIPTION,), own_messages=False)
            while not self._stop.is_set():
                for event in session.turn(TURN_S):
                    self._handle(session, event)
                self._send_acknowledgements(session)
                self._send_outgoing(session)
            self._send_acknowledgements(session)
        finally:
            session.close()

    def _open(self) -> MqttSession:
        """Return an open session that the broker keeps when its connection ends.

        Raises:
            ConnectionLostError: There is no connection.
        """
        session = open_session(self._make_session, self._versions, self._wakeup)
        is_passing = self._is_first and session.version is MqttVersion.V311
        self._note_accepted(session)
        if not is_passing:
            return session
        # MQTT 3.1.1 discards old messages only for a session that ends with its
        # connection: the next one stays.
        session.close()
        return open_session(self._make_session, (session.version,), self._wakeup)

    def _make_session(self, version: MqttVersion) -> MqttSession:
        self._connection += 1
        return MqttSession(
            self._settings,
            self._client_id,
            version,
            connect_limit_s=CONNECT_LIMIT_S,
            answer_limit_s=LOGIN_ANSWER_LIMIT_S,
            queue=BrokerQueue(
                is_fresh=self._is_first,
                expiry_s=SESSION_EXPIRY_S,
                receive_maximum=RECEIVE_MAXIMUM,
                packet_max_bytes=PACKET_MAX_BYTES,
            ),
        )

    def _note_accepted(self, session: MqttSession) -> None:
        self._is_accepted, self._is_first = True, False
        self.connections += 1
        self._takeovers.note_open(time.monotonic())
        # The version that was accepted is tried first the next time.
        others = (each for each in MqttVersion if each is not session.version)
        self._versions = (session.version, *others)
        logger.info("broker_connected session_present=%s", session.is_resumed)

    def _handle(self, session: MqttSession, event: SessionEvent) -> None:
        match event:
            case ReceivedMessage():
                self._receive(session, event)
            case SubscribeAnswer(refusals):
                refused = [each for each in refusals.values() if each]
                if refused:
                    reason = f"subscription refused: {refused[0]}"
                    self._set_status(is_up=False, reason=reason)
                else:
                    self._set_status(is_up=True, version=session.version)
                    self._outgoing.open(self._wakeup.set)
            case PublishAnswer(mid, refusal):
                # A station that misses an acknowledgement sends again.
                self._outgoing.note_answer(mid, refusal)

    def _receive(self, session: MqttSession, message: ReceivedMessage) -> None:
        if not message.topic:  # not UTF-8, so of no station: let the broker delete it
            session.acknowledge(message.mid, message.qos)
            return
        self._outgoing.note_reply(message.topic, message.payload)
        received = Message(
            message.topic, message.payload, now_ms(), is_retained=message.is_retained
        )
        receipt = Receipt(self._connection, message.mid, message.qos)
        self._enqueue(Delivery(received, receipt))

    def _send_acknowledgements(self, session: MqttSession) -> None:
        """Send acknowledgements of commits to the broker, then to the stations."""
        while self._requests:
            request = self._requests.popleft()
            for receipt in request.receipts:
                if receipt.connection == self._connection:
                    session.acknowledge(receipt.mid, receipt.qos)
            for topics, acknowledgement in request.acks:
                payload = acknowledgement.model_dump_json().encode()
                session.publish(topics.ack, payload)

    def _send_outgoing(self, session: MqttSession) -> None:
        self._outgoing.send(
            lambda topic, payload, retain: session.publish(
                topic, payload, retain=retain
            )
        )

    def _set_status(
        self, *, is_up: bool, reason: str = "", version: MqttVersion | None = None
    ) -> None:
        """Set the state of the connection; it is logged once when it changes."""
        changed = is_up != self.status.is_up
        if not changed and reason == self.status.reason:
            return
        protocol = version.value if version is not None else self.status.protocol
        since_ms = now_ms() if changed else self.status.since_ms
        self.status = replace(
            self.status,
            is_up=is_up,
            since_ms=since_ms,
            reason=reason,
            protocol=protocol,
        )
        if is_up:
            logger.info("broker_up address=%s mqtt=%s", self.status.address, protocol)
        elif not self._stop.is_set():
            logger.warning(
                "broker_down address=%s reason=%s", self.status.address, reason
            )
        self._on_change()
