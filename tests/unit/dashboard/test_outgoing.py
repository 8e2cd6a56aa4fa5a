from concurrent.futures import Future
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.outgoing import CROWDED, WAITING_MAX, NotSentError, Outgoing
from models.commands import CommandReply, CommandVerb, ReloadCommand
from tests.unit.dashboard.history_file import PRESS

COMMAND = ReloadCommand(id="c-1", expires_at=datetime.now(UTC) + timedelta(seconds=9))
REPLY_TOPIC = PRESS.reply("reload", COMMAND.id)


class Session:
    """The network thread's side."""

    def __init__(self) -> None:
        self.outgoing = Outgoing()
        self.sent: list[tuple[str, bytes, bool]] = []
        self.woken = 0

    def open(self) -> None:
        self.outgoing.open(self._wake)

    def turn(self) -> None:
        self.outgoing.send(self._publish)

    def _wake(self) -> None:
        self.woken += 1

    def _publish(self, topic: str, payload: bytes, retain: bool) -> int:
        self.sent.append((topic, payload, retain))
        return len(self.sent)


@pytest.fixture
def session() -> Session:
    return Session()


def reply(**changes: object) -> bytes:
    values = {"id": "c-1", "verb": "reload", "accepted": True, "at": datetime.now(UTC)}
    return CommandReply.model_validate(values | changes).model_dump_json().encode()


def ask(session: Session) -> Future[CommandReply]:
    return session.outgoing.ask(PRESS, CommandVerb.RELOAD, COMMAND)


def test_message_is_answered_when_the_broker_has_it(session: Session) -> None:
    session.open()
    answer = session.outgoing.publish("a/b", b"x", retain=True)
    session.turn()
    assert session.sent == [("a/b", b"x", True)]
    assert session.woken == 1
    assert not answer.done()
    session.outgoing.note_answer(99, "")  # of another packet
    session.outgoing.note_answer(1, "")
    assert answer.result(0) == ""


def test_refusal_of_the_broker_is_the_answer(session: Session) -> None:
    session.open()
    answer = session.outgoing.publish("a/b", b"x")
    session.turn()
    session.outgoing.note_answer(1, "Not authorized")
    assert answer.result(0) == "the broker refused it: Not authorized"


def test_without_a_connection_there_is_an_answer_at_once(session: Session) -> None:
    answer = session.outgoing.publish("a/b", b"x")
    assert answer.result(0) == "there is no connection to the broker"
    with pytest.raises(NotSentError, match="no connection"):
        ask(session).result(0)


def test_connection_that_ends_answers_what_waits(session: Session) -> None:
    session.open()
    sent = session.outgoing.publish("a", b"")
    session.turn()
    queued = session.outgoing.publish("b", b"")
    asked = ask(session)
    session.outgoing.close("the cable is out")
    assert "the cable is out" in sent.result(0)
    assert "the cable is out" in queued.result(0)
    with pytest.raises(NotSentError, match="the cable is out"):
        asked.result(0)


def test_page_that_stopped_waiting_disturbs_no_other(session: Session) -> None:
    session.open()
    answer = session.outgoing.publish("a", b"")
    asked = ask(session)
    session.turn()
    answer.cancel()
    asked.cancel()
    session.outgoing.note_answer(1, "")
    session.outgoing.note_reply(REPLY_TOPIC, reply())
    session.outgoing.close("")


def test_more_than_can_wait_is_refused(session: Session) -> None:
    session.open()
    for _ in range(WAITING_MAX):
        session.outgoing.publish("a", b"")
    assert session.outgoing.publish("a", b"").result(0) == CROWDED


def test_reply_of_the_station_answers_its_command(session: Session) -> None:
    session.open()
    asked = ask(session)
    session.turn()
    [(topic, payload, is_retained)] = session.sent
    assert topic == f"{PRESS.root}/cmd/reload"
    assert ReloadCommand.model_validate_json(payload) == COMMAND
    assert not is_retained
    session.outgoing.note_reply(REPLY_TOPIC, reply())
    assert asked.result(0).accepted


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (PRESS.reply("reload", "c-2"), reply(id="c-2")),
        (REPLY_TOPIC, reply(id="c-2")),
        (REPLY_TOPIC, b"\xff"),
        (REPLY_TOPIC, b"[" * 9000),
        (REPLY_TOPIC, b"x" * 300_000),
        ("graftline/plant/line-1/press-2/cmd/reload/reply/c-1", reply()),
    ],
    ids=["other-command", "other-id", "bytes", "nested", "large", "other-station"],
)
def test_what_is_no_reply_answers_nothing(
    session: Session, topic: str, payload: bytes
) -> None:
    session.open()
    asked = ask(session)
    session.turn()
    session.outgoing.note_reply(topic, payload)
    assert not asked.done()


def test_message_whose_answer_was_cancelled_is_not_sent(session: Session) -> None:
    session.open()
    answers = [session.outgoing.publish(each, b"") for each in "abc"]
    answers[1].cancel()
    session.turn()
    assert [topic for topic, _, _ in session.sent] == ["a", "c"]
    assert not answers[0].cancel()  # it is on its way
    session.outgoing.note_answer(1, "")
    assert answers[0].result(0) == ""
