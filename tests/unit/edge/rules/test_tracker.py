"""One defect is one alert, however it moves, flickers or is called."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.rules.tracker import Tracker
from models.detections import Detections, no_detections
from tests.examples import example_count

WIDTH_PX, HEIGHT_PX = 1280, 720


def tracker_of(k: int, n: int, max_missed: int = 15) -> Tracker:
    return Tracker(k, n, iou_threshold=0.2, max_missed=max_missed)


@dataclass(frozen=True)
class Defect:
    """A defect on a part: where on it, how large, and in which frames it is seen."""

    x_px: float
    y_px: float
    side_px: float = 20
    label: int = 0
    hidden: frozenset[int] = frozenset()


@dataclass
class Conveyor:
    """Parts that travel from left to right; what a camera above it sees."""

    step_px: float
    parts: list[tuple[int, list[Defect]]]  # frame of entry, defects
    jitter_px: float = 0
    flips: bool = False
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def frame(self, number: int) -> tuple[Detections, list[tuple[int, int]]]:
        """Return the detections of a frame, and which defects they are."""
        boxes, labels, who = [], [], []
        for part, (entry, defects) in enumerate(self.parts):
            for place, defect in enumerate(defects):
                x = defect.x_px + (number - entry) * self.step_px
                x, y = np.array([x, defect.y_px]) + self.rng.uniform(-1, 1, 2) * (
                    self.jitter_px
                )
                half = defect.side_px / 2
                x1, x2 = np.clip([x - half, x + half], 0, WIDTH_PX)
                if number - entry in defect.hidden or number < entry or x2 - x1 < 3:
                    continue
                boxes.append([x1, y - half, x2, y + half])
                labels.append((defect.label + self.flips * number) % 3)
                who.append((part, place))
        if not boxes:
            return no_detections(), []
        scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
        found = Detections(np.array(boxes, np.float32), scores, np.array(labels))
        return found, who


def alerts(
    line: Conveyor,
    frames: int,
    *,
    k: int = 2,
    n: int = 4,
    dropped: tuple[int, ...] = (),
) -> dict[tuple[int, int], int]:
    """Return how often each defect of a line was reported."""
    tracker = tracker_of(k, n)
    counts = {(p, d): 0 for p, (_, ds) in enumerate(line.parts) for d in range(len(ds))}
    for number in range(frames):
        found, who = line.frame(number)
        if number in dropped:
            continue
        for box in tracker.update(found, number, frame_width_px=WIDTH_PX).boxes:
            place = int(np.abs(found.boxes - box).sum(axis=1).argmin())
            counts[who[place]] += 1
    return counts


def one(x: float, y: float, side: float = 12, label: int = 0) -> Detections:
    """Return one detection."""
    box = [[x - side / 2, y - side / 2, x + side / 2, y + side / 2]]
    return Detections(
        np.array(box, np.float32), np.array([0.9], np.float32), np.array([label])
    )


@pytest.mark.parametrize("step_px", [0, 1, 8, 20, 40, 60, 100, 150])
def test_moving_defect_gives_one_alert_at_any_speed(step_px: float) -> None:
    line = Conveyor(step_px, [(0, [Defect(20, 300, 6)])])
    assert alerts(line, 60) == {(0, 0): 1}


def test_alert_is_raised_at_the_kth_sighting() -> None:
    tracker = tracker_of(3, 5)
    reports = [len(tracker.update(one(100 + 40 * i, 50), i)) for i in range(6)]
    assert reports == [0, 0, 1, 0, 0, 0]


def test_k_of_one_reports_at_once_and_only_once() -> None:
    tracker = tracker_of(1, 1)
    reports = [len(tracker.update(one(100 + 40 * i, 50), i)) for i in range(6)]
    assert reports == [1, 0, 0, 0, 0, 0]


def test_fewer_sightings_than_k_in_n_frames_give_no_alert() -> None:
    tracker = tracker_of(3, 4)
    reports = [
        len(tracker.update(one(300, 50) if i % 2 == 0 else no_detections(), i))
        for i in range(20)
    ]
    assert sum(reports) == 0


def test_flickering_defect_over_sixty_frames_gives_exactly_one_alert() -> None:
    hidden = frozenset(i for i in range(60) if i % 3 == 1 or i in {20, 21, 22, 23})
    line = Conveyor(18, [(0, [Defect(30, 200, 10, hidden=hidden)])], jitter_px=1)
    assert alerts(line, 60) == {(0, 0): 1}


@pytest.mark.parametrize("seed", range(6))
def test_defect_with_flicker_jitter_and_changing_label_gives_exactly_one_alert(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    hidden = frozenset(int(i) for i in range(60) if rng.random() < 0.4)
    line = Conveyor(18, [(0, [Defect(30, 200, 16, hidden=hidden)])], 2, True, rng)
    assert alerts(line, 60) == {(0, 0): 1}


def test_two_defects_that_cross_give_two_alerts() -> None:
    # Flies on a belt that stands still: as near as 6 px, without ever overlapping.
    tracker = tracker_of(3, 5)
    reported: list[int] = []
    for number in range(40):
        along = 30.0 * number
        pair = [one(60 + along, 100, label=0), one(1230 - along, 118, label=1)]
        found = Detections(
            np.concatenate([each.boxes for each in pair]),
            np.array([0.9, 0.8], np.float32),
            np.array([0, 1]),
        )
        seen = tracker.update(found, number, frame_width_px=WIDTH_PX)
        reported += seen.labels.tolist()
    assert sorted(reported) == [0, 1]


def test_k_of_n_counts_inspected_frames_and_not_those_that_were_dropped() -> None:
    # Every third frame is inspected: three sightings lie within five inspected frames.
    tracker = tracker_of(3, 5)
    reports = [
        len(tracker.update(one(100 + 12 * i, 50), i, frame_width_px=WIDTH_PX))
        for i in range(0, 60, 3)
    ]
    assert reports == [0, 0, 1] + [0] * 17


def test_defects_of_real_lines_with_noise_give_one_alert_each() -> None:
    # As `graftline synth` draws them: parts of 245 px follow each other closely.
    rng = np.random.default_rng(3)
    parts = []
    for number in range(12):
        sides = rng.integers(8, 40, 2)
        places = rng.uniform([-200, 90], [-20, 230], (2, 2))
        if np.abs(places[0] - places[1]).max() < 45:
            places[1] = places[0] + [60, 0]
        hidden = [frozenset(rng.choice(30, 4).tolist()) for _ in sides]
        defects = [
            Defect(float(x), float(y), float(side), int(rng.integers(3)), unseen)
            for (x, y), side, unseen in zip(places, sides, hidden, strict=True)
        ]
        parts.append((17 * number, defects))
    line = Conveyor(60, parts, jitter_px=1.5, rng=rng)
    counts = alerts(line, 17 * 13 + 20, k=2, n=5, dropped=tuple(range(7, 240, 6)))
    assert counts == dict.fromkeys(counts, 1)


def test_label_that_flips_between_frames_gives_one_alert() -> None:
    line = Conveyor(35, [(0, [Defect(30, 200, 14)])], flips=True)
    assert alerts(line, 40) == {(0, 0): 1}


def test_two_labels_for_one_defect_in_one_frame_give_one_alert() -> None:
    tracker = tracker_of(2, 3)
    count = 0
    for i in range(10):
        x = 100 + 30 * i
        boxes = np.array(
            [[x, 50, x + 20, 70], [x + 1, 51, x + 20, 71]], dtype=np.float32
        )
        found = Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]))
        count += len(tracker.update(found, i))
    assert count == 1


def test_scratch_boxed_whole_and_by_its_ends_gives_one_alert() -> None:
    whole, front, rear = (0, 38), (0, 20), (14, 38)  # px along the scratch
    patterns = [(front,), (whole, rear), (front, rear), (rear,), (front, whole)]
    tracker = tracker_of(3, 5)
    counts = []
    for frame in range(10):
        pieces = patterns[frame % len(patterns)]
        x = 35.0 * frame
        boxes = [[x + start, 100, x + end, 112] for start, end in pieces]
        scores = np.linspace(0.7, 0.5, len(boxes), dtype=np.float32)
        labels = np.zeros(len(boxes), np.int64)
        seen = Detections(np.array(boxes, np.float32), scores, labels)
        counts.append(len(tracker.update(seen, frame, frame_width_px=400)))
    assert sum(counts) == 1


def test_chip_boxed_by_either_end_gives_one_alert() -> None:
    # As measured: reported by its lower end, then its upper end is boxed for once.
    belt = [one(x, 60, 16) for x in range(10, 320, 35)] + [no_detections()] * 18
    low, high, middle = 122.0, 106.5, 117.0  # px: the middle of what is boxed
    ends = [low, low - 1, low - 1.5, high, 126.5, 121.5, middle]
    chip = [one(37.5 + 35 * i, y, 17) for i, y in enumerate(ends)]
    tracker = tracker_of(3, 5)
    reported = [
        len(tracker.update(found, number, frame_width_px=320))
        for number, found in enumerate(belt * 3 + chip)
    ]
    assert sum(reported[len(belt) * 3 :]) == 1


def test_two_defects_on_one_part_give_two_alerts() -> None:
    line = Conveyor(45, [(0, [Defect(20, 200, 12), Defect(80, 230, 12)])])
    assert alerts(line, 40) == {(0, 0): 1, (0, 1): 1}


def test_neighbours_closer_than_one_step_are_not_mixed_up() -> None:
    defects = [Defect(40 + 45 * i, 300, 10) for i in range(4)]
    line = Conveyor(60, [(0, defects)])
    assert set(alerts(line, 30).values()) == {1}


def test_defect_at_the_same_place_of_the_next_part_gives_its_own_alert() -> None:
    parts = [(12 * i, [Defect(20, 300, 14)]) for i in range(6)]
    line = Conveyor(50, parts, jitter_px=1)
    assert set(alerts(line, 100).values()) == {1}


def test_next_part_at_the_same_place_after_a_pause_gives_its_own_alert() -> None:
    tracker = tracker_of(2, 3, max_missed=5)
    seen = [one(300, 200)] * 8 + [no_detections()] * 6 + [one(300, 200)] * 8
    assert sum(len(tracker.update(each, i)) for i, each in enumerate(seen)) == 2


def test_dropped_frames_do_not_break_a_track() -> None:
    line = Conveyor(40, [(0, [Defect(20, 300, 8), Defect(90, 340, 8)])])
    dropped = (3, 5, 6, 9, 10, 11, 15)
    assert alerts(line, 40, dropped=dropped) == {(0, 0): 1, (0, 1): 1}


def test_large_gap_right_after_the_first_sighting_gives_one_alert() -> None:
    line = Conveyor(40, [(0, [Defect(20, 300, 8)])])
    assert alerts(line, 30, dropped=(1, 2)) == {(0, 0): 1}


def test_conveyor_that_stops_and_starts_gives_one_alert() -> None:
    tracker = tracker_of(2, 4)
    x, count = 50.0, 0
    speeds = [40] * 6 + [20] + [0] * 10 + [15, 30] + [40] * 8
    for i, speed in enumerate(speeds):
        count += len(tracker.update(one(x, 100, 14), i, frame_width_px=WIDTH_PX))
        x += speed
    assert count == 1


def test_conveyor_that_runs_faster_later_still_gives_every_alert() -> None:
    tracker = tracker_of(2, 4)
    count, number = 0, 0
    for step in (12, 12, 12, 60, 60, 60, 130, 130):
        for x in range(20, WIDTH_PX - 10, step):
            found = one(x, 100, 14)
            count += len(tracker.update(found, number, frame_width_px=WIDTH_PX))
            number += 1
        for _ in range(20):
            tracker.update(no_detections(), number)
            number += 1
    assert count == 8


def test_defect_cut_by_both_edges_of_the_frame_gives_one_alert() -> None:
    line = Conveyor(25, [(0, [Defect(-30, 300, 80)])])
    assert alerts(line, 70) == {(0, 0): 1}


def test_other_direction_is_followed_too() -> None:
    line = Conveyor(-45, [(0, [Defect(WIDTH_PX - 20, 300, 10)])])
    assert alerts(line, 40) == {(0, 0): 1}


def belt_in_a_narrow_frame(nuisances: dict[int, tuple[float, float]]) -> int:
    """Return the alerts of one defect behind others, in a frame of 320 px.

    Args:
        nuisances: Frame to the place of something seen there for once.
    """
    width_px, step_px, nothing = 320, 35, no_detections()
    before = [one(x, 60, 16) for x in range(10, width_px, step_px)] + [nothing] * 18
    part = [one(x, 125, 17) for x in range(8, width_px, step_px)]
    frames = before * 3 + [nothing] * 4  # the motion of the belt is known, and trusted
    for number, place in nuisances.items():
        frames[len(before) * 3 + number] = one(*place, 17)
    tracker = tracker_of(3, 5)
    reported = [
        len(tracker.update(found, number, frame_width_px=width_px))
        for number, found in enumerate(frames + part)
    ]
    return sum(reported[len(before) * 3 :])


def test_nuisances_at_the_edge_do_not_bend_the_motion_of_the_belt() -> None:
    # As measured: a rib of a part, found once at three places of the left edge.
    assert belt_in_a_narrow_frame({0: (5, 249), 1: (5, 197), 2: (10, 180)}) == 1


def test_what_was_seen_far_away_is_not_followed_in_a_narrow_frame() -> None:
    tracker = tracker_of(2, 3)
    found = [one(100, y, 12) for y in (50, 100, 150)]  # 50 px = 16 % of the frame
    assert [
        len(tracker.update(one_, i, frame_width_px=320)) for i, one_ in enumerate(found)
    ] == [0, 0, 0]


def test_reported_detection_is_that_of_this_frame() -> None:
    tracker = tracker_of(2, 2)
    tracker.update(one(100, 50, label=1), 0)
    found = one(140, 50, label=2)
    reported = tracker.update(found, 1)
    assert np.array_equal(reported.boxes, found.boxes)
    assert reported.labels.tolist() == [2]


def test_frame_numbers_may_start_again() -> None:
    tracker = tracker_of(2, 3)
    counts = [len(tracker.update(one(200, 90), i)) for i in (50, 51, 0, 1, 2)]
    assert counts == [0, 1, 0, 0, 0]


def test_k_beyond_n_is_refused() -> None:
    with pytest.raises(ValueError, match=r"k = 4, n = 3"):
        tracker_of(4, 3)


@st.composite
def conveyors(draw: st.DrawFn) -> Conveyor:
    """Return lines whose parts are farther apart than a frame's step.

    A defect is seen in its first two frames: before any motion is known, one box at
    26 px beyond one defect and 24 px before another could be either.
    """
    step_px = draw(st.integers(15, 70))
    pitch_frames = draw(st.integers(max(4, 260 // step_px), 30))
    parts = []
    for number in range(draw(st.integers(1, 4))):
        places = draw(
            st.lists(
                st.tuples(st.integers(0, 3), st.integers(1, 9)),
                min_size=1,
                max_size=4,
                unique=True,
            )
        )
        defects = [
            Defect(
                20 + 50 * column,
                70 * row,
                draw(st.integers(6, 40)),
                draw(st.integers(0, 2)),
                frozenset(draw(st.sets(st.integers(2, 40), max_size=8))),
            )
            for column, row in places
        ]
        parts.append((number * pitch_frames, defects))
    jitter_px = draw(st.floats(0, 2))
    return Conveyor(step_px, parts, jitter_px, draw(st.booleans()))


@settings(
    max_examples=example_count(40),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # the machine may be busy
)
@given(conveyors())
def test_every_defect_that_is_seen_often_enough_gives_exactly_one_alert(
    line: Conveyor,
) -> None:
    frames = line.parts[-1][0] + round((WIDTH_PX + 200) / line.step_px)
    counts = alerts(line, frames, k=2, n=6)
    assert counts == dict.fromkeys(counts, 1)


def test_frames_to_cross_are_known_once_the_motion_is_certain() -> None:
    tracker = tracker_of(3, 5)
    line = Conveyor(step_px=20, parts=[(0, [Defect(0, 100), Defect(0, 300)])])
    assert tracker.frames_to_cross(WIDTH_PX, HEIGHT_PX) is None
    for number in range(12):
        tracker.update(line.frame(number)[0], number, frame_width_px=WIDTH_PX)
    assert tracker.frames_to_cross(WIDTH_PX, HEIGHT_PX) == pytest.approx(64, rel=0.05)
