"""Hostile, stale and repeated commands: refused, counted, answered, never obeyed."""

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.control.command_queue import QUEUE_COMMANDS, CommandQueue
from edge.control.command_validation import CommandGate, RawCommand, Refused
from models.commands import COMMAND_MAX_BYTES, CommandRefusal
from models.topics import StationTopics
from tests.examples import example_count
from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.commander import Commander, command
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.mjpeg import MjpegCamera

TOPICS = StationTopics("site", "line", "station")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON | st.sampled_from(["a", "b"]),
        "expires_at": JSON | st.datetimes(timezones=st.just(UTC)).map(str),
        "camera": JSON | st.just("top"),
        "part_id": JSON,
        "schema_version": JSON | st.just(1),
    },
)
PAYLOADS = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=40).map(lambda piece: json.dumps(command()).encode() + piece),
    JSON.map(lambda value: json.dumps(value).encode()),
    FIELDS.map(lambda value: json.dumps(value).encode()),
)
VERBS = st.sampled_from(["trigger", "reload"]) | st.text(max_size=8)


@pytest.mark.fault(27)
@settings(max_examples=example_count(600), deadline=None)
@given(st.lists(st.tuples(VERBS, PAYLOADS, st.booleans()), max_size=4))
@example([("trigger", b"[" * COMMAND_MAX_BYTES, False)])
@example([("trigger", b"[" * 10_000_000, False)])
@example([("trigger", b'{"id":"a","expires_at":1e400}', False)])
@example([("trigger", b'{"id":"a","expires_at":"9999-12-31T23:59:59-23:59"}', False)])
@example([("\x00", b'{"id":"a"}', False)])
def test_any_message_is_refused_and_counted_and_raises_no_error(
    messages: list[tuple[str, bytes, bool]],
) -> None:
    queue = CommandQueue(TOPICS, lambda _: 100, lambda: False)
    for verb, payload, is_retained in messages:
        queue.enqueue(f"{TOPICS.root}/cmd/{verb}", payload, is_retained)
    answers = list(queue.poll([]))
    accepted = len(queue.reloads)
    assert sum(queue.refused.values()) + accepted == len(messages)
    assert len(answers) <= sum(queue.refused.values())
    for topic, reply in answers:
        assert topic.startswith(f"{TOPICS.root}/cmd/")
        assert topic.count("/") == TOPICS.root.count("/") + 4  # one level each
        assert not reply.accepted
        assert reply.refusal in queue.refused


@pytest.mark.fault(27)
@given(st.text(max_size=20), st.integers(-900, 900))
def test_command_is_admitted_only_before_its_end(extra: str, life_s: int) -> None:
    now = datetime(2026, 5, 4, tzinfo=UTC)
    expires_at = now + timedelta(seconds=life_s)
    document = {"id": "a", "expires_at": expires_at.isoformat(), "extra": extra}
    raw = RawCommand("reload", json.dumps(document).encode(), False, 0)
    result = CommandGate().admit(raw, now, clock_synchronized=True)
    assert isinstance(result, Refused) != (0 < life_s <= 600)


@pytest.mark.fault(27)
def test_flood_of_commands_is_bounded_in_memory_and_counted() -> None:
    queue = CommandQueue(TOPICS, lambda _: 100, lambda: True)
    for _ in range(QUEUE_COMMANDS + 7):
        queue.enqueue(f"{TOPICS.root}/cmd/trigger", b"x" * 100_000, False)
    assert queue.refused == {CommandRefusal.QUEUE_FULL: 7}
    assert list(queue.poll([], QUEUE_COMMANDS)) == []
    oversized = queue.refused[CommandRefusal.OVERSIZED]
    assert oversized == QUEUE_COMMANDS


# --- through a real broker, to a real daemon -----------------------------------------


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker", "max_packet_size 20000000") as broker:
        yield broker


@pytest.mark.fault(27)
@pytest.mark.timeout(180)
def test_daemon_continues_after_hostile_commands(pc: DaemonPc, broker: Broker) -> None:
    with (
        MjpegCamera() as network,
        Commander(broker.port, pc.topics) as commander,
    ):
        process = pc.start(
            camera_table("free", network.url),
            camera_table("top", network.url, trigger="command"),
            at_end=False,
        )
        commander.wait_for_station()
        for payload in (b"", b"\xff\xfe{", b"[" * 4000, b"{" * 9_000, bytes(10 << 20)):
            commander.send("trigger", payload)
        good = command(camera="top")
        first = commander.ask("trigger", good)
        commander.send("trigger", good)
        commander.wait_for_reply_count(good["id"], 2)
        asked = {
            CommandRefusal.EXPIRED: commander.ask(
                "trigger", command(camera="top", expires_at="2020-01-01T00:00:00Z")
            ),
            CommandRefusal.TOO_FAR: commander.ask(
                "trigger", command(camera="top", expires_at="2999-01-01T00:00:00Z")
            ),
            CommandRefusal.UNKNOWN_VERB: commander.ask("self-destruct", command()),
            CommandRefusal.NEWER_SCHEMA: commander.ask(
                "reload", command(schema_version=9)
            ),
            CommandRefusal.NOT_POSSIBLE: commander.ask("trigger", command(camera="no")),
        }
        not_triggered = commander.ask("trigger", command(camera="free"))
        last = commander.ask("trigger", command(camera="top"))
        process.send_signal(signal.SIGTERM)
        code, figures = pc.end_of(process)
    assert (code, first.accepted, last.accepted) == (0, True, True), pc.stderr
    both = commander.replies[good["id"]]
    assert [each.refusal for each in both] == [None, CommandRefusal.REPLAYED]
    assert {refusal: reply.refusal for refusal, reply in asked.items()} == {
        refusal: refusal for refusal in asked
    }
    assert "by this station's clock it is 20" in asked[CommandRefusal.EXPIRED].reason
    assert 'trigger = "command"' in not_triggered.reason
    counted = figures["commands"]
    assert counted["accepted"] == {"trigger": 2}
    hellos = sum(reply[0].verb == "hello" for reply in commander.replies.values())
    assert counted["refused"].pop("unknown-verb") >= hellos + 1
    assert counted["refused"] == {
        "malformed": 3,
        "oversized": 2,
        "replayed": 1,
        "expired": 1,
        "too-far-in-the-future": 1,
        "newer-schema": 1,
        "not-possible": 2,
    }
    assert sum(figures["cameras"]["top"]["verdicts"].values()) == 2
    assert "Traceback" not in pc.stderr
    assert "message_failed" not in pc.stderr


@pytest.mark.fault(29)
@pytest.mark.timeout(180)
def test_retained_command_is_not_executed_again_after_a_reboot(
    pc: DaemonPc, broker: Broker, tmp_path: Path
) -> None:
    with (
        MjpegCamera() as network,
        SimCollector(tmp_path, broker.port) as collector,
        Commander(broker.port, pc.topics) as commander,
    ):
        camera = camera_table("top", network.url, trigger="command")
        stale = command(camera="top", part_id="stale")
        commander.send("trigger", stale, retain=True)
        process = pc.start(camera, at_end=False)
        refused = commander.answer_to(stale["id"])
        live = command(camera="top", part_id="live")
        commander.send("trigger", live, retain=True)  # to a station that listens
        assert commander.answer_to(live["id"]).accepted
        assert collector.wait_for(1, 30, "verdict") == 1
        process.send_signal(signal.SIGTERM)
        assert pc.end_of(process)[0] == 0
        process = pc.start(camera, at_end=False)
        probe = command(camera="top", part_id="probe")
        commander.wait_for_reply_count(live["id"], 2)
        assert commander.ask("trigger", probe).accepted
        assert collector.wait_for(2, 30, "verdict") == 2
        process.send_signal(signal.SIGTERM)
        code, figures = pc.end_of(process)
        parts = [event["data"]["part_id"] for event in collector.history("verdict")]
    assert refused.refusal is CommandRefusal.RETAINED
    assert commander.replies[live["id"]][-1].refusal is CommandRefusal.RETAINED
    assert (code, parts) == (0, ["live", "probe"])
    assert figures["commands"]["refused"]["retained"] == 1
