"""Complete events as merged ranges, and the acknowledgements made from them."""

from collections.abc import Iterator

import pytest

from dashboard.history import acknowledged_ranges
from dashboard.history.acknowledged_ranges import (
    AHEAD_MAX,
    ENTRIES_PER_ACK,
    SEQ_MAX,
    AcknowledgedRanges,
    RecordRefusedError,
    Stream,
)
from models.topics import StationTopics
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile

STREAM = "press-1-00ff"


@pytest.fixture
def ranges(file: HistoryFile) -> Iterator[AcknowledgedRanges]:
    with file.database.write() as connection:
        yield AcknowledgedRanges(connection)


def acknowledged(
    ranges: AcknowledgedRanges, stream: Stream, seqs: set[int]
) -> tuple[int, list[tuple[int, int]]]:
    """Add events, and return high water and ranges of their acknowledgements."""
    ranges.add({stream: seqs}, NOW_MS)
    events = [(seq, f"digest of {seq}") for seq in seqs]
    acks = [ack for _, ack in ranges.acknowledgements(stream, events)]
    assert sorted(each for ack in acks for each in ack.digests) == sorted(events)
    assert {ack.stream for ack in acks} == {STREAM}
    return acks[0].high_water, [each for ack in acks for each in ack.ranges]


def test_stream_keeps_its_row(ranges: AcknowledgedRanges) -> None:
    first = ranges.claim(PRESS, STREAM)
    assert ranges.claim(PRESS, "press-1-0100") != first
    assert ranges.claim(PRESS, STREAM) == first


def test_stream_of_another_station_is_refused(ranges: AcknowledgedRanges) -> None:
    ranges.claim(PRESS, STREAM)
    with pytest.raises(RecordRefusedError, match="belongs to plant/line-1/press-1"):
        ranges.claim(StationTopics("plant", "line-1", "press-2"), STREAM)


def test_too_many_streams_of_one_station_are_refused_and_no_other_is(
    ranges: AcknowledgedRanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledged_ranges, "MAX_STREAMS_PER_STATION", 1)
    ranges.claim(PRESS, STREAM)
    with pytest.raises(RecordRefusedError, match="more than 1 streams of one station"):
        ranges.claim(PRESS, "press-1-0100")
    ranges.claim(StationTopics("plant", "line-1", "press-2"), "press-2-0100")


def test_events_from_1_are_high_water(ranges: AcknowledgedRanges) -> None:
    stream = ranges.claim(PRESS, STREAM)
    assert acknowledged(ranges, stream, {1, 2, 3}) == (3, [])


def test_events_beyond_a_gap_are_ranges(ranges: AcknowledgedRanges) -> None:
    stream = ranges.claim(PRESS, STREAM)
    assert acknowledged(ranges, stream, {5, 6, 9}) == (0, [(5, 6), (9, 9)])


def test_event_that_closes_a_gap_joins_both_sides(ranges: AcknowledgedRanges) -> None:
    stream = ranges.claim(PRESS, STREAM)
    acknowledged(ranges, stream, {1, 2, 4, 5})
    assert acknowledged(ranges, stream, {3}) == (5, [])


def test_event_that_is_noted_again_changes_nothing(ranges: AcknowledgedRanges) -> None:
    stream = ranges.claim(PRESS, STREAM)
    acknowledged(ranges, stream, {4, 5, 6})
    assert acknowledged(ranges, stream, {5}) == (0, [(4, 6)])


def test_many_ranges_are_spread_over_acknowledgements(
    ranges: AcknowledgedRanges,
) -> None:
    stream = ranges.claim(PRESS, STREAM)
    seqs = {10**11 + 2 * number for number in range(1, ENTRIES_PER_ACK + 6)}
    ranges.add({stream: seqs}, NOW_MS)
    digest = "0123456789abcdef" * 2
    acks = [
        ack for _, ack in ranges.acknowledgements(stream, [(s, digest) for s in seqs])
    ]
    assert [len(ack.ranges) for ack in acks] == [ENTRIES_PER_ACK, 5]
    assert [len(ack.digests) for ack in acks] == [ENTRIES_PER_ACK, 5]
    assert all(len(ack.model_dump_json()) < 12_000 for ack in acks), "16 kB are read"


def test_position_far_beyond_the_highest_one_is_not_expected(
    ranges: AcknowledgedRanges,
) -> None:
    stream = ranges.claim(PRESS, STREAM)
    assert ranges.highest_expected(stream, NOW_MS) == SEQ_MAX
    ranges.add({stream: {7}}, NOW_MS)
    assert ranges.highest_expected(stream, NOW_MS) == 7 + AHEAD_MAX


def test_more_is_expected_after_a_pause_of_the_collector(
    ranges: AcknowledgedRanges,
) -> None:
    stream = ranges.claim(PRESS, STREAM)
    ranges.add({stream: {7}}, NOW_MS)
    later_ms = NOW_MS + 60_000
    ranges.add({stream: {5}}, later_ms)  # a repetition is no sign that it grows
    assert ranges.highest_expected(stream, later_ms) == 7 + AHEAD_MAX + 60_000
    assert ranges.highest_expected(stream, 0) == 7 + AHEAD_MAX, "the clock was set"
