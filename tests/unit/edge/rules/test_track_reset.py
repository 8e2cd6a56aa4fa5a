"""A defect after an outage is another one; a busy machine is no outage."""

import pytest

from edge.rules.track_reset import TrackReset

MS = 1_000_000
MISSED = 15


def resets(captures_ms: list[float], restarts: list[int] | None = None) -> list[bool]:
    """Return which of these captures reset the tracks."""
    track_reset = TrackReset()
    return [
        track_reset.update(round((ms + 1) * MS), restarts=again, max_missed=MISSED)
        for ms, again in zip(
            captures_ms, restarts or [0] * len(captures_ms), strict=True
        )
    ]


def test_steady_camera_never_resets() -> None:
    assert not any(resets([40 * n for n in range(500)]))


def test_slow_camera_is_no_outage_where_no_frame_may_be_missed() -> None:
    track_reset = TrackReset()
    found = [
        track_reset.update(2_000 * n * MS, restarts=0, max_missed=0)
        for n in range(1, 50)
    ]
    assert not any(found[2:])  # the period is known after two frames


@pytest.mark.parametrize("gap_ms", [1500, 60_000, 3_600_000])
def test_outage_resets_once(gap_ms: float) -> None:
    before = [40.0 * n for n in range(50)]
    after = [before[-1] + gap_ms + 40 * n for n in range(50)]
    assert resets(before + after) == [False] * 50 + [True] + [False] * 49


def test_some_dropped_frames_reset_nothing() -> None:
    before = [40.0 * n for n in range(50)]
    assert not any(resets([*before, before[-1] + 800, before[-1] + 840]))


def test_restarted_process_resets_at_once() -> None:
    assert resets([0, 40, 80, 120], [0, 0, 1, 1]) == [False, False, True, False]


def test_camera_that_becomes_slow_is_learned() -> None:
    before = [40.0 * n for n in range(50)]
    slow = [before[-1] + 3000 * n for n in range(1, 20)]
    assert sum(resets(before + slow)) <= 2
    assert not any(resets(before + slow)[-15:])


def test_slow_camera_resets_at_most_once_at_its_start() -> None:
    assert sum(resets([3000.0 * n for n in range(20)])) <= 1


def test_frames_of_another_size_reset_it() -> None:
    track_reset = TrackReset()
    sizes = ((480, 640), (480, 640), (720, 640), (720, 640))
    reset = [
        track_reset.update(
            (n + 1) * 40 * MS, restarts=0, max_missed=MISSED, size_px=size
        )
        for n, size in enumerate(sizes)
    ]
    assert reset == [False, False, True, False]
