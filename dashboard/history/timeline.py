"""States over a span of time: what was in force when, and for how long. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dashboard.history.state_log import SILENT, SILENT_MS, StateChange
from models.messages import CameraState, DaemonState

UNKNOWN = "unknown"  # before the first message
RUNNING = (DaemonState.READY.value, CameraState.UP.value)
# What a station does to all of its cameras.
STATION_STATES = (
    UNKNOWN,
    SILENT,
    DaemonState.LOST.value,
    DaemonState.DISCONNECTED.value,
    DaemonState.INIT.value,
)
# The worst is shown where several fall on one place of a bar.
SEVERITY = (
    *(DaemonState.LOST.value, DaemonState.DISCONNECTED.value, SILENT),
    *(DaemonState.DEGRADED.value, CameraState.ENDED.value, DaemonState.INIT.value),
)
PLACES = 480  # of a bar; shorter segments are joined


@dataclass(frozen=True, slots=True)
class Segment:
    """A state and how long it lasted.

    Attributes:
        from_ms: Wall clock of the collector, UTC, as is ``to_ms``.
        state: As in ``StateChange``, or ``unknown``.
    """

    from_ms: int
    to_ms: int
    state: str
    reason: str = ""

    @property
    def length_ms(self) -> int:
        """How long it lasted."""
        return self.to_ms - self.from_ms


def segments(
    changes: Sequence[StateChange],
    from_ms: int,
    to_ms: int,
    heard_ms: int | None = None,
) -> list[Segment]:
    """Return the states of a span without gaps, the first one ``unknown`` if need be.

    Args:
        changes: Oldest first; the first may be before the span.
        heard_ms: When the last message came: later, a running station is silent.
            None: not known.
    """
    known = [StateChange(min(from_ms, to_ms), UNKNOWN), *changes]
    is_away = known[-1].state in {SILENT, *STATION_STATES}
    if heard_ms and not is_away and to_ms - heard_ms > SILENT_MS:
        known.append(StateChange(max(heard_ms, known[-1].at_ms), SILENT))
    ends = [*known[1:], StateChange(to_ms, UNKNOWN)]
    found = [
        Segment(max(one.at_ms, from_ms), min(other.at_ms, to_ms), one.state, one.reason)
        for one, other in zip(known, ends, strict=True)
    ]
    return _joined(each for each in found if each.length_ms > 0)


def under_station(
    camera: Sequence[Segment], station: Sequence[Segment]
) -> list[Segment]:
    """Return a camera's states, replaced where its station was away.

    Args:
        camera: Covers the same span as ``station``.
    """
    edges = sorted({ms for s in (*camera, *station) for ms in (s.from_ms, s.to_ms)})
    found: list[Segment] = []
    of_camera, of_station = iter(camera), iter(station)
    mine, theirs = next(of_camera, None), next(of_station, None)
    for from_ms, to_ms in pairwise(edges):
        while mine is not None and mine.to_ms <= from_ms:
            mine = next(of_camera, None)
        while theirs is not None and theirs.to_ms <= from_ms:
            theirs = next(of_station, None)
        shown = mine
        if theirs is not None and theirs.state in STATION_STATES:
            is_known = theirs.state != UNKNOWN
            shown = theirs if is_known or mine is None else mine
        if shown is not None:
            found.append(replace(shown, from_ms=from_ms, to_ms=to_ms))
    return _joined(found)


def coarse(found: Sequence[Segment], places: int = PLACES) -> list[Segment]:
    """Return at most so many segments: the worst of those that are too short."""
    if len(found) <= places:
        return list(found)
    from_ms, to_ms = found[0].from_ms, found[-1].to_ms
    step_ms = max(1, (to_ms - from_ms) // places)
    slots: dict[int, Segment] = {}
    for each in found:
        for place in range(
            (each.from_ms - from_ms) // step_ms,
            (each.to_ms - 1 - from_ms) // step_ms + 1,
        ):
            worst = slots.get(place)
            if worst is None or _rank(each) < _rank(worst):
                slots[place] = each
    joined = [
        Segment(
            from_ms + place * step_ms,
            min(from_ms + (place + 1) * step_ms, to_ms),
            each.state,
            each.reason,
        )
        for place, each in sorted(slots.items())
    ]
    return _joined(joined)


def lengths(found: Iterable[Segment]) -> dict[str, int]:
    """Return how long each state lasted altogether, in milliseconds."""
    total: dict[str, int] = {}
    for each in found:
        total[each.state] = total.get(each.state, 0) + each.length_ms
    return total


def availability(found: Iterable[Segment]) -> float | None:
    """Return the share of the known time in which frames were inspected, 0..1.

    Returns:
        None where nothing is known. Silence and an ended source do not count.
    """
    total = lengths(found)
    running = sum(total.get(state, 0) for state in RUNNING)
    running += total.get(DaemonState.DEGRADED.value, 0)
    left_out = (UNKNOWN, SILENT, CameraState.ENDED.value)
    known = sum(ms for state, ms in total.items() if state not in left_out)
    return running / known if known else None


def downtimes(found: Iterable[Segment]) -> list[Segment]:
    """Return the times in which no frame was inspected, or nothing is known of it."""
    fine = (*RUNNING, DaemonState.DEGRADED.value, UNKNOWN, CameraState.ENDED.value)
    return [each for each in found if each.state not in fine]


def _rank(segment: Segment) -> int:
    is_bad = segment.state in SEVERITY
    return SEVERITY.index(segment.state) if is_bad else len(SEVERITY)


def _joined(found: Iterable[Segment]) -> list[Segment]:
    """Return segments, neighbours of one state and reason made one."""
    result: list[Segment] = []
    for each in found:
        last = result[-1] if result else None
        if last and (last.state, last.reason) == (each.state, each.reason):
            result[-1] = replace(last, to_ms=each.to_ms)
        else:
            result.append(each)
    return result
