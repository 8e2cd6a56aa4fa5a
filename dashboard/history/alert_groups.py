"""Which alerts belong together: 60 alerts of one scratching tool are one group. Pure.

The rule: two alerts are linked if they are of the same camera, their surest detections
are of the same class and at overlapping places of the frame (the overlap is at least a
quarter of the smaller box), and at most ten minutes apart. Each alert is linked to the
nearest newer one of the list; a group is what is connected by links. A tool that
scratches all night is one group; one that stops for longer than ten minutes starts a
new one.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

GAP_MS = 10 * 60 * 1000
OVERLAP_MIN = 0.25  # of the smaller box
# Newer alerts of a camera and class that an alert is compared with: a second defect at
# another place does not end the group of the first one.
COMPARED = 20

Box = tuple[float, float, float, float]
AnyAlert = Mapping[str, Any]


def overlap(a: Box, b: Box) -> float:
    """Return the common area of two boxes as a share of the smaller one.

    Args:
        a: xyxy, in any unit; ``b`` in the same.

    Returns:
        0 to 1; a box without an area overlaps with what contains it.

    >>> overlap((0, 0, 2, 2), (1, 1, 3, 3))
    0.25
    >>> overlap((1, 1, 1, 1), (0, 0, 2, 2))
    1.0
    """
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width < 0 or height < 0:
        return 0.0
    smaller = min((each[2] - each[0]) * (each[3] - each[1]) for each in (a, b))
    return 1.0 if smaller <= 0 else width * height / smaller


def belong_together(newer: AnyAlert, older: AnyAlert) -> bool:
    """Return whether two alerts of one camera and class are linked.

    Args:
        newer: With ``happened_ms`` and ``detections``; ``older`` likewise.
    """
    if newer["happened_ms"] - older["happened_ms"] > GAP_MS:
        return False
    boxes = [tuple(_surest(each)["box_norm"]) for each in (newer, older)]
    return overlap(boxes[0], boxes[1]) >= OVERLAP_MIN


def links_between(alerts: Iterable[AnyAlert]) -> list[tuple[int, int]]:
    """Return the links of a list of alerts, as pairs of ``n`` (newer, older).

    Args:
        alerts: Newest first.
    """
    newer_ones: defaultdict[tuple[str, ...], deque[AnyAlert]]
    newer_ones = defaultdict(lambda: deque(maxlen=COMPARED))
    links: list[tuple[int, int]] = []
    for alert in alerts:
        compared = newer_ones[_kind(alert)]
        nearest_first = reversed(compared)
        linked = next((a for a in nearest_first if belong_together(a, alert)), None)
        if linked is not None:
            links.append((linked["n"], alert["n"]))
        compared.append(alert)
    return links


def groups_of(alerts: Iterable[AnyAlert]) -> list[list[AnyAlert]]:
    """Return alerts in their groups, groups and members newest first.

    Args:
        alerts: Newest first.
    """
    listed = list(alerts)
    head = {alert["n"]: alert["n"] for alert in listed}
    for newer, older in links_between(listed):
        head[older] = head[newer]
    groups: dict[int, list[AnyAlert]] = {}
    for alert in listed:
        groups.setdefault(head[alert["n"]], []).append(alert)
    return list(groups.values())


def _kind(alert: AnyAlert) -> tuple[str, ...]:
    place = (alert[name] for name in ("site", "line", "station", "camera"))
    return (*place, _surest(alert)["label"])


def _surest(alert: AnyAlert) -> Mapping[str, Any]:
    detections: Iterable[Mapping[str, Any]] = alert["detections"]
    return max(detections, key=lambda each: float(each["score"]))
