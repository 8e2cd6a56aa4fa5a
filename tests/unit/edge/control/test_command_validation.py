import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge.control.command_validation import (
    CommandGate,
    RawCommand,
    Refused,
    read_command,
)
from models.commands import (
    COMMAND_MAX_BYTES,
    COMMAND_MAX_LIFE_S,
    CommandRefusal,
    ReloadCommand,
    TriggerCommand,
)

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def raw(
    verb: str = "trigger", *, is_retained: bool = False, **fields: object
) -> RawCommand:
    expires_at = (NOW + timedelta(seconds=60)).isoformat()
    document = {"id": "c-1", "expires_at": expires_at, "camera": "top", **fields}
    return RawCommand(verb, json.dumps(document).encode(), is_retained, 0)


def refused(command: RawCommand, **options: Any) -> Refused:
    options = {"clock_synchronized": True, **options}
    result = CommandGate().admit(command, NOW, **options)
    assert isinstance(result, Refused)
    return result


def test_command_in_its_time_is_admitted_once() -> None:
    gate = CommandGate()
    first = gate.admit(raw(part_id="SN 4/7"), NOW, clock_synchronized=True)
    assert isinstance(first, TriggerCommand)
    assert (first.camera, first.part_id) == ("top", "SN 4/7")
    again = gate.admit(raw(), NOW, clock_synchronized=True)
    assert isinstance(again, Refused)
    assert (again.refusal, again.id) == (CommandRefusal.REPLAYED, "c-1")
    other = gate.admit(raw("reload", id="c-2"), NOW, clock_synchronized=True)
    assert isinstance(other, ReloadCommand)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (raw("explode"), CommandRefusal.UNKNOWN_VERB),
        (raw(is_retained=True), CommandRefusal.RETAINED),
        (raw(schema_version=2), CommandRefusal.NEWER_SCHEMA),
        (raw(camera="No/Name"), CommandRefusal.MALFORMED),
        (raw(part_id="a\nb"), CommandRefusal.MALFORMED),
        (raw(part_id=""), CommandRefusal.MALFORMED),
        (raw(expires_at="2026-05-04T12:31:00"), CommandRefusal.MALFORMED),  # no zone
        (raw(expires_at="tomorrow"), CommandRefusal.MALFORMED),
        (raw(expires_at=NOW.isoformat()), CommandRefusal.EXPIRED),
    ],
)
def test_refused_command_can_be_answered(
    command: RawCommand, refusal: CommandRefusal
) -> None:
    result = refused(command)
    assert (result.refusal, result.id) == (refusal, "c-1")
    assert result.reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"camera": "Küche"}, "camera: expected 1 to 32 of a-z, 0-9 and '-'"),
        ({"part_id": "a\nb"}, "part_id: expected 1 to 100 characters, none of them a"),
        ({"id": "a b"}, "id: expected 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'"),
    ],
    ids=["camera", "part", "id"],
)
def test_refused_text_is_answered_with_the_rule_in_words(
    fields: dict[str, object], reason: str
) -> None:
    assert refused(raw(**fields)).reason.startswith(reason)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"7",
        b"[]",
        b'{"id": 7}',
        b'{"id": "../../x"}',
        b'{"id": "' + b"9" * 65 + b'"}',
        b'{"id": ' + b"9" * 4000 + b"}",
        b"[" * COMMAND_MAX_BYTES,
        b'{"a":' * 700,
        json.dumps({"id": [[[[[[[[1]]]]]]]] * 8}).encode(),
    ],
)
def test_rubbish_is_malformed_and_has_no_id_to_reply_to(payload: bytes) -> None:
    result = read_command(
        RawCommand("trigger", payload, is_retained=False, received_ns=0)
    )
    assert isinstance(result, Refused)
    assert (result.refusal, result.id) == (CommandRefusal.MALFORMED, "")


def test_what_is_too_large_is_not_parsed() -> None:
    payload = raw().payload + b" " * COMMAND_MAX_BYTES
    result = read_command(
        RawCommand("trigger", payload, is_retained=False, received_ns=0)
    )
    assert isinstance(result, Refused)
    assert (result.refusal, result.id) == (CommandRefusal.OVERSIZED, "")


def test_command_that_would_live_too_long_is_refused() -> None:
    at_most = NOW + timedelta(seconds=COMMAND_MAX_LIFE_S)
    beyond = at_most + timedelta(seconds=1)
    assert refused(raw(expires_at=beyond.isoformat())).refusal is CommandRefusal.TOO_FAR
    gate, command = CommandGate(), raw(expires_at=at_most.isoformat())
    assert isinstance(gate.admit(command, NOW, clock_synchronized=True), TriggerCommand)


def test_refusal_by_a_clock_that_is_wrong_states_it() -> None:
    command = raw(expires_at=(NOW - timedelta(hours=1)).isoformat())
    trusted = refused(command)
    assert "3600 s ago" in trusted.reason
    assert "2026-05-04 12:30:00 UTC" in trusted.reason
    assert "NOT SYNCHRONIZED" not in trusted.reason
    assert "NOT SYNCHRONIZED" in refused(command, clock_synchronized=False).reason


def test_refused_command_may_be_corrected_and_sent_again_under_its_id() -> None:
    gate = CommandGate()
    late = raw(expires_at=NOW.isoformat())
    assert isinstance(gate.admit(late, NOW, clock_synchronized=True), Refused)
    assert isinstance(gate.admit(raw(), NOW, clock_synchronized=True), TriggerCommand)


def test_memory_of_ids_is_bounded_and_gives_room_as_they_expire() -> None:
    gate = CommandGate(100)
    for number in range(100):
        assert isinstance(
            gate.admit(raw(id=f"c-{number}"), NOW, clock_synchronized=True),
            TriggerCommand,
        )
    full = gate.admit(raw(id="one-more"), NOW, clock_synchronized=True)
    assert isinstance(full, Refused)
    assert full.refusal is CommandRefusal.QUEUE_FULL
    later = NOW + timedelta(seconds=61)
    fresh = raw(id="one-more", expires_at=(later + timedelta(seconds=9)).isoformat())
    assert isinstance(gate.admit(fresh, later, clock_synchronized=True), TriggerCommand)


def test_flood_beyond_the_memory_costs_no_search_through_all_ids() -> None:
    gate = CommandGate(20_000)
    for number in range(20_000):
        gate.admit(raw(id=f"c-{number}"), NOW, clock_synchronized=True)
    flood = [raw(id=f"more-{number}") for number in range(2000)]
    began_s = time.process_time()
    for each in flood:
        assert isinstance(gate.admit(each, NOW, clock_synchronized=True), Refused)
    # Searching took 1 ms for each command, more than reading it.
    assert time.process_time() - began_s < 1.0


def test_id_is_free_again_after_its_end_and_not_before() -> None:
    gate = CommandGate()
    ends = {"late": 90, "early": 30, "middle": 60}
    for name, end_s in ends.items():
        expires_at = (NOW + timedelta(seconds=end_s)).isoformat()
        command = raw(id=name, expires_at=expires_at)
        assert not isinstance(
            gate.admit(command, NOW, clock_synchronized=True), Refused
        )
    now = NOW + timedelta(seconds=61)
    expires_at = (now + timedelta(seconds=9)).isoformat()
    admitted = {
        name: not isinstance(
            gate.admit(
                raw(id=name, expires_at=expires_at), now, clock_synchronized=True
            ),
            Refused,
        )
        for name in ends
    }
    assert admitted == {"late": False, "early": True, "middle": True}
