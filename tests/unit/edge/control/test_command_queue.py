"""Commands are queued by the network thread, and executed and answered by poll."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from edge.control import command_queue
from edge.control.command_queue import PER_S, QUEUE_COMMANDS, CommandQueue
from edge.control.command_validation import IDS_KEPT
from edge.inspection.camera_channel import CameraChannel
from models.commands import (
    COMMAND_MAX_BYTES,
    COMMAND_MAX_LIFE_S,
    CommandRefusal,
    CommandVerb,
)
from tests.simulators.alerts import TOPICS
from tests.simulators.cameras import SimCamera, sim_channel


@pytest.fixture
def queue() -> CommandQueue:
    return CommandQueue(TOPICS, lambda _: 750, lambda: True)


@pytest.fixture
def triggered() -> CameraChannel:
    return sim_channel(SimCamera("top"), trigger="command")


def enqueue(queue: CommandQueue, verb: str = "trigger", **fields: object) -> None:
    expires_at = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    document = {"id": "c-1", "expires_at": expires_at, "camera": "top", **fields}
    payload = json.dumps(document).encode()
    queue.enqueue(f"{TOPICS.root}/cmd/{verb}", payload, False)


def test_trigger_waits_at_its_camera_and_is_answered(
    queue: CommandQueue, triggered: CameraChannel
) -> None:
    enqueue(queue, part_id="SN 7")
    ((topic, reply),) = queue.poll([sim_channel(SimCamera("side")), triggered])
    assert (topic, reply.accepted) == (TOPICS.reply("trigger", "c-1"), True)
    assert queue.accepted == {CommandVerb.TRIGGER: 1}
    assert triggered.command_triggers is not None
    (part,) = triggered.abandon_parts("the test ends")
    assert part.stamp.part_id == "SN 7"


def test_part_without_a_name_has_that_of_the_command(
    queue: CommandQueue, triggered: CameraChannel
) -> None:
    enqueue(queue)
    list(queue.poll([triggered]))
    assert [p.stamp.part_id for p in triggered.abandon_parts("")] == ["c-1"]


def test_trigger_for_a_free_or_unknown_camera_is_refused(queue: CommandQueue) -> None:
    enqueue(queue)
    enqueue(queue, id="c-2", camera="side")
    replies = [reply for _, reply in queue.poll([sim_channel(SimCamera("top"))])]
    assert [each.refusal for each in replies] == [CommandRefusal.NOT_POSSIBLE] * 2
    assert "is not triggered by commands" in replies[0].reason
    assert replies[1].reason == "there is no camera side"
    assert queue.refused == {CommandRefusal.NOT_POSSIBLE: 2}


def test_reload_is_left_to_the_daemon_and_answered_by_it(queue: CommandQueue) -> None:
    enqueue(queue, "reload")
    assert list(queue.poll([])) == []
    (command,) = queue.reloads
    ((topic, reply),) = queue.reply("reload", command, None)
    assert (topic, reply.accepted) == (TOPICS.reply("reload", "c-1"), True)


def test_limit_leaves_the_rest_for_the_next_poll(
    queue: CommandQueue, triggered: CameraChannel
) -> None:
    for number in range(3):
        enqueue(queue, id=f"c-{number}")
    assert len(list(queue.poll([triggered], limit=2))) == 2
    assert len(list(queue.poll([triggered], limit=2))) == 1


def test_command_beyond_the_queue_is_counted_and_logged_once(
    queue: CommandQueue,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(command_queue, "QUEUE_COMMANDS", 2)
    for number in range(5):
        enqueue(queue, id=f"c-{number}")
    assert queue.refused == {CommandRefusal.QUEUE_FULL: 3}
    assert caplog.text.count("commands_overflow") == 1


def test_flood_is_refused_beyond_its_rate(
    queue: CommandQueue, triggered: CameraChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = 0
    monkeypatch.setattr(command_queue.time, "monotonic_ns", lambda: now_ns)
    answered = 0
    for number in range(20_000):  # 1,000 commands per second for 20 s
        now_ns += 1_000_000
        enqueue(queue, id=f"c-{number}")
        answered += len(list(queue.poll([triggered])))
    expected = QUEUE_COMMANDS + 20 * PER_S
    assert answered == pytest.approx(expected, abs=2)
    assert queue.refused[CommandRefusal.QUEUE_FULL] == 20_000 - answered


def test_oversized_payload_is_cut_and_refused_without_a_reply(
    queue: CommandQueue,
) -> None:
    enqueue(queue, part_id="x" * 3 * COMMAND_MAX_BYTES)
    assert list(queue.poll([])) == []
    assert queue.refused == {CommandRefusal.OVERSIZED: 1}


def test_verb_that_is_no_level_of_a_topic_is_not_answered(queue: CommandQueue) -> None:
    enqueue(queue, "NO VERB")
    assert list(queue.poll([])) == []
    assert queue.refused == {CommandRefusal.UNKNOWN_VERB: 1}


def test_only_the_first_refusal_of_a_kind_is_a_warning(
    queue: CommandQueue, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        enqueue(queue, id=f"c-{number}")
    list(queue.poll([]))
    assert caplog.text.count("command_refused") == 1


def test_flood_leaves_room_for_the_ids_of_later_commands() -> None:
    admitted = QUEUE_COMMANDS + PER_S * COMMAND_MAX_LIFE_S
    assert admitted < IDS_KEPT
