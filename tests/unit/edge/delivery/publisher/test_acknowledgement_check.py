"""Untrusted acknowledgements: what counts, what is refused, and at which cost."""

import json
from typing import Any

import pytest

from edge.delivery.publisher import acknowledgement_check
from edge.delivery.publisher.acknowledgement_check import (
    ACK_BURST_BYTES,
    ACK_COST_BYTES,
    ACK_MAX_BYTES,
    ALARM_NS,
    AcknowledgementCheck,
    AcknowledgementFault,
)
from edge.delivery.publisher.delivery_faults import DeliveryFaults

STREAM = "station-1-00ff"
LAST_SEQ = 5


def payload(*digests: tuple[int, str], **changes: Any) -> bytes:
    document = {"stream": STREAM, "high_water": 0, "digests": digests, **changes}
    return json.dumps(document).encode()


def check_of(*seqs: int) -> tuple[AcknowledgementCheck, DeliveryFaults]:
    """Return a check that knows these events; the digest of 1 is ``d1``."""
    alarms = DeliveryFaults()
    check = AcknowledgementCheck(alarms)
    for seq in seqs:
        check.sent(seq, f"d{seq}")
    return check, alarms


def read(check: AcknowledgementCheck, content: bytes, now_ns: int = 0) -> set[int]:
    return set(check.read(content, STREAM, LAST_SEQ, now_ns))


def test_event_with_its_digest_is_acknowledged_once() -> None:
    check, alarms = check_of(1, 2, 3)
    assert read(check, payload((1, "d1"), (3, "d3"))) == {1, 3}
    assert read(check, payload((1, "d1"))) == set(), "repeated for nothing"
    assert (check.refused, alarms.text) == (0, "")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (payload(high_water=2), AcknowledgementFault.NO_DIGESTS),
        (payload(ranges=[[1, 2]]), AcknowledgementFault.NO_DIGESTS),
        (payload((2, "d1")), AcknowledgementFault.WRONG_DIGEST),
        (payload((2, "")), AcknowledgementFault.WRONG_DIGEST),
        (payload((6, "d6")), AcknowledgementFault.BEYOND),
        (payload((1, "x"), (10**30, "d6")), AcknowledgementFault.BEYOND),
    ],
    ids=["high water", "ranges", "other event", "empty", "beyond", "far beyond"],
)
def test_acknowledgement_that_proves_nothing_is_counted_and_an_alarm(
    content: bytes, fault: AcknowledgementFault
) -> None:
    check, alarms = check_of(1, 2)
    assert read(check, content) == set()
    assert check.refused == 1
    assert fault.value in alarms.text
    assert "Fix: " in fault


def test_old_fields_beyond_what_was_sent_do_not_spoil_good_digests() -> None:
    check, alarms = check_of(1, 2)
    assert read(check, payload((1, "d1"), high_water=396)) == {1}
    assert alarms.text == AcknowledgementFault.BEYOND.value


def test_unknown_event_is_ignored() -> None:
    check, alarms = check_of(1)
    assert read(check, payload((2, "d2"), (-3, "d"), (0, "d"))) == set()
    assert (check.refused, alarms.text) == (0, "")


def test_other_stream_is_ignored() -> None:
    check, alarms = check_of(1)
    assert read(check, payload((1, "d1"), stream="station-1-old")) == set()
    assert (check.refused, alarms.text) == (0, "")


def test_events_of_the_previous_stream_are_forgotten() -> None:
    check, _ = check_of(1)
    check.new_stream()
    assert read(check, payload((1, "d1"))) == set()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 9000,
        b" " * (ACK_MAX_BYTES + 1),
        payload(schema_version=2),
        payload((1, "x" * 33)),
        payload(digests=[[1, "d1"]] * 1001),
        payload(digests=[[1]]),
    ],
    ids=range(9),
)
def test_unreadable_acknowledgement_is_counted_and_no_alarm(content: bytes) -> None:
    check, alarms = check_of(1)
    assert read(check, content) == set()
    assert (check.refused, alarms.text) == (1, "")


def test_alarm_ends_some_time_after_the_last_cause() -> None:
    check, alarms = check_of(1)
    read(check, payload(high_water=1), 0)
    read(check, payload(high_water=1), ALARM_NS - 1)
    check.tick(ALARM_NS)
    assert alarms.text
    check.tick(2 * ALARM_NS - 1)
    assert alarms.text == ""


def test_flood_is_refused_by_its_bytes_and_ends() -> None:
    check, _ = check_of(1)
    for _ in range(ACK_BURST_BYTES // ACK_COST_BYTES):
        read(check, b"{", 0)
    assert read(check, payload((1, "d1")), 0) == set(), "it comes again"
    assert read(check, payload((1, "d1")), 1_000_000_000) == {1}


def test_refusals_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    check, _ = check_of(1)
    for _ in range(50):
        read(check, b"{")
        read(check, payload(high_water=1))
    assert check.refused == 100
    assert len(caplog.records) == 2, "one refusal, one alarm"


def test_memory_of_digests_is_bounded_and_keeps_the_last_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acknowledgement_check, "DIGESTS_KEPT", 3)
    check, _ = check_of(1, 2, 3, 1, 4)
    assert read(check, payload(*((seq, f"d{seq}") for seq in range(1, 5)))) == {1, 3, 4}
