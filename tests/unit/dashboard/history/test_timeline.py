import pytest

from dashboard.history.state_log import SILENT, SILENT_MS, StateChange
from dashboard.history.timeline import (
    UNKNOWN,
    Segment,
    availability,
    coarse,
    downtimes,
    lengths,
    segments,
    under_station,
)

END_MS = 1_000_000


def shown(found: list[Segment]) -> list[tuple[int, int, str]]:
    return [(each.from_ms, each.to_ms, each.state) for each in found]


def changes(*pairs: tuple[int, str]) -> list[StateChange]:
    return [StateChange(at_ms, state) for at_ms, state in pairs]


def test_span_is_covered_without_gaps() -> None:
    found = segments(changes((100, "up"), (400, "lost"), (500, "up")), 0, END_MS)
    assert shown(found) == [
        (0, 100, UNKNOWN),
        (100, 400, "up"),
        (400, 500, "lost"),
        (500, END_MS, "up"),
    ]


def test_state_before_the_span_is_in_force_at_its_start() -> None:
    found = segments(changes((100, "up"), (200, "lost"), (900, "up")), 500, 1000)
    assert shown(found) == [(500, 900, "lost"), (900, 1000, "up")]


@pytest.mark.parametrize(
    ("state", "end"),
    [("ready", SILENT), ("lost", "lost"), ("disconnected", "disconnected")],
)
def test_running_station_that_sends_nothing_is_silent_now(state: str, end: str) -> None:
    heard_ms = END_MS - SILENT_MS - 1
    found = segments(changes((0, state)), 0, END_MS, heard_ms)
    assert found[-1].state == end
    if end == SILENT:
        assert found[-1].from_ms == heard_ms


def test_camera_is_where_its_station_was_away_what_the_station_was() -> None:
    camera = segments(changes((0, "up"), (700, "lost")), 0, 1000)
    station = segments(changes((0, "ready"), (200, "lost"), (300, "ready")), 0, 1000)
    assert shown(under_station(camera, station)) == [
        (0, 200, "up"),
        (200, 300, "lost"),
        (300, 700, "up"),
        (700, 1000, "lost"),
    ]


def test_degraded_station_does_not_hide_its_cameras() -> None:
    camera = segments(changes((0, "up")), 0, 1000)
    station = segments(changes((0, "degraded")), 0, 1000)
    assert shown(under_station(camera, station)) == [(0, 1000, "up")]


def test_long_bar_keeps_the_worst_of_each_place() -> None:
    pairs = [(ms, "up" if ms % 2 else "degraded") for ms in range(5000)]
    pairs[2500] = (2500, "lost")
    found = coarse(segments(changes(*pairs), 0, 5000), places=50)
    assert len(found) <= 50
    assert (found[0].from_ms, found[-1].to_ms) == (0, 5000)
    assert [each.state for each in found].count("lost") == 1
    assert {each.state for each in found} == {"degraded", "lost"}


def test_availability_is_of_the_known_time_only() -> None:
    found = segments(changes((500, "up"), (800, "lost"), (900, SILENT)), 0, 1000)
    assert availability(found) == pytest.approx(300 / 400)
    assert availability(segments([], 0, 1000)) is None
    assert lengths(found) == {UNKNOWN: 500, "up": 300, "lost": 100, SILENT: 100}


def test_downtimes_are_the_times_without_inspection() -> None:
    found = segments(
        changes((0, "up"), (100, "lost"), (200, "degraded"), (300, SILENT)), 0, 400
    )
    assert shown(downtimes(found)) == [(100, 200, "lost"), (300, 400, SILENT)]
