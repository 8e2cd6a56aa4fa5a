"""The thread that sends the outbox's events to the broker, and the station's state.

The last value of each retained state is kept here and published at each connect.
Nothing that the frame path calls waits for the network.
"""

import logging
import random
import threading
import time
from collections import deque
from datetime import UTC, datetime

from pydantic import BaseModel

from edge.config.station import UNREACHABLE_PAUSE_MAX_S, BrokerSettings, CollectorAck
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher.connection_diagnosis import (
    LOGIN_REFUSALS,
    explain_refusal,
)
from edge.delivery.publisher.delivery_faults import (
    FLAP_WINDOW_S,
    FLAPS,
    DeliveryFaults,
    FlapDetector,
)
from edge.delivery.publisher.identity import (
    expiring_certificate,
    login_in_words,
    wrong_certificate,
)
from edge.delivery.publisher.packet import Packet
from edge.delivery.publisher.send_queue import SendQueue
from edge.delivery.publisher.session import (
    AnswerHandler,
    CommandSubscription,
    DeliverySession,
    versions_of,
)
from models.backoff import Backoff
from models.broker import make_tls_context, read_password
from models.messages import StationStatus
from models.mqtt_session import (
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    HungUpError,
    LastWill,
    MqttSession,
    MqttVersion,
    SessionWakeup,
    open_session,
)
from models.topics import StationTopics

# The pauses between two attempts double from the first value to the longest one; a
# random share makes a pause up to half as long again (`models.backoff`).
# ``reconnect_max_s`` of the configuration limits the pauses after a refusal and while
# connections are taken over.
RECONNECT_FIRST_S = 0.25
FLAPPING_FIRST_S = 5.0
CONNECT_LIMIT_S = 5.0
LOGIN_ANSWER_LIMIT_S = 3.0
TURN_S = 0.25
CERTIFICATE_INTERVAL_S = 3600.0
CERTIFICATE_ALARM_DAYS = 7
DOWN_ALARM_S = 60.0  # a broker that restarts is no alarm
DIAGNOSIS_STEP_LIMIT_S = 3.0
STABLE_S = 10.0  # after a connection that lasted this long, the pauses start again
# Keys of the alarms.
LOGIN_KEY, FLAP_KEY, CERTIFICATE_KEY = "broker", "connection", "certificate"
MAILBOX_MAX = 10_000  # states and statistics while the thread cannot run
logger = logging.getLogger(__name__)


class PictureCutError(ConnectionLostError):
    """The connection ended while a picture was on its way, perhaps for its size."""


class Publisher:
    """Sends the outbox's events and the station's state to the broker.

    No method waits for the network except ``stop``.

    Args:
        outbox: Started.
        will: State that the broker publishes when this daemon's connection breaks.
        commands: None: no commands are taken.

    Attributes:
        turns: Grows while the thread lives.
        connects: Connections that a broker has accepted.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        outbox: Outbox,
        topics: StationTopics,
        will: StationStatus,
        commands: CommandSubscription | None = None,
    ) -> None:
        self.turns = 0
        self.connects = 0
        self._settings, self._outbox, self._topics = settings, outbox, topics
        # No name holds a dot: no two stations of a broker get the same id.
        self._client_id = topics.root.replace("/", ".")
        self._will = LastWill(topics.status, will.model_dump_json().encode())
        self._alarms, self._flaps = DeliveryFaults(), FlapDetector()
        self._send_queue = SendQueue(
            outbox,
            settings.collector_ack,
            self._alarms,
            settings.collector_silent_after_s,
            random.random,
        )
        self._answers = AnswerHandler(
            self._send_queue, topics.ack, self._alarms, commands
        )
        self._mailbox: deque[Packet] = deque(maxlen=MAILBOX_MAX)
        self._retained: dict[str, Packet] = {}  # the last state of each topic
        self._states_due: dict[str, Packet] = {}  # to publish, by topic
        self._is_connected = self._has_started = False
        self._down_since_s = time.monotonic()  # while there is no connection
        self._problem = ""
        self._session: DeliverySession | None = None
        self._opened_s: float | None = None  # the connection
        self._certificate_due_s = 0.0
        self._stopping = threading.Event()
        self._skip_pause = threading.Event()
        self._renewals: deque[BrokerSettings] = deque(maxlen=1)
        self._final: Packet | None = None
        self._deadline_s = 0.0
        self._wakeup = SessionWakeup()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Start the thread that connects; the broker may be unreachable.

        Raises:
            ConfigError: The password or a certificate cannot be read.
        """
        read_password(self._settings)
        make_tls_context(self._settings)
        self._outbox.on_commit(self._wakeup.set)
        self._has_started, self._down_since_s = True, time.monotonic()
        logger.info("collector_ack is %s", self._send_queue.rule_in_words)
        self._thread.start()

    def publish_state(
        self, topic: str, message: BaseModel, *, retain: bool = True
    ) -> None:
        """Publish a state; of several queued values of a topic only the last is sent.

        Args:
            retain: The broker keeps it, and it is published at each connect.
        """
        self._mailbox.append(_state_packet(topic, message, retain=retain))
        self._wakeup.set()

    def publish_retained(self, topic: str, payload: bytes) -> None:
        """Publish bytes, retained, at each connect.

        Args:
            payload: Empty: the broker deletes what it has retained.
        """
        self._mailbox.append(Packet(topic, payload, retain=True))
        self._wakeup.set()

    def publish_stats(self, topic: str, message: BaseModel) -> None:
        """Publish a statistic once, if there is a connection."""
        payload = message.model_dump_json().encode()
        self._mailbox.append(Packet(topic, payload, qos=0))
        self._wakeup.set()

    def renew(self, settings: BrokerSettings) -> None:
        """Connect again, with new settings or credentials. No event is lost.

        The old connection is closed without a DISCONNECT: the broker publishes the last
        will, which is correct until the new connection is open.

        Args:
            settings: Used from now on, except ``collector_ack`` and
                ``reconnect_max_s``, which do not change.
        """
        self._renewals.append(settings)
        self._skip_pause.set()
        self._wakeup.set()

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self._is_connected

    @property
    def delivered(self) -> int:
        """Events delivered since the start."""
        return self._send_queue.delivered

    def undelivered(self) -> int:
        """Return how many events are not delivered, by the rule in force."""
        return self._send_queue.undelivered(time.monotonic_ns())

    def waiting(self) -> int:
        """Return how many events wait for the broker, or for an expected collector."""
        return self._send_queue.waiting()

    @property
    def problem(self) -> str:
        """Why events are not delivered; empty if no reason is known."""
        return self._problem or self._alarms.text

    @property
    def alarm(self) -> str:
        """What a person must fix before events are delivered; empty = nothing."""
        if self._alarms.text:
            return self._alarms.text
        # Here and not in the thread, which a name server that does not answer holds up.
        down_s = time.monotonic() - self._down_since_s
        if self._is_connected or down_s < DOWN_ALARM_S or not self._has_started:
            return ""
        reason = self._problem or self._at_broker("does not answer")
        return f"{reason}; not connected for more than {DOWN_ALARM_S:g} s"

    @property
    def refused_acknowledgements(self) -> int:
        """Acknowledgements of a collector that were not, or not wholly, taken."""
        return self._send_queue.refused_acknowledgements

    @property
    def callback_errors(self) -> int:
        """Messages of the broker whose handling failed, since the start."""
        return self._answers.errors

    @property
    def in_flight(self) -> int:
        """Packets that are sent and not confirmed."""
        session = self._session
        return len(session.in_flight) if session is not None else 0

    def stop(self, final_status: StationStatus, timeout_s: float) -> None:
        """Deliver what can be delivered, publish the last state and disconnect.

        Args:
            final_status: The last retained state; no last will follows.
            timeout_s: Longest wait; what is left stays in the outbox.
        """
        self._final = _state_packet(self._topics.status, final_status)
        self._deadline_s = time.monotonic() + timeout_s
        self._stopping.set()
        self._skip_pause.set()
        self._wakeup.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s + TURN_S)
        if self._thread.is_alive():
            logger.warning("publisher_slow: the thread is still connecting")
            return
        self._wakeup.close()

    # --- the publisher's thread ------------------------------------------------

    def _run(self) -> None:
        longest_s = self._settings.reconnect_max_s
        unreachable = _pauses(
            RECONNECT_FIRST_S, min(longest_s, UNREACHABLE_PAUSE_MAX_S)
        )
        refused = _pauses(RECONNECT_FIRST_S, longest_s)
        flapping = _pauses(FLAPPING_FIRST_S, longest_s)
        while not self._stopping.is_set():
            pauses = unreachable
            try:
                self._connect_and_serve()
            except ConnectionRefusedByBrokerError as exc:
                pauses = refused
                self._problem = self._at_broker(self._refusal_in_words(str(exc)))
                self._alarms.raise_alarm(LOGIN_KEY, self._problem)
            except PictureCutError as exc:
                unreachable.reset()  # no alert waits long behind a picture
                self._note_lost(str(exc))
            except ConnectionLostError as exc:
                if self._opened_s and self._flaps.is_flapping:
                    pauses = flapping
                self._note_lost(str(exc))
            # The top of the thread: connect again after any fault.
            except Exception:
                logger.exception("publisher_failed")
            finally:
                self._note_closed()
            if self._opened_s and time.monotonic() - self._opened_s > STABLE_S:
                unreachable.reset()
                refused.reset()
            if not self._flaps.is_flapping:
                flapping.reset()
            self._opened_s = None
            if self._skip_pause.wait(pauses.next_s()):
                self._skip_pause.clear()
                refused.reset()

    def _connect_and_serve(self) -> None:
        """Serve one connection, in the first MQTT version that the broker accepts."""
        while self._renewals:
            self._settings = self._renewals.popleft()
        versions = versions_of(self._settings.protocol)
        try:
            opened = open_session(self._make_session, versions, self._wakeup)
        except HungUpError as exc:
            # MQTT reports no reason here. Some causes, such as a wrong certificate,
            # need a person: the diagnosis distinguishes them.
            reason = explain_refusal(self._settings, DIAGNOSIS_STEP_LIMIT_S)
            if reason is None:
                raise
            raise ConnectionRefusedByBrokerError(f"cannot be used: {reason}") from exc
        session = DeliverySession(opened, self._answers)
        try:
            self._note_connected(session, opened.version)
            self._serve(session)
        except ConnectionLostError as exc:
            if reason := session.handle_cut(exc):
                self._flaps.forgive()
                raise PictureCutError(reason) from exc
            raise
        finally:
            session.abandon()

    def _make_session(self, version: MqttVersion) -> MqttSession:
        return MqttSession(
            self._settings,
            self._client_id,
            version,
            connect_limit_s=CONNECT_LIMIT_S,
            answer_limit_s=LOGIN_ANSWER_LIMIT_S,
            will=self._will,
        )

    def _serve(self, session: DeliverySession) -> None:
        self._send_queue.connected(
            time.monotonic_ns(),
            session.max_packet_bytes,
            confirms_everything=session.version is MqttVersion.V311,
        )
        self._states_due = dict(self._retained)
        while True:
            self.turns += 1
            if self._stopping.is_set() and self._is_done():
                self._disconnect(session)
                return
            if self._renewals:
                logger.info("broker_renewed: connecting again")
                return
            self._empty_mailbox()
            self._send(session)
            self._check_flapping()
            if time.monotonic() >= self._certificate_due_s:
                self._check_certificate()
            session.turn(self._pause_s(session))

    def _send(self, session: DeliverySession) -> None:
        """Send states first, then events of the outbox, while the session has room."""
        while self._states_due and session.room:
            topic = next(iter(self._states_due))
            session.publish(self._states_due.pop(topic))
        now_ns = time.monotonic_ns()
        for packet in self._send_queue.packets(
            session.room, now_ns, session.room_bytes
        ):
            session.publish(packet)

    def _empty_mailbox(self) -> None:
        """Move states out of the mailbox; only the last of each topic is kept."""
        while self._mailbox:
            packet = self._mailbox.popleft()
            if packet.retain:
                self._retained[packet.topic] = packet
            if self._is_connected or packet.qos:
                self._states_due.pop(packet.topic, None)
                self._states_due[packet.topic] = packet

    def _pause_s(self, session: DeliverySession) -> float:
        """Return how long the thread may wait for the network."""
        due_ns = self._send_queue.due_ns()
        if due_ns is None or not session.room:  # only a confirmation frees a place
            return TURN_S
        return min(max((due_ns - time.monotonic_ns()) / 1e9, 0), TURN_S)

    def _is_done(self) -> bool:
        """Whether ``stop`` no longer waits for deliveries."""
        if time.monotonic() > self._deadline_s - TURN_S * 2:
            return True
        return self.undelivered() == 0 or self._send_queue.is_only_unacknowledged()

    def _disconnect(self, session: DeliverySession) -> None:
        self._empty_mailbox()
        self._states_due.pop(self._topics.status, None)
        for packet in (*self._states_due.values(), self._final):
            if packet is not None:
                session.publish(packet)
        while session.in_flight and time.monotonic() < self._deadline_s:
            session.turn(TURN_S / 5)
        session.close()

    def _check_certificate(self) -> None:
        """Raise an alarm where the certificate is another station's, or expires."""
        self._certificate_due_s = time.monotonic() + CERTIFICATE_INTERVAL_S
        wrong = wrong_certificate(self._settings, self._topics)
        now = datetime.now(UTC)
        ends = expiring_certificate(self._settings, now, CERTIFICATE_ALARM_DAYS)
        if text := "; ".join(filter(None, (wrong, ends))):
            self._alarms.raise_alarm(CERTIFICATE_KEY, text)
        else:
            self._alarms.clear(CERTIFICATE_KEY)

    def _check_flapping(self) -> None:
        """Raise an alarm while the connection is taken over again and again."""
        self._flaps.holds(time.monotonic())
        if self._flaps.is_flapping:
            self._alarms.raise_alarm(
                FLAP_KEY,
                f"taken over: {FLAPS} connections within {FLAP_WINDOW_S:g} s were "
                f"closed; another client uses the id {self._client_id}, or the network "
                "is bad",
            )
        else:
            self._alarms.clear(FLAP_KEY)

    def _note_connected(self, session: DeliverySession, version: MqttVersion) -> None:
        self.connects += 1
        self._session, self._is_connected, self._problem = session, True, ""
        self._alarms.clear(LOGIN_KEY)
        self._check_certificate()
        self._opened_s = time.monotonic()
        self._flaps.opened(self._opened_s)
        logger.info(
            "broker_connected host=%s port=%d protocol=%s",
            *(self._settings.host, self._settings.port, version.label),
        )
        is_blind = version is MqttVersion.V311
        if is_blind and self._settings.collector_ack is CollectorAck.OFF:
            logger.warning(
                "refusals_are_invisible: MQTT 3.1.1 confirms what an access list "
                "denies; set collector_ack = required"
            )

    def _note_closed(self) -> None:
        if self._is_connected:
            self._down_since_s = time.monotonic()
        self._is_connected, self._session = False, None

    def _refusal_in_words(self, reason: str) -> str:
        """Return why the broker refuses, with the login where it is the cause."""
        if any(refusal in reason for refusal in LOGIN_REFUSALS):
            reason = f"{reason} ({login_in_words(self._settings)})"
        return reason

    def _note_lost(self, reason: str) -> None:
        problem = self._at_broker(reason)
        if problem != self._problem:
            depth = self._outbox.depth()
            logger.warning("broker_lost reason=%r events=%d", problem, depth)
        self._problem = problem

    def _at_broker(self, reason: str) -> str:
        return f"broker {self._settings.host}:{self._settings.port} {reason}"


def _pauses(first_s: float, longest_s: float) -> Backoff:
    return Backoff(first_s, longest_s, random.random)


def _state_packet(topic: str, message: BaseModel, *, retain: bool = True) -> Packet:
    return Packet(topic, message.model_dump_json().encode(), retain=retain)
