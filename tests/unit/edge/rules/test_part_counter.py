"""Parts that pass in free run are counted once, and each gets one verdict."""

from collections.abc import Iterator

import numpy as np
import pytest

from edge.frame import Stamp
from edge.rules.part_counter import (
    DEFECT_DELAY_FRAMES,
    RECENT_PARTS,
    Belt,
    CountedPart,
    PartCounter,
)
from models.messages import VerdictKind
from models.preprocess import Frame
from trainer.data.synthetic.line import PartLine, make_station

HEIGHT_PX, WIDTH_PX = 120, 160
BELT, PART = 50, 140
WHOLE = (0.0, 0.0, 1.0, 1.0)


def frame(left_px: int | None = None, belt: int = BELT, side_px: int = 60) -> Frame:
    """Return the belt, with a part whose left edge is somewhere."""
    pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), belt, np.uint8)
    if left_px is not None:
        columns = slice(max(0, left_px), max(0, left_px + side_px))
        pixels[30 : 30 + side_px, columns] = belt + PART - BELT
    return pixels


def counter(frames_min: int = 2, window: tuple[float, ...] = WHOLE) -> PartCounter:
    x1, y1, x2, y2 = window
    return PartCounter(
        Belt(frame(), (x1, y1, x2, y2), 30),
        "run",
        enter_share=0.05,
        leave_share=0.02,
        frames_min=frames_min,
    )


def passage(step_px: int = 20) -> list[Frame]:
    """Return the frames of one part, from an empty belt to an empty belt."""
    places = range(-60, WIDTH_PX + 1, step_px)
    return [frame(), *map(frame, places), *[frame()] * (DEFECT_DELAY_FRAMES + 1)]


def update(rule: PartCounter, frames: list[Frame], first: int = 0) -> list[CountedPart]:
    """Return the parts that are over."""
    answers = (rule.update(f, Stamp(n, n, n)) for n, f in enumerate(frames, first))
    return [answer for answer in answers if answer]


def test_part_that_passes_is_counted_once_and_is_ok() -> None:
    rule = counter()
    (part,) = update(rule, passage())
    assert (part.part_id, part.verdict, part.reason) == ("run-1", VerdictKind.OK, "")
    assert rule.count == 1
    assert rule.part_id is None


def test_verdict_names_the_last_frame_that_shows_the_part() -> None:
    rule = counter()
    frames = [frame(), frame(40), frame(60), frame(), frame(), frame(), frame()]
    (part,) = update(rule, frames)
    assert part.stamp.frame_id == 2


def test_every_part_has_its_own_name() -> None:
    parts = update(counter(), passage() * 5)
    assert [part.part_id for part in parts] == [f"run-{n}" for n in range(1, 6)]


def test_defect_of_the_part_in_view_makes_its_verdict_and_no_other() -> None:
    rule, verdicts = counter(), []
    for number in range(3):
        half = passage()[: len(passage()) // 2]
        verdicts += update(rule, half)
        if number == 1:
            rule.add_defect()
        verdicts += update(rule, passage()[len(half) :])
    kinds = [part.verdict.value for part in verdicts]
    assert kinds == ["ok", "defect", "ok"]


def test_defect_that_is_confirmed_just_after_the_part_has_left_is_still_its_own() -> (
    None
):
    rule = counter()
    gone = [frame()] * DEFECT_DELAY_FRAMES
    assert not update(rule, [frame(), frame(40), frame(60), *gone])
    assert rule.part_id == "run-1"
    rule.add_defect()
    (part,) = update(rule, [frame()])
    assert part.verdict is VerdictKind.DEFECT


def test_defect_on_the_empty_belt_belongs_to_no_part() -> None:
    rule = counter()
    update(rule, [frame()] * 3)
    rule.add_defect()
    (part,) = update(rule, passage())
    assert part.verdict is VerdictKind.OK


def test_part_that_trembles_at_the_edge_of_the_window_is_one() -> None:
    rule = counter(window=(0, 0, 0.5, 1))
    edge = [frame(left) for left in (76, 70, 76, 70, 76, 60, 76, 30)]
    parts = update(rule, [frame(), *edge, *passage()[-DEFECT_DELAY_FRAMES - 1 :]])
    assert len(parts) == 1


def test_next_part_right_after_one_gap_frame_is_another() -> None:
    rule = counter()
    frames = [frame(40), frame(90), frame(), frame(20), frame(60)]
    parts = update(rule, [frame(), *frames, *[frame()] * 4])
    assert [part.part_id for part in parts] == ["run-1", "run-2"]


def test_part_seen_too_rarely_is_not_inspected_with_a_reason() -> None:
    rule = counter(frames_min=3)
    (part,) = update(rule, [frame(), frame(40), frame(70), *[frame()] * 4])
    assert part.verdict is VerdictKind.NOT_INSPECTED
    assert part.reason == "inspected in 2 frames, a defect needs 3"


@pytest.mark.parametrize(
    ("is_found", "verdict"),
    [(False, VerdictKind.NOT_INSPECTED), (True, VerdictKind.DEFECT)],
)
def test_part_that_was_out_of_sight_is_never_ok(
    is_found: bool, verdict: VerdictKind
) -> None:
    rule = counter()
    update(rule, [frame(), frame(20), frame(40)])
    rule.mark_gap()
    if is_found:
        rule.add_defect()
    (part,) = update(rule, [frame(60), frame(80), *[frame()] * 4])
    assert part.verdict is verdict


def test_part_in_view_at_the_end_is_not_inspected_and_one_that_left_is_ok() -> None:
    rule = counter()
    assert rule.finish() is None
    update(rule, [frame(), frame(20), frame(40)])
    part = rule.finish()
    assert part is not None
    assert part.verdict is VerdictKind.NOT_INSPECTED
    update(rule, [frame(), frame(20), frame(40), frame()])
    part = rule.finish()
    assert part is not None
    assert part.verdict is VerdictKind.OK
    assert rule.finish() is None


def test_light_that_fades_slowly_is_no_part() -> None:
    rule = counter()
    levels = np.linspace(BELT, BELT + 60, 600).round().astype(int)
    assert not update(rule, [frame(belt=int(level)) for level in levels])
    assert rule.count == 0
    assert len(update(rule, [frame(40, belt=110)] * 3 + [frame(belt=110)] * 4)) == 1


def test_what_hides_little_of_the_belt_is_not_learned_as_belt() -> None:
    rule = counter()
    crumb = frame(40, side_px=12)  # less than enter_share
    assert not update(rule, [crumb] * 200)
    assert update(rule, passage())
    assert rule._belt.foreground_share(crumb) > 0  # noqa: SLF001 (a crumb is still seen)


def test_resolution_may_change_while_a_part_passes() -> None:
    rule = counter()
    large = [f.repeat(2, axis=0).repeat(2, axis=1) for f in passage()]
    small = passage()
    (part,) = update(rule, small[:5] + large[5:])
    assert part.verdict is VerdictKind.OK


def frames_of(line: PartLine, seed: int, size_px: int) -> Iterator[tuple[Frame, bool]]:
    """Return the frames of a line, and whether a part is over with each."""
    station = make_station(seed, size_px)
    for pixels, passed in line.render(station):
        yield pixels, passed is not None


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("dropped", [0, 0.2])
def test_parts_of_a_drawn_line_are_counted_exactly(seed: int, dropped: float) -> None:
    size_px, parts = 256, 15
    rng = np.random.default_rng(seed)
    line = PartLine(seed, parts, size_px)
    rule, over, passed = None, 0, 0
    for number, (pixels, is_over) in enumerate(frames_of(line, seed, size_px)):
        rule = rule or PartCounter(
            Belt(pixels, (0.1, 0, 0.9, 1), 30),
            "run",
            enter_share=0.05,
            leave_share=0.02,
            frames_min=3,
        )
        if rng.random() >= dropped:
            over += rule.update(pixels, Stamp(number, number, number)) is not None
        passed += is_over
        assert 0 <= passed - over <= 1  # never ahead, never more than one behind
    assert rule is not None
    over += rule.finish() is not None
    assert (rule.count, over) == (parts, parts)


def test_frames_of_the_last_parts_are_kept() -> None:
    rule = counter()
    update(rule, passage() + passage(step_px=40))
    first, second = rule.frames_of_parts
    assert first > second > 2
    for _ in range(9):
        update(rule, passage(step_px=40))
    assert rule.frames_of_parts == (second,) * RECENT_PARTS


def test_part_that_was_not_seen_until_it_had_left_has_no_frames() -> None:
    rule = counter()
    update(rule, passage()[:4])
    rule.finish()
    assert rule.frames_of_parts == ()


@pytest.mark.parametrize(("difference", "can"), [(30, True), (204, True), (206, False)])
def test_difference_is_compared_with_the_empty_belt(
    difference: float, can: bool
) -> None:
    belt = Belt(frame(), WHOLE, difference)  # grey level 50: white differs by 205
    rule = PartCounter(belt, "run", enter_share=0.05, leave_share=0.02, frames_min=1)
    assert rule.can_count is can
