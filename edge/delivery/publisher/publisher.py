"""The thread that brings the outbox to the broker, and tells the station's state.

Retained states are kept here as their last value and told again at each connect.
Nothing that the frame path calls ever waits for the network.
"""

import logging
import socket
import threading
import time
from collections import deque
from contextlib import suppress

from paho.mqtt.enums import MQTTProtocolVersion
from pydantic import BaseModel

from edge.backoff import Backoff
from edge.config.station import BrokerSettings, CollectorAck
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher.connection_diagnosis import explain_refusal
from edge.delivery.publisher.delivery_faults import (
    FLAP_WINDOW_S,
    FLAPS,
    DeliveryFaults,
    FlapDetector,
)
from edge.delivery.publisher.send_queue import Packet, SendQueue
from edge.delivery.publisher.session import (
    TURN_S,
    CommandSubscription,
    ConnectionRefusedByBrokerError,
    LostError,
    MqttSession,
    OtherProtocolError,
    protocols_of,
)
from models.broker import make_tls_context, read_password
from models.messages import StationStatus
from models.topics import StationTopics

RECONNECT_FIRST_S = 0.25
FLAPPING_FIRST_S = 5.0
ABSENT_MAX_S = 5.0  # asking a machine that is not there costs nothing
EXPLAIN_LIMIT_S = 3.0  # a step of asking for the reason
STABLE_S = 10.0  # a connection that lived so long begins the pauses anew
LOGIN_KEY, FLAP_KEY = "broker", "connection"  # of alarms
MAILBOX_MAX = 10_000  # states and statistics while the thread cannot run
logger = logging.getLogger(__name__)


class Publisher:
    """Brings the outbox to the broker, and tells the station's state.

    Nothing here ever waits for the network except ``stop``.

    Args:
        settings: Of the broker.
        outbox: Started.
        topics: Of this station.
        will: What the broker says when this daemon vanishes.
        commands: Filter of the command topics, and who takes them, see ``MqttSession``.

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
        self._commands = commands
        self._settings, self._outbox, self._topics = settings, outbox, topics
        # No name holds a dot: no two stations of a broker get the same id.
        self._client_id = topics.root.replace("/", ".")
        self._will = _state_packet(topics.status, will)
        self._alarms, self._flaps = DeliveryFaults(), FlapDetector()
        self._feed = SendQueue(
            outbox,
            settings.collector_ack,
            self._alarms,
            settings.collector_silent_after_s,
        )
        self._mailbox: deque[Packet] = deque(maxlen=MAILBOX_MAX)
        self._states: dict[str, Packet] = {}  # retained, the last of each topic
        self._to_tell: dict[str, Packet] = {}
        self._is_connected = False
        self._problem = ""
        self._link: MqttSession | None = None
        self._opened_s: float | None = None  # the connection
        self._stopping = threading.Event()
        self._hurry = threading.Event()  # do not sit out the pause
        self._renewals: deque[BrokerSettings] = deque(maxlen=1)
        self._final: Packet | None = None
        self._deadline_s = 0.0
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.settimeout(0)
        self._wake_writer.settimeout(0)
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Start to connect; the broker need not be there.

        Raises:
            ConfigError: The password or a certificate cannot be read.
        """
        read_password(self._settings)
        make_tls_context(self._settings)
        self._outbox.on_commit(self._wake)
        self._thread.start()

    def publish_state(
        self, topic: str, message: BaseModel, *, retain: bool = True
    ) -> None:
        """Tell a state; of several that wait only the last one goes out.

        Args:
            topic: Where.
            message: What.
            retain: The broker keeps it, and it is told again at each connect.
        """
        self._mailbox.append(_state_packet(topic, message, retain=retain))
        self._wake()

    def publish_retained(self, topic: str, payload: bytes) -> None:
        """Tell what is no message of ours, retained, again at each connect.

        Args:
            topic: Where.
            payload: What; an empty one makes the broker forget.
        """
        self._mailbox.append(Packet(topic, payload, retain=True))
        self._wake()

    def publish_stats(self, topic: str, message: BaseModel) -> None:
        """Tell a statistic once, if there is a connection.

        Args:
            topic: Where.
            message: What.
        """
        payload = message.model_dump_json().encode()
        self._mailbox.append(Packet(topic, payload, qos=0))
        self._wake()

    def renew(self, settings: BrokerSettings) -> None:
        """Connect again, with new settings or credentials. Nothing is lost by it.

        The old connection is cut without a farewell: until the new one stands the
        broker says that this station is lost, which is then the truth.

        Args:
            settings: From now on; ``collector_ack`` and ``reconnect_max_s`` stay.
        """
        self._renewals.append(settings)
        self._hurry.set()
        self._wake()

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the broker."""
        return self._is_connected

    @property
    def delivered(self) -> int:
        """Events delivered since the start."""
        return self._feed.delivered

    def undelivered(self) -> int:
        """Return how many events are not delivered, by the rule in force."""
        return self._feed.undelivered(time.monotonic_ns())

    @property
    def problem(self) -> str:
        """What keeps events from being delivered; empty if nothing is known."""
        return self._problem or self._alarms.text

    @property
    def alarm(self) -> str:
        """What a person must mend before events are delivered; empty = nothing."""
        return self._alarms.text

    @property
    def callback_errors(self) -> int:
        """Answers of the broker that we failed to take since the start."""
        return self._feed.callback_errors

    @property
    def in_flight(self) -> int:
        """Packets that are sent and not confirmed."""
        link = self._link
        return len(link.in_flight) if link is not None else 0

    def stop(self, final_status: StationStatus, timeout_s: float) -> None:
        """Deliver what can be delivered, say good-bye and disconnect.

        Args:
            final_status: The last retained state; no last will follows.
            timeout_s: Longest wait; what is left stays in the outbox.
        """
        self._final = _state_packet(self._topics.status, final_status)
        self._deadline_s = time.monotonic() + timeout_s
        self._stopping.set()
        self._hurry.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s + TURN_S)
        if self._thread.is_alive():
            logger.warning("publisher_slow: it is left connecting")
            return
        self._wake_reader.close()
        self._wake_writer.close()

    # --- the publisher's thread ------------------------------------------------

    def _run(self) -> None:
        """Keep a connection until told to stop."""
        longest_s = self._settings.reconnect_max_s
        absent = Backoff(RECONNECT_FIRST_S, min(longest_s, ABSENT_MAX_S))
        refused = Backoff(RECONNECT_FIRST_S, longest_s)
        flapping = Backoff(FLAPPING_FIRST_S, longest_s)
        while not self._stopping.is_set():
            pauses = absent
            try:
                self._serve()
            except ConnectionRefusedByBrokerError as exc:
                pauses = refused
                self._problem = self._at_broker(str(exc))
                self._alarms.raise_alarm(LOGIN_KEY, self._problem)
            except LostError as exc:
                if self._opened_s and self._flaps.is_flapping:
                    pauses = flapping
                self._note_lost(str(exc))
            # The top of the thread: connect again, whatever it was.
            except Exception:
                logger.exception("publisher_failed")
            finally:
                self._is_connected, self._link = False, None
            if self._opened_s and time.monotonic() - self._opened_s > STABLE_S:
                absent.reset()
                refused.reset()
            if not self._flaps.is_flapping:
                flapping.reset()
            self._opened_s = None
            if self._hurry.wait(pauses.next_s()):
                self._hurry.clear()
                refused.reset()

    def _serve(self) -> None:
        """Hold one connection, in the first version of MQTT that the broker knows."""
        while self._renewals:
            self._settings = self._renewals.popleft()
        for protocol in protocols_of(self._settings.protocol):
            link = MqttSession(
                self._settings,
                self._client_id,
                protocol,
                self._will,
                self._feed,
                self._topics.ack,
                self._alarms,
                self._commands,
            )
            try:
                link.open(self._wake_reader)
                self._note_connected(link, protocol.name)
                self._talk(link)
            except OtherProtocolError as exc:
                if protocol is protocols_of(self._settings.protocol)[-1]:
                    self._refuse_for_a_reason(exc)
                    raise
            else:
                return
            finally:
                link.abandon()

    def _refuse_for_a_reason(self, exc: OtherProtocolError) -> None:
        """Raise the reason why the broker hung up, if a person must mend it."""
        if not exc.is_closed:
            return
        reason = explain_refusal(self._settings, EXPLAIN_LIMIT_S)
        if reason is not None:
            raise ConnectionRefusedByBrokerError(f"cannot be used: {reason}") from exc

    def _watch_flaps(self) -> None:
        """Raise an alarm when the connection is taken away again and again."""
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

    def _talk(self, link: MqttSession) -> None:
        """Send and hear until the connection ends or the daemon does."""
        self._feed.connected(time.monotonic_ns(), link.max_packet_bytes)
        self._to_tell = dict(self._states)
        while True:
            self.turns += 1
            if self._stopping.is_set() and self._is_done():
                self._say_goodbye(link)
                return
            if self._renewals:
                logger.info("broker_renewed: connecting again")
                return
            self._collect()
            self._send(link)
            self._watch_flaps()
            link.turn(self._pause_s(link))

    def _send(self, link: MqttSession) -> None:
        """Send states first, then what the outbox has, as far as there is room."""
        while self._to_tell and link.room:
            topic = next(iter(self._to_tell))
            link.publish(self._to_tell.pop(topic))
        now_ns = time.monotonic_ns()
        for packet in self._feed.packets(link.room, now_ns, link.room_bytes):
            link.publish(packet)

    def _collect(self) -> None:
        """Take states out of the mailbox; only the last of each topic counts."""
        while self._mailbox:
            packet = self._mailbox.popleft()
            if packet.retain:
                self._states[packet.topic] = packet
            if self._is_connected or packet.qos:
                self._to_tell.pop(packet.topic, None)
                self._to_tell[packet.topic] = packet

    def _pause_s(self, link: MqttSession) -> float:
        """Return how long there is nothing to do without the network."""
        due_ns = self._feed.due_ns()
        if due_ns is None or not link.room:  # only a confirmation can make room
            return TURN_S
        return min(max((due_ns - time.monotonic_ns()) / 1e9, 0), TURN_S)

    def _is_done(self) -> bool:
        """Whether to wait no longer for deliveries before the end."""
        if time.monotonic() > self._deadline_s - TURN_S * 2:
            return True
        return self.undelivered() == 0 or self._feed.is_hopeless()

    def _say_goodbye(self, link: MqttSession) -> None:
        """Tell the last state, wait for its confirmation, disconnect in order."""
        self._collect()
        self._to_tell.pop(self._topics.status, None)
        for packet in (*self._to_tell.values(), self._final):
            if packet is not None:
                link.publish(packet)
        while link.in_flight and time.monotonic() < self._deadline_s:
            link.turn(TURN_S / 5)
        link.close()

    def _note_connected(self, link: MqttSession, protocol: str) -> None:
        """Log the change."""
        self.connects += 1
        self._link, self._is_connected, self._problem = link, True, ""
        self._alarms.clear(LOGIN_KEY)
        self._opened_s = time.monotonic()
        self._flaps.opened(self._opened_s)
        logger.info(
            "broker_connected host=%s port=%d protocol=%s",
            *(self._settings.host, self._settings.port, protocol),
        )
        is_blind = protocol == MQTTProtocolVersion.MQTTv311.name
        if is_blind and self._settings.collector_ack is CollectorAck.OFF:
            logger.warning(
                "refusals_are_invisible: MQTT 3.1.1 confirms what an access list "
                "denies; set collector_ack = required"
            )

    def _note_lost(self, reason: str) -> None:
        """Log the change, once."""
        problem = self._at_broker(reason)
        if problem != self._problem:
            depth = self._outbox.depth()
            logger.warning("broker_lost reason=%r events=%d", problem, depth)
        self._problem = problem

    def _at_broker(self, reason: str) -> str:
        """Return a reason with the broker's address."""
        return f"broker {self._settings.host}:{self._settings.port} {reason}"

    def _wake(self) -> None:
        """Have the thread look around; called from any thread."""
        with suppress(OSError):  # full: it is awake already; closed: it has ended
            self._wake_writer.send(b"\0")


def _state_packet(topic: str, message: BaseModel, *, retain: bool = True) -> Packet:
    """Return a state as a packet."""
    return Packet(topic, message.model_dump_json().encode(), retain=retain)
