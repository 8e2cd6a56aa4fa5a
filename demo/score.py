"""Joins the alerts of the history with the truth of the video. Pure rules.

An alert names a frame, and no two parts are ever seen in one frame: so each alert
belongs to one part, or to the empty belt. Only here truth and alerts meet; the daemon
never sees the truth.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TruthBox = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the frame."""

REACH_PX = 8.0
"""How far beside a defect's box the middle of an alert's box may lie."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect of a part.

    Attributes:
        label: What it is.
        boxes: Frame number to box, where most of it is visible.
    """

    label: str
    boxes: dict[int, TruthBox]

    def box_at(self, frame: int, step_px: float) -> TruthBox | None:
        """Return where it is in a frame, also where only a bit of it is visible.

        Args:
            frame: Number of the frame.
            step_px: How far parts move to the right from frame to frame.
        """
        if not self.boxes:
            return None
        nearest = min(self.boxes, key=lambda known: abs(known - frame))
        x1, y1, x2, y2 = self.boxes[nearest]
        moved_px = (frame - nearest) * step_px
        return x1 + moved_px, y1, x2 + moved_px, y2


@dataclass(frozen=True, slots=True)
class TruthPart:
    """A part's way through the picture.

    Attributes:
        id: Number of the part.
        first_frame: First frame in which any of it is seen.
        last_frame: Last such frame.
        defects: Empty for a good part.
    """

    id: int
    first_frame: int
    last_frame: int
    defects: tuple[Defect, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """What passed the camera.

    Attributes:
        step_px: How far parts move from frame to frame.
        parts: In the order of their passing.
    """

    step_px: float
    parts: tuple[TruthPart, ...]


@dataclass(frozen=True, slots=True)
class ScoredAlert:
    """An alert of the history.

    Attributes:
        id: Of the event.
        frame_id: Number of the frame.
        boxes: One for each detection.
    """

    id: str
    frame_id: int
    boxes: tuple[TruthBox, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """How well the line did.

    Attributes:
        parts: That passed.
        defective_parts: With at least one defect.
        good_parts: Without.
        caught: Defective parts with an alert.
        missed: Defective parts without.
        false_alarms: Good parts with an alert.
        duplicates: Alerts beyond the first for one defect, or with a known id.
        defects: On all parts.
        defects_alerted: Defects with an alert on their place.
        alerts_beside_defects: Alerts on defective parts, but on no defect.
        alerts_on_empty_belt: Alerts where no part is seen.
    """

    parts: int
    defective_parts: int
    good_parts: int
    caught: int
    missed: int
    false_alarms: int
    duplicates: int
    defects: int
    defects_alerted: int
    alerts_beside_defects: int
    alerts_on_empty_belt: int

    @property
    def recall_of_defective_parts(self) -> float:
        """Share of defective parts that were caught; 1 where there was none."""
        return self.caught / self.defective_parts if self.defective_parts else 1.0

    @property
    def false_alarm_share(self) -> float:
        """Share of good parts with an alert; 0 where there was none."""
        return self.false_alarms / self.good_parts if self.good_parts else 0.0

    def as_json(self) -> dict[str, int | float]:
        """Return counts and shares."""
        return {
            **asdict(self),
            "recall_of_defective_parts": self.recall_of_defective_parts,
            "false_alarm_share": self.false_alarm_share,
        }


def read_truth(path: Path) -> Truth:
    """Return the truth that ``graftline synth`` wrote beside the video.

    Args:
        path: ``truth.json``.
    """
    document = json.loads(path.read_text("utf-8"))
    parts = (
        TruthPart(
            part["id"],
            part["first_frame"],
            part["last_frame"],
            tuple(map(_defect, part["defects"])),
        )
        for part in document["parts"]
    )
    return Truth(document["step_px"], tuple(parts))


def _defect(entry: dict[str, Any]) -> Defect:
    boxes = {int(frame): tuple(box) for frame, box in entry["boxes"].items()}
    return Defect(entry["label"], boxes)


def score(truth: Truth, alerts: Sequence[ScoredAlert]) -> Score:
    """Return how well the alerts tell the truth.

    Args:
        truth: What passed.
        alerts: What the history holds of this camera, in any order.
    """
    by_part: dict[int, list[ScoredAlert]] = {part.id: [] for part in truth.parts}
    known: set[str] = set()
    nowhere = again = 0
    for alert in sorted(alerts, key=lambda each: each.frame_id):
        part = _part_at(truth, alert.frame_id)
        again += alert.id in known
        nowhere += part is None
        known.add(alert.id)
        if part is not None:
            by_part[part.id].append(alert)
    defective = [part for part in truth.parts if part.defects]
    good = [part for part in truth.parts if not part.defects]
    caught = sum(bool(by_part[part.id]) for part in defective)
    hits = [_hits(part, by_part[part.id], truth.step_px) for part in defective]
    by_defect = [alerts_of for on_part in hits for alerts_of in on_part.values()]
    return Score(
        parts=len(truth.parts),
        defective_parts=len(defective),
        good_parts=len(good),
        caught=caught,
        missed=len(defective) - caught,
        false_alarms=sum(bool(by_part[part.id]) for part in good),
        duplicates=again + sum(max(0, len(alerts_of) - 1) for alerts_of in by_defect),
        defects=len(by_defect),
        defects_alerted=sum(map(bool, by_defect)),
        alerts_beside_defects=sum(
            len({alert.id for alert in by_part[part.id]} - set().union(*on.values()))
            for part, on in zip(defective, hits, strict=True)
        ),
        alerts_on_empty_belt=nowhere,
    )


def _part_at(truth: Truth, frame: int) -> TruthPart | None:
    """Return the part that is seen in a frame."""
    seen = (p for p in truth.parts if p.first_frame <= frame <= p.last_frame)
    return next(seen, None)


def _hits(
    part: TruthPart, alerts: Sequence[ScoredAlert], step_px: float
) -> dict[int, set[str]]:
    """Return, for each defect of a part, the ids of the alerts on its place."""
    hits: dict[int, set[str]] = {index: set() for index in range(len(part.defects))}
    for alert in alerts:
        for box in alert.boxes:
            index = _defect_under(part, alert.frame_id, box, step_px)
            if index is not None:
                hits[index].add(alert.id)
    return hits


def _defect_under(
    part: TruthPart, frame: int, box: TruthBox, step_px: float
) -> int | None:
    """Return the nearest defect on whose place a box lies."""
    nearest: tuple[float, int] | None = None
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    for index, defect in enumerate(part.defects):
        place = defect.box_at(frame, step_px)
        if place is None:
            continue
        x1, y1, x2, y2 = place
        beside_px = max(x1 - x, x - x2, y1 - y, y - y2)
        far = (x - (x1 + x2) / 2) ** 2 + (y - (y1 + y2) / 2) ** 2
        if beside_px <= REACH_PX and (nearest is None or far < nearest[0]):
            nearest = far, index
    return nearest[1] if nearest else None
