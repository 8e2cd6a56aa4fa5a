"""Times of events whose line PC has a clock that is not synchronized."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from dashboard.history.line_clocks import STARTS_KEPT, STATIONS_MAX
from dashboard.history.tables.line_clocks import line_clocks
from dashboard.history.tables.received import verdicts
from dashboard.messages import Message, Record, read_message
from models.messages import DaemonState, StationStatus, VerdictData, VerdictEvent
from models.topics import StationTopics
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile, read

HOUR_MS = 3_600_000
UP_MS = 7 * HOUR_MS  # the line PC was switched on so long before NOW_MS


class LinePc:
    """A line PC whose wall clock is not set.

    Args:
        behind_ms: How far its wall clock is behind.
        up_ms: How long before NOW_MS it was switched on.
    """

    def __init__(
        self,
        behind_ms: int = 3 * HOUR_MS,
        boot_id: str = "boot-1",
        up_ms: int = UP_MS,
        *,
        states_ns: bool = True,
    ) -> None:
        self.behind_ms, self.boot_id, self.up_ms = behind_ms, boot_id, up_ms
        self.is_synchronized, self.states_ns = False, states_ns
        self.seq = 0

    def wall(self, at_ms: int) -> datetime:
        behind = timedelta(milliseconds=self.behind_ms)
        return datetime.fromtimestamp(at_ms / 1000, UTC) - behind

    def monotonic_ns(self, at_ms: int) -> int:
        return (at_ms - NOW_MS + self.up_ms) * 1_000_000

    def status(
        self, at_ms: int, arrives_ms: int | None = None, *, is_retained: bool = False
    ) -> Record:
        status = StationStatus(
            state=DaemonState.READY,
            boot_id=self.boot_id,
            version="1",
            at=self.wall(at_ms),
            at_ns=self.monotonic_ns(at_ms) if self.states_ns else None,
            clock_synchronized=self.is_synchronized,
        )
        payload = status.model_dump_json().encode()
        arrives_ms = at_ms if arrives_ms is None else arrives_ms
        message = Message(PRESS.status, payload, arrives_ms, is_retained=is_retained)
        record = read_message(message)
        assert isinstance(record, Record)
        return record

    def alert(self, at_ms: int, arrives_ms: int) -> Record:
        self.seq += 1
        event = alert_event(
            PRESS,
            self.seq,
            stream=f"press-1-{self.boot_id}",
            boot_id=self.boot_id,
            captured_at=self.wall(at_ms),
            captured_ns=self.monotonic_ns(at_ms),
            decided_ns=self.monotonic_ns(at_ms) + 20_000_000,
            clock_synchronized=False,
        )
        topic = PRESS.camera("top", "alert")
        return read(topic, event.model_dump_json(), arrives_ms)

    def part(self, at_ms: int, arrives_ms: int) -> Record:
        self.seq += 1
        stream = f"press-1-{self.boot_id}"
        data = VerdictData(
            seq=self.seq,
            stream=stream,
            site=PRESS.site,
            line=PRESS.line,
            station=PRESS.station,
            boot_id=self.boot_id,
            camera="top",
            part_id=str(self.seq),
            frame_id=self.seq,
            verdict="ok",
            captured_at=self.wall(at_ms),
            captured_ns=self.monotonic_ns(at_ms),
            clock_synchronized=False,
        )
        event = VerdictEvent(
            id=f"{stream}:{self.seq}",
            source=PRESS.root,
            time=data.captured_at,
            data=data,
        )
        return read(PRESS.camera("top", "verdict"), event.model_dump_json(), arrives_ms)


def happened(file: HistoryFile) -> list[int]:
    """Return when the alerts happened, in the order of their arrival."""
    return [each["happened_ms"] for each in reversed(file.history.alerts(99))]


def test_alerts_of_an_outage_have_the_time_at_which_they_happened(
    file: HistoryFile,
) -> None:
    pc = LinePc()
    times = [NOW_MS - HOUR_MS + n * 60_000 for n in range(3)]
    file.record(pc.status(NOW_MS), *(pc.alert(each, NOW_MS + 40) for each in times))
    assert happened(file) == times


def test_parts_are_counted_in_the_minute_in_which_they_were_made(
    file: HistoryFile,
) -> None:
    pc = LinePc()
    file.record(pc.status(NOW_MS), pc.part(NOW_MS - HOUR_MS, NOW_MS))
    with file.database.read() as connection:
        found = connection.execute(select(verdicts.c.happened_ms)).scalars().all()
    assert found == [NOW_MS - HOUR_MS]


def test_clock_that_is_set_after_an_outage_changes_no_time(file: HistoryFile) -> None:
    pc = LinePc()
    before = pc.alert(NOW_MS - HOUR_MS, NOW_MS)
    pc.behind_ms, pc.is_synchronized = 0, True
    file.record(pc.status(NOW_MS), before)
    assert happened(file) == [NOW_MS - HOUR_MS]


def test_outage_in_which_dashboard_and_daemon_start_again_is_no_exception(
    file: HistoryFile,
) -> None:
    pc = LinePc()
    file.record(pc.status(NOW_MS - 3 * HOUR_MS))
    file.restart()
    old = pc.alert(NOW_MS - 2 * HOUR_MS, NOW_MS)
    again = LinePc(boot_id="boot-2", up_ms=HOUR_MS)  # the line PC was switched off
    file.record(again.status(NOW_MS), old, again.alert(NOW_MS - 60_000, NOW_MS))
    assert happened(file) == [NOW_MS - 2 * HOUR_MS, NOW_MS - 60_000]


def test_messages_that_waited_in_the_broker_do_not_make_alerts_younger(
    file: HistoryFile,
) -> None:
    pc = LinePc()
    file.record(pc.status(NOW_MS - 3 * HOUR_MS))
    file.restart()  # the dashboard was down: the broker has kept all of this
    times = [NOW_MS - 2 * HOUR_MS, NOW_MS - HOUR_MS]
    kept = [(pc.status(each, NOW_MS), pc.alert(each, NOW_MS)) for each in times]
    file.record(*(record for pair in kept for record in pair))
    assert happened(file) == times


def test_events_of_an_older_version_are_corrected_by_the_wall_clock(
    file: HistoryFile,
) -> None:
    pc, before = LinePc(states_ns=False), LinePc(boot_id="boot-0")
    times = [NOW_MS - HOUR_MS, NOW_MS - 2 * HOUR_MS]
    records = [pc.alert(times[0], NOW_MS), before.alert(times[1], NOW_MS)]
    file.record(pc.status(NOW_MS), *records)
    assert happened(file) == times


@pytest.mark.parametrize("case", ["no status", "only a retained one", "set meanwhile"])
def test_time_of_arrival_is_used_where_nothing_better_is_known(
    file: HistoryFile, case: str
) -> None:
    pc, now = LinePc(), LinePc(boot_id="boot-2")
    now.behind_ms, now.is_synchronized = 0, True
    if case == "only a retained one":
        file.record(pc.status(NOW_MS - HOUR_MS, NOW_MS, is_retained=True))
    if case == "set meanwhile":
        file.record(now.status(NOW_MS))
    file.record(pc.alert(NOW_MS - HOUR_MS, NOW_MS))
    assert happened(file) == [NOW_MS]


def test_no_event_happened_after_its_arrival_or_before_1970(file: HistoryFile) -> None:
    pc, hostile = LinePc(), LinePc(boot_id="boot-2", up_ms=2 * NOW_MS)
    file.record(pc.status(NOW_MS, NOW_MS + 30_000), hostile.status(NOW_MS))
    file.record(pc.alert(NOW_MS, NOW_MS + 10), hostile.alert(-NOW_MS, NOW_MS))
    assert happened(file) == [NOW_MS + 10, 0]


def test_slow_clock_is_measured_again_after_some_minutes(file: HistoryFile) -> None:
    """Its difference grows: the smallest one of all time would be wrong."""
    pc = LinePc()
    for minute in range(60):
        at_ms = NOW_MS + minute * 60_000
        file.record(pc.status(at_ms - minute * 1000, at_ms))
    end_ms = NOW_MS + 60 * 60_000
    file.record(pc.alert(end_ms - 60_000, end_ms + HOUR_MS))
    shown_ms = happened(file)[0]
    assert abs(shown_ms - end_ms) <= 12_000


@pytest.mark.parametrize("boot_id", ["a\0b", "x" * 300, "\u202e"])
def test_start_that_a_history_cannot_hold_stops_nothing(
    file: HistoryFile, boot_id: str
) -> None:
    hostile, pc = LinePc(boot_id=boot_id), LinePc()
    file.record(hostile.status(NOW_MS))
    committed = file.record(pc.status(NOW_MS), pc.alert(NOW_MS - HOUR_MS, NOW_MS))
    assert len(committed.alerts) == 1
    assert happened(file) == [NOW_MS - HOUR_MS]


def test_starts_and_stations_are_limited(file: HistoryFile) -> None:
    for number in range(STARTS_KEPT + 3):
        file.record(LinePc(boot_id=f"boot-{number}").status(NOW_MS + number))
    others = []
    for number in range(STATIONS_MAX + 3):
        topics = StationTopics("plant", "line-9", f"made-up-{number}")
        payload = StationStatus(
            state=DaemonState.READY,
            boot_id="b",
            version="1",
            at=datetime.fromtimestamp(NOW_MS / 1000, UTC),
            at_ns=1,
        ).model_dump_json()
        others.append(read(topics.status, payload, NOW_MS + 100 + number))
    with file.database.read() as connection:
        kept = connection.execute(select(line_clocks.c.boot_id)).scalars().all()
    assert sorted(kept) == [f"boot-{3 + each}" for each in range(STARTS_KEPT)]
    file.record(*others)
    assert len(file.store._clocks._stations) == STATIONS_MAX  # noqa: SLF001
