from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.history.alert_groups import (
    GAP_MS,
    Box,
    groups_of,
    links_between,
    overlap,
)

HERE: Box = (0.1, 0.1, 0.2, 0.2)
BESIDE: Box = (0.5, 0.5, 0.6, 0.6)


def alert(n: int, at_ms: int, box: Box = HERE, **changes: Any) -> dict[str, Any]:
    label = changes.pop("label", "scratch")
    place = {"site": "plant", "line": "l", "station": "s", "camera": "top"}
    return {
        "n": n,
        "happened_ms": at_ms,
        "detections": [{"label": label, "score": 0.9, "box_norm": list(box)}],
        **place,
        **changes,
    }


def numbers(alerts: list[dict[str, Any]]) -> list[list[int]]:
    return [[each["n"] for each in group] for group in groups_of(alerts)]


def test_sixty_alerts_of_one_scratching_tool_are_one_group() -> None:
    alerts = [alert(n, n * 10_000) for n in range(60, 0, -1)]
    assert numbers(alerts) == [list(range(60, 0, -1))]


@pytest.mark.parametrize(
    "other",
    [
        alert(1, 0, BESIDE),
        alert(1, 0, camera="bottom"),
        alert(1, 0, station="s2"),
        alert(1, 0, line="l2"),
        alert(1, 0, site="plant2"),
        alert(1, 0, label="dent"),
    ],
    ids=["another place", "camera", "station", "line", "site", "class"],
)
def test_alert_of_another_kind_is_another_group(other: dict[str, Any]) -> None:
    assert numbers([alert(2, 1000), other]) == [[2], [1]]


@pytest.mark.parametrize(("gap_ms", "groups"), [(GAP_MS, 1), (GAP_MS + 1, 2)])
def test_pause_of_more_than_ten_minutes_ends_a_group(gap_ms: int, groups: int) -> None:
    assert len(groups_of([alert(2, gap_ms), alert(1, 0)])) == groups


def test_group_goes_on_while_each_alert_is_near_the_next() -> None:
    alerts = [alert(n, n * GAP_MS) for n in range(9, 0, -1)]
    assert len(groups_of(alerts)) == 1


def test_two_tools_that_scratch_in_turn_are_two_groups() -> None:
    alerts = [alert(n, n * 1000, HERE if n % 2 else BESIDE) for n in range(8, 0, -1)]
    assert numbers(alerts) == [[8, 6, 4, 2], [7, 5, 3, 1]]


def test_surest_detection_decides() -> None:
    first = alert(2, 1000)
    first["detections"].append(
        {"label": "dent", "score": 0.1, "box_norm": [0, 0, 1, 1]}
    )
    assert numbers([first, alert(1, 0)]) == [[2, 1]]


def test_links_of_two_pages_are_those_of_the_whole_list() -> None:
    alerts = [alert(n, n * 1000) for n in range(6, 0, -1)]
    first, second = links_between(alerts[:3]), links_between(alerts[2:])
    assert sorted({*first, *second}) == sorted(links_between(alerts))


BOXES = st.tuples(*[st.floats(0, 1)] * 4).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@given(a=BOXES, b=BOXES)
def test_overlap_is_a_share_and_symmetric(a: Box, b: Box) -> None:
    assert 0 <= overlap(a, b) <= 1.000001
    assert overlap(a, b) == overlap(b, a)


@given(
    st.lists(st.tuples(st.integers(0, 3), BOXES, st.sampled_from("ab")), max_size=30)
)
def test_every_alert_is_in_exactly_one_group(
    drawn: list[tuple[int, Box, str]],
) -> None:
    alerts = [
        alert(n, (100 - n) * GAP_MS // (1 + gap), box, label=label)
        for n, (gap, box, label) in enumerate(drawn)
    ]
    alerts.sort(key=lambda each: (-each["happened_ms"], -each["n"]))
    members = [each for group in numbers(alerts) for each in group]
    assert sorted(members) == sorted(each["n"] for each in alerts)
