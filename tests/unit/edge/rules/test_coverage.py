"""A rule that hides every known defect is found; a strict one is not."""

import math
from dataclasses import replace

import pytest

from edge.rules.coverage import (
    CameraRules,
    KnownDefects,
    inspected_sides,
    silent_confirmation,
    silent_parts,
    silent_rules,
)
from edge.rules.regions import Region, RegionKind

PHOTO_PX = (320, 320)
SCRATCH = KnownDefects(
    "scratch",
    0.5,
    count=40,
    smallest_share=0.02,
    largest_share=0.125,
    largest_px=40,
    photo_size_px=PHOTO_PX,
    centres=(0.2, 0.2, 0.8, 0.8),
    highest_score=0.92,
)
STAIN = replace(
    SCRATCH, label="stain", largest_share=0.25, largest_px=80, highest_score=0.7
)
KNOWN = (SCRATCH, STAIN)


def box(x1: float, y1: float, x2: float, y2: float) -> list[tuple[float, float]]:
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


WHOLE = box(0, 0, 1, 1)
HALF = box(0, 0, 0.5, 1)


def inspect(
    name: str, polygon: list[tuple[float, float]] = WHOLE, **rules: object
) -> Region:
    return Region.from_polygon(name, RegionKind.INSPECT, polygon, **rules)  # type: ignore[arg-type]


def mask(name: str, polygon: list[tuple[float, float]]) -> Region:
    return Region.from_polygon(name, RegionKind.MASK, polygon)


def texts(
    *regions: Region,
    known: tuple[KnownDefects, ...] = KNOWN,
    size_px: tuple[int, int] | None = PHOTO_PX,
    **rules: object,
) -> list[str]:
    camera = CameraRules("top", regions, **rules)  # type: ignore[arg-type]
    return [str(each) for each in silent_rules(camera, known, size_px)]


def test_camera_without_rules_has_no_silent_ones() -> None:
    assert texts() == texts(known=()) == texts(size_px=None) == []


def test_smallest_size_above_the_boxes_of_a_label_names_it() -> None:
    assert texts(inspect("body", min_size_px=60)) == [
        (
            "camera top: region body has min_size_px = 60, which hides every known "
            "scratch (at most 40 px)"
        )
    ]
    assert texts(inspect("body", min_size_px=100), size_px=None) == [
        (
            "camera top: region body has min_size_px = 100, which hides every known "
            "scratch (at most 40 px), stain (at most 80 px)"
        )
    ]


def test_smallest_size_above_the_frame_names_the_frame() -> None:
    assert texts(inspect("body", min_size_px=500), known=()) == [
        (
            "camera top: region body has min_size_px = 500, more than its frames: "
            "320 x 320 px"
        )
    ]


def test_smallest_size_is_compared_at_the_size_of_the_frames() -> None:
    body = inspect("body", min_size_px=60)
    assert texts(body, size_px=(640, 480)) == []
    assert texts(body, size_px=(160, 160))[0].endswith(
        "scratch (at most 20 px), stain (at most 40 px)"
    )
    assert texts(body, size_px=None, frame_size_px=(640, 480)) == []


@pytest.mark.parametrize("size_px", [0, 12, 40])
def test_strict_smallest_size_is_not_silent(size_px: float) -> None:
    assert texts(inspect("body", min_size_px=size_px)) == []


def test_golden_frames_are_a_sample_of_the_boxes() -> None:
    sample = (replace(SCRATCH, is_sample=True),)
    assert texts(inspect("body", min_size_px=59), known=sample) == []
    assert len(texts(inspect("body", min_size_px=61), known=sample)) == 1


def test_threshold_above_every_score_names_label_and_score() -> None:
    body = inspect("body", thresholds={"scratch": 0.91, "stain": 0.8})
    assert texts(body) == [
        (
            "camera top: region body has a threshold above every known score: 0.8 for "
            "stain (at most 0.70)"
        )
    ]


@pytest.mark.parametrize(
    "known",
    [
        (replace(STAIN, highest_score=None),),
        (replace(STAIN, highest_score=0.9),),
        (replace(STAIN, highest_score=0.4, score_threshold=0.8),),
        (replace(STAIN, count=1, is_sample=True),),
    ],
    ids=["no-score", "reached", "the-package-s-own", "one-detection"],
)
def test_threshold_is_not_silent(known: tuple[KnownDefects, ...]) -> None:
    assert texts(inspect("body", thresholds={"stain": 0.8}), known=known) == []


def test_threshold_of_one_is_silent_where_no_score_is_known() -> None:
    known = (replace(STAIN, highest_score=None),)
    (text,) = texts(inspect("body", thresholds={"stain": 1}), known=known)
    assert text.endswith("above every known score: 1 for stain (always below 1)")


def test_label_that_the_model_does_not_have_is_named() -> None:
    assert texts(inspect("rim", thresholds={"dent": 0.4})) == [
        "camera top: region rim has a threshold for 'dent', unknown to the model"
    ]
    assert texts(inspect("rim", thresholds={"dent": 0.4}), known=()) == []


def test_masks_that_leave_nothing_are_named_together() -> None:
    right = box(0.5, 0, 1, 1)
    assert texts(mask("a", HALF), mask("b", right), known=()) == [
        "camera top: masks a, b leave next to nothing of the frame to inspect"
    ]
    assert texts(mask("a", WHOLE)) == [
        "camera top: mask a leaves next to nothing of the frame to inspect"
    ]
    assert texts(mask("a", HALF)) == []


def test_region_that_is_covered_names_what_covers_it() -> None:
    corner = box(0.2, 0.2, 0.4, 0.4)
    assert texts(inspect("body"), inspect("face", corner), mask("hole", HALF)) == [
        "camera top: region face inspects nothing: hole, body cover it"
    ]
    assert texts(inspect("face", corner), inspect("body")) == []


@pytest.mark.parametrize(
    ("polygon", "is_silent"),
    [
        (box(0.5, 0.5, 0.51, 0.51), True),
        (box(0.5, 0.5, 0.53, 0.53), False),  # 10 px of 320
        ([(0.2, 0.2), (0.201, 0.2), (0.8, 0.8), (0.799, 0.8)], False),  # a weld seam
    ],
    ids=["next-to-nothing", "small", "thin"],
)
def test_region_inspects_next_to_nothing(
    polygon: list[tuple[float, float]], is_silent: bool
) -> None:
    found = texts(inspect("dot", polygon))
    assert bool(found) is is_silent
    if found:
        assert found == [
            (
                "camera top: region dot inspects only 0.01 % of the frame: next to no "
                "defect has its centre there"
            )
        ]


def test_frame_without_its_middle_is_silent_where_no_defect_lies() -> None:
    middle = mask("hole", box(0.01, 0.01, 0.99, 0.99))
    (text,) = texts(inspect("all"), middle)
    assert "% of the frame, and no labelled defect lies there" in text
    few = tuple(replace(each, count=5) for each in KNOWN)
    assert texts(inspect("all"), middle, known=few) == []


EDGE = box(0.81, 0, 1, 1)  # no labelled defect lies there


def test_large_region_may_wait_for_defects_in_a_new_place() -> None:
    assert texts(inspect("edge", EDGE), inspect("rest")) == []


def test_regions_that_leave_out_every_labelled_defect_are_named() -> None:
    assert texts(inspect("edge", EDGE)) == [
        "camera top: region edge leaves out every place where a defect was labelled"
    ]
    part = mask("part", box(0.15, 0.15, 0.85, 0.85))
    assert texts(part, inspect("edge", EDGE)) == [
        (
            "camera top: regions part, edge leave out every place where a defect was "
            "labelled"
        )
    ]
    assert len(texts(part)) == 1


def test_places_in_golden_frames_are_too_few() -> None:
    sample = tuple(replace(each, is_sample=True) for each in KNOWN)
    assert texts(inspect("edge", EDGE), known=sample) == []


@pytest.mark.parametrize("size_px", [None, (640, 480)], ids=["unknown", "another"])
def test_places_in_photos_of_another_camera_are_not_compared(
    size_px: tuple[int, int] | None,
) -> None:
    assert texts(inspect("edge", EDGE), size_px=size_px) == []
    assert texts(mask("part", box(0.1, 0.1, 0.9, 0.9)), size_px=size_px) == []


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (
            {"cool_down_s": 60_000},
            (
                "cool_down_s = 60000 holds back all defects of one kind for 16.7 hours "
                "after an alert"
            ),
        ),
        (
            {"k": 3, "fps": 0.001},
            "k = 3 cannot be reached: at fps = 0.001 it takes 2000 s",
        ),
        (
            {"streak_parts": 5},
            "streak.parts = 5 never raises an alarm: this camera has no parts",
        ),
        (
            {"streak_alerts": 5, "is_free_run": False},
            (
                "streak.alerts = 5 never raises an alarm: of this camera, parts are "
                "counted"
            ),
        ),
        (
            {"counts_parts": True, "can_count": False, "part_difference": 200},
            (
                "parts.difference = 200 hides every part: nothing differs so much from "
                "the empty belt"
            ),
        ),
    ],
    ids=["cool-down", "fps", "streak-parts", "streak-alerts", "difference"],
)
def test_setting_without_effect_is_named(rules: dict[str, object], text: str) -> None:
    assert texts(**rules) == [f"camera top: {text}"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "rules",
    [
        {"cool_down_s": 3600},
        {"k": 3, "fps": 0.01},
        {"k": 1, "fps": 0.001},
        {"cool_down_s": 60_000, "is_free_run": False},
        {"streak_parts": 5, "streak_alerts": 20},
        {"streak_parts": 5, "streak_alerts": 20, "is_free_run": False},
        {"streak_parts": 5, "counts_parts": True},
        {"counts_parts": True},
    ],
)
def test_setting_with_an_effect_is_not_named(rules: dict[str, object]) -> None:
    assert texts(**rules) == []  # type: ignore[arg-type]


def confirmation(
    k: int,
    *,
    frames: tuple[int, ...] = (),
    crossing: float | None = None,
    step_share: float | None = None,
    has_confirmed: bool = False,
    **rules: object,
) -> list[str]:
    camera = CameraRules("top", k=k, **rules)  # type: ignore[arg-type]
    found = silent_confirmation(
        camera,
        KNOWN,
        PHOTO_PX,
        frames_of_parts=frames,
        frames_to_cross=crossing,
        step_share=step_share,
        has_confirmed=has_confirmed,
    )
    return [str(each) for each in found]


def test_parts_in_fewer_frames_than_k_are_named() -> None:
    assert confirmation(4, frames=(3, 2, 3)) == [
        (
            "camera top: k = 4 cannot be reached: each of the last 3 parts was "
            "inspected in at most 3 frames"
        )
    ]
    assert confirmation(4, frames=(3, 2)) == []  # too few parts
    assert confirmation(4, frames=(3, 2, 12)) == []
    assert confirmation(4, frames=(3, 2, 3), is_free_run=False) == []
    assert confirmation(1, frames=(1, 1, 1)) == []


def test_parts_that_move_too_far_from_frame_to_frame_are_named() -> None:
    (text,) = confirmation(2, frames=(3, 3, 3))
    assert "it moves 107 px per frame, too far to be followed" in text
    narrow = (0.3, 0.0, 0.5, 1.0)  # 64 px in 3 frames: a large defect overlaps itself
    assert confirmation(2, frames=(3, 3, 3), part_window=narrow) == []


@pytest.mark.parametrize("crossing", [None, 30.0, math.inf])
def test_k_is_compared_with_the_frames_that_cross(crossing: float | None) -> None:
    found = confirmation(50, crossing=crossing)
    assert bool(found) is (crossing == 30)
    if found:
        assert found[0].endswith("a defect crosses the frame in 30 frames")
    assert confirmation(31, crossing=crossing) == []


def test_defects_that_are_not_followed_are_named_with_their_step() -> None:
    assert confirmation(2, step_share=0.163) == [
        (
            "camera top: k = 2 cannot be reached: defects move 16% of the frame's "
            "width per frame, and are followed for 12%"
        )
    ]
    assert confirmation(1, step_share=0.163) == []


def test_defect_crosses_the_regions_and_not_the_masks() -> None:
    assert inspected_sides(CameraRules("top")) == (1, 1)
    regions = (inspect("a", box(0, 0, 0.1, 0.4)), inspect("b", box(0.3, 0, 0.5, 0.8)))
    hole = mask("hole", HALF)
    sides = inspected_sides(CameraRules("top", (*regions, hole)))
    assert sides == pytest.approx((0.3, 1))
    (text,) = confirmation(3, crossing=1.2, regions=regions)
    assert text.endswith("a defect crosses the inspected regions in 1.2 frames")
    assert confirmation(2, crossing=1.2, regions=regions) == []


def test_confirmed_defect_shows_that_parts_are_slow_enough() -> None:
    assert confirmation(2, frames=(3, 3, 3), has_confirmed=True) == []
    assert confirmation(50, crossing=30, has_confirmed=True) == []
    assert len(confirmation(2, step_share=0.163, has_confirmed=True)) == 1  # now faster
    assert len(confirmation(4, frames=(3, 3, 3), has_confirmed=True)) == 1


@pytest.mark.parametrize(
    ("counts_parts", "parts", "confirmed", "is_silent"),
    [
        (True, 0, 5, True),
        (True, 0, 4, False),
        (True, 1, 5, False),
        (False, 0, 5, False),
    ],
)
def test_defects_without_a_single_counted_part_are_named(
    counts_parts: bool, parts: int, confirmed: int, is_silent: bool
) -> None:
    rules = CameraRules("top", counts_parts=counts_parts)
    found = [str(each) for each in silent_parts(rules, parts, confirmed)]
    text = "camera top: parts count no part, while 5 defects were confirmed"
    assert found == [text] * is_silent
