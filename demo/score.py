"""Compares the alerts of the history with the truth of the video. Pure rules.

An alert names a frame, and no frame shows two parts: so each alert belongs to one part,
or to the empty belt. Only this module reads the truth; the daemon never does.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TruthBox = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the frame."""

TOLERANCE_PX = 8.0
"""How far outside a defect's box the centre of an alert's box may lie."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect of a part.

    Attributes:
        boxes: Frame number to box, where most of it is visible.
    """

    label: str
    boxes: dict[int, TruthBox]

    def box_at(self, frame: int, step_px: float) -> TruthBox | None:
        """Return where it is in a frame, also where less of it is visible.

        Args:
            frame: Number of the frame.
            step_px: Pixels that parts move to the right from frame to frame.
        """
        if not self.boxes:
            return None
        nearest = min(self.boxes, key=lambda known: abs(known - frame))
        x1, y1, x2, y2 = self.boxes[nearest]
        moved_px = (frame - nearest) * step_px
        return x1 + moved_px, y1, x2 + moved_px, y2


@dataclass(frozen=True, slots=True)
class TruthPart:
    """A part while it passes the camera.

    Attributes:
        first_frame: First frame that shows any of it.
        last_frame: Last such frame.
        defects: Empty for a good part.
    """

    id: int
    first_frame: int
    last_frame: int
    defects: tuple[Defect, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """The parts that passed the camera.

    Attributes:
        step_px: Pixels that parts move from frame to frame.
        parts: In the order in which they pass.
    """

    step_px: float
    parts: tuple[TruthPart, ...]


@dataclass(frozen=True, slots=True)
class ScoredAlert:
    """An alert of the history.

    Attributes:
        id: Id of the event.
        frame_id: Number of the frame.
        boxes: One for each detection.
    """

    id: str
    frame_id: int
    boxes: tuple[TruthBox, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of parts, defects and alerts.

    Attributes:
        caught: Defective parts with an alert.
        missed: Defective parts without an alert.
        false_alarms: Good parts with an alert.
        duplicates: Alerts beyond the first for one defect, or with a known id.
        defects_alerted: Defects with an alert at their place.
        alerts_beside_defects: Alerts on defective parts, but on no defect.
        alerts_on_empty_belt: Alerts for frames without a part.
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
        """Share of defective parts that were caught; 1 where no part is defective."""
        return self.caught / self.defective_parts if self.defective_parts else 1.0

    @property
    def false_alarm_share(self) -> float:
        """Share of good parts with an alert; 0 where no part is good."""
        return self.false_alarms / self.good_parts if self.good_parts else 0.0

    def as_json(self) -> dict[str, int | float]:
        """Return counts and shares."""
        return {
            **asdict(self),
            "recall_of_defective_parts": self.recall_of_defective_parts,
            "false_alarm_share": self.false_alarm_share,
        }


def read_truth(path: Path) -> Truth:
    """Return the truth in the ``truth.json`` that ``graftline synth`` wrote."""
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
    """Return how well the alerts match the truth.

    Args:
        alerts: All alerts of this camera in the history, in any order.
    """
    by_part: dict[int, list[ScoredAlert]] = {part.id: [] for part in truth.parts}
    known_ids: set[str] = set()
    on_empty_belt = repeated = 0
    for alert in sorted(alerts, key=lambda each: each.frame_id):
        part = _part_in(truth, alert.frame_id)
        repeated += alert.id in known_ids
        known_ids.add(alert.id)
        if part is None:
            on_empty_belt += 1
        else:
            by_part[part.id].append(alert)
    defective = [part for part in truth.parts if part.defects]
    good = [part for part in truth.parts if not part.defects]
    caught = sum(bool(by_part[part.id]) for part in defective)
    matched = [_match(part, by_part[part.id], truth.step_px) for part in defective]
    by_defect = [ids for of_part in matched for ids in of_part]
    beside = sum(
        len({alert.id for alert in by_part[part.id]} - set().union(*of_part))
        for part, of_part in zip(defective, matched, strict=True)
    )
    return Score(
        parts=len(truth.parts),
        defective_parts=len(defective),
        good_parts=len(good),
        caught=caught,
        missed=len(defective) - caught,
        false_alarms=sum(bool(by_part[part.id]) for part in good),
        duplicates=repeated + sum(max(0, len(ids) - 1) for ids in by_defect),
        defects=len(by_defect),
        defects_alerted=sum(map(bool, by_defect)),
        alerts_beside_defects=beside,
        alerts_on_empty_belt=on_empty_belt,
    )


def _part_in(truth: Truth, frame: int) -> TruthPart | None:
    """Return the part that a frame shows."""
    parts = (p for p in truth.parts if p.first_frame <= frame <= p.last_frame)
    return next(parts, None)


def _match(
    part: TruthPart, alerts: Sequence[ScoredAlert], step_px: float
) -> list[set[str]]:
    """Return, for each defect of a part, the ids of the alerts at its place."""
    matched: list[set[str]] = [set() for _ in part.defects]
    for alert in alerts:
        for box in alert.boxes:
            index = _nearest_defect(part, alert.frame_id, box, step_px)
            if index is not None:
                matched[index].add(alert.id)
    return matched


def _nearest_defect(
    part: TruthPart, frame: int, box: TruthBox, step_px: float
) -> int | None:
    """Return the defect nearest to the centre of a box, if it is near enough."""
    nearest: tuple[float, int] | None = None
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    for index, defect in enumerate(part.defects):
        place = defect.box_at(frame, step_px)
        if place is None:
            continue
        x1, y1, x2, y2 = place
        outside_px = max(x1 - x, x - x2, y1 - y, y - y2)
        distance = (x - (x1 + x2) / 2) ** 2 + (y - (y1 + y2) / 2) ** 2
        if outside_px <= TOLERANCE_PX and (nearest is None or distance < nearest[0]):
            nearest = distance, index
    return nearest[1] if nearest else None
