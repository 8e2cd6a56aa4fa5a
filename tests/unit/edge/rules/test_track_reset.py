"""A defect after an outage is another one; a busy machine is no outage."""

import pytest

from edge.rules.track_reset import TrackReset

MS = 1_000_000
MISSED = 15


def breaks(captures_ms: list[float], restarts: list[int] | None = None) -> list[bool]:
    """Return which of these captures break with what was before."""
    continuity = TrackReset()
    return [
        continuity.is_broken_by(round((ms + 1) * MS), restarts=again, max_missed=MISSED)
        for ms, again in zip(
            captures_ms, restarts or [0] * len(captures_ms), strict=True
        )
    ]


def test_steady_camera_never_breaks() -> None:
    assert not any(breaks([40 * n for n in range(500)]))


@pytest.mark.parametrize("gap_ms", [1500, 60_000, 3_600_000])
def test_outage_breaks_once(gap_ms: float) -> None:
    before = [40.0 * n for n in range(50)]
    after = [before[-1] + gap_ms + 40 * n for n in range(50)]
    assert breaks(before + after) == [False] * 50 + [True] + [False] * 49


def test_some_dropped_frames_break_nothing() -> None:
    before = [40.0 * n for n in range(50)]
    assert not any(breaks([*before, before[-1] + 800, before[-1] + 840]))


def test_process_that_was_started_anew_breaks_at_once() -> None:
    assert breaks([0, 40, 80, 120], [0, 0, 1, 1]) == [False, False, True, False]


def test_camera_that_becomes_slow_is_learnt() -> None:
    before = [40.0 * n for n in range(50)]
    slow = [before[-1] + 3000 * n for n in range(1, 20)]
    assert sum(breaks(before + slow)) <= 2
    assert not any(breaks(before + slow)[-15:])


def test_slow_camera_breaks_at_most_once_at_its_beginning() -> None:
    assert sum(breaks([3000.0 * n for n in range(20)])) <= 1


def test_frames_of_another_size_break_it() -> None:
    continuity = TrackReset()
    sizes = ((480, 640), (480, 640), (720, 640), (720, 640))
    broken = [
        continuity.is_broken_by(
            (n + 1) * 40 * MS, restarts=0, max_missed=MISSED, size_px=size
        )
        for n, size in enumerate(sizes)
    ]
    assert broken == [False, False, True, False]
