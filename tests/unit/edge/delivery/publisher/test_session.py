"""Answers of the broker reach the send queue, the alarms and the commands."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge.config.station import CollectorAck, ProtocolChoice
from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.delivery.publisher.delivery_faults import DeliveryFaults
from edge.delivery.publisher.packet import Packet
from edge.delivery.publisher.send_queue import SendQueue
from edge.delivery.publisher.session import (
    IN_FLIGHT_MAX_BYTES,
    AnswerHandler,
    DeliverySession,
    versions_of,
)
from models.broker import BrokerLogin
from models.messages import Acknowledgement, content_digest, content_text
from models.mqtt_session import (
    RECEIVE_MAXIMUM_UNKNOWN,
    ConnectionLostError,
    MqttSession,
    MqttVersion,
    PublishAnswer,
    ReceivedMessage,
    SessionEvent,
    SubscribeAnswer,
)
from tests.simulators.alerts import ALERT_TOPIC, TOPICS, alert, jpeg

COMMANDS = f"{TOPICS.root}/cmd/+"


class ScriptedSession(MqttSession):
    """A session without a network.

    Attributes:
        published: Payloads, in order; the packet ids count from 1.
        filters: What was subscribed.
        answers: What the next ``turn`` returns.
        fault: Raised by ``turn`` after its last answer.
    """

    def __init__(self) -> None:
        login, version = BrokerLogin(), MqttVersion.V5
        super().__init__(login, "test", version, connect_limit_s=1, answer_limit_s=1)
        self.published: list[bytes] = []
        self.filters: Sequence[str] = ()
        self.answers: list[SessionEvent] = []
        self.fault: ConnectionLostError | None = None

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False
    ) -> int:
        self.published.append(payload)
        return len(self.published)

    def subscribe(self, filters: Sequence[str], *, own_messages: bool = True) -> None:
        self.filters = filters

    def turn(self, timeout_s: float) -> list[SessionEvent]:
        answers, self.answers = self.answers, []
        return answers

    def ensure_open(self) -> None:
        if self.fault is not None:
            raise self.fault


class Desk:
    """One station with an open session."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox(folder / "outbox.db", TOPICS, 64 << 20)
        self.outbox.start()
        self.alarms = DeliveryFaults()
        rule = CollectorAck.REQUIRED
        self.queue = SendQueue(self.outbox, rule, self.alarms, 60, lambda: 0.5)
        self.queue.packets(0, 0)  # reads the stream
        self.queue.connected(0, None)
        self.commands: list[tuple[str, bytes, bool]] = []
        subscription = (COMMANDS, lambda *command: self.commands.append(command))
        self.answers = AnswerHandler(self.queue, TOPICS.ack, self.alarms, subscription)
        self.broker = ScriptedSession()
        self.session = DeliverySession(self.broker, self.answers)

    def send(self, image: bytes | None = None) -> list[Packet]:
        """Put an alert and publish its packets."""
        future = self.outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(1, image), image)
        future.result(10)
        packets = self.queue.packets(10, 0)
        for packet in packets:
            self.session.publish(packet)
        return packets

    def answer(self, *answers: SessionEvent) -> None:
        """Let the broker send something."""
        self.broker.answers = list(answers)
        self.session.turn(0)


def received(topic: str, payload: bytes) -> ReceivedMessage:
    return ReceivedMessage(topic, payload, 1, 1, is_retained=False)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    result = Desk(tmp_path)
    yield result
    result.session.abandon()
    result.outbox.close()


def test_acknowledgements_and_commands_are_subscribed(desk: Desk) -> None:
    assert list(desk.broker.filters) == [TOPICS.ack, COMMANDS]


def test_packets_in_flight_use_the_window_until_they_are_confirmed(desk: Desk) -> None:
    assert desk.session.room == RECEIVE_MAXIMUM_UNKNOWN
    desk.send(jpeg(1))
    assert desk.session.room == RECEIVE_MAXIMUM_UNKNOWN - 2
    assert list(desk.session.in_flight) == [1, 2]
    desk.answer(PublishAnswer(1, ""), PublishAnswer(2, ""))
    assert desk.session.room == RECEIVE_MAXIMUM_UNKNOWN
    assert desk.session.room_bytes == IN_FLIGHT_MAX_BYTES


def test_bytes_in_flight_use_up_the_window(desk: Desk) -> None:
    desk.session.publish(Packet("topic", bytes(IN_FLIGHT_MAX_BYTES)))
    assert desk.session.room == 0
    desk.answer(PublishAnswer(1, ""))
    assert desk.session.room == RECEIVE_MAXIMUM_UNKNOWN


def test_packet_with_qos_0_is_never_in_flight(desk: Desk) -> None:
    desk.session.publish(Packet("topic", b"x", qos=0))
    assert desk.session.in_flight == {}


def test_refused_topic_is_an_alarm_until_a_packet_is_accepted(desk: Desk) -> None:
    desk.send()
    desk.answer(PublishAnswer(1, "Not authorized"))
    assert desk.alarms.text == f"the broker refuses {ALERT_TOPIC}: Not authorized"
    desk.session.publish(Packet(ALERT_TOPIC, b"{}"))
    desk.answer(PublishAnswer(2, ""))
    assert desk.alarms.text == ""


def test_picture_that_is_too_large_is_an_alarm_with_its_limit(desk: Desk) -> None:
    desk.send(jpeg(1, 5000))
    desk.answer(PublishAnswer(1, "Packet too large"))
    assert "takes no pictures of more than 2500 bytes" in desk.alarms.text
    assert "refuses" not in desk.alarms.text


def test_picture_that_the_connection_ended_by_is_too_large(desk: Desk) -> None:
    desk.send(jpeg(1, 5000))
    cut = ConnectionLostError("Protocol error", is_protocol_error=True)
    assert desk.session.handle_cut(cut) == (
        "closed the connection at a picture of 5000 bytes"
    )
    assert "takes no pictures of more than 2500 bytes" in desk.alarms.text


def test_other_ends_of_a_connection_are_no_limit(desk: Desk) -> None:
    desk.send(jpeg(1, 5000))
    desk.broker.fault = ConnectionLostError("Keep alive timeout")
    with pytest.raises(ConnectionLostError):
        desk.answer()
    assert desk.alarms.text == ""


def test_answers_before_the_end_of_a_connection_are_handled(desk: Desk) -> None:
    desk.send()
    desk.broker.fault = ConnectionLostError("closed the connection")
    with pytest.raises(ConnectionLostError):
        desk.answer(PublishAnswer(1, ""))
    assert desk.session.in_flight == {}


def test_refused_subscription_is_an_alarm(desk: Desk) -> None:
    desk.answer(SubscribeAnswer({TOPICS.ack: "Not authorized", COMMANDS: ""}))
    assert desk.alarms.text == f"the broker refuses {TOPICS.ack}: Not authorized"
    desk.answer(SubscribeAnswer({TOPICS.ack: ""}))
    assert desk.alarms.text == ""


def test_acknowledgement_reaches_the_send_queue(desk: Desk) -> None:
    (packet,) = desk.send()
    event = json.loads(packet.payload)
    digest = content_digest(event, content_text(event["data"]))
    message = Acknowledgement(
        stream=desk.outbox.stream, high_water=0, digests=((1, digest),)
    )
    desk.answer(received(TOPICS.ack, message.model_dump_json().encode()))
    assert desk.outbox.collector_known


def test_command_is_accepted_and_a_topic_that_is_not_text_is_ignored(
    desk: Desk,
) -> None:
    topic = f"{TOPICS.root}/cmd/reload"
    desk.answer(received(topic, b"{}"), received("", b"{}"))
    assert desk.commands == [(topic, b"{}", False)]


def test_answer_whose_handling_raises_is_counted_and_the_next_one_handled(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("injected")

    desk.send()
    monkeypatch.setattr(SendQueue, "confirmed", fail)
    topic = f"{TOPICS.root}/cmd/reload"
    desk.answer(PublishAnswer(1, ""), received(topic, b""))
    assert desk.answers.errors == 1
    assert len(desk.commands) == 1
    assert "broker_callback_failed" in caplog.text


@pytest.mark.parametrize(
    ("choice", "versions"),
    [
        (ProtocolChoice.AUTO, [MqttVersion.V5, MqttVersion.V311]),
        (ProtocolChoice.V5, [MqttVersion.V5]),
        (ProtocolChoice.V311, [MqttVersion.V311]),
    ],
)
def test_versions_are_tried_as_configured(
    choice: ProtocolChoice, versions: list[MqttVersion]
) -> None:
    assert list(versions_of(choice)) == versions
