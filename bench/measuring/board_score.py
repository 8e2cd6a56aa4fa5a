"""Real boards as a camera's folder, and their labels joined with the alerts."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.boxes import Boxes, iou
from trainer.data.dataset import Photo, open_dataset

MATCH_IOU = 0.33  # as `graftline evaluate` counts recall and precision


@dataclass(frozen=True, slots=True)
class Board:
    """A board in the camera's folder."""

    part_id: str  # name of its picture in the camera's folder
    photo: Photo  # with its labelled boxes; no box for a good board
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BoardScore:
    """The alerts compared with the labels."""

    boards: int
    good_boards: int
    caught: int  # defective boards with an alert
    missed: int  # defective boards without an alert
    false_alarms: int
    alerts_of_unknown_parts: int
    parts_alerted_twice: int
    defects: int  # labelled boxes on defective boards
    defects_found: int  # those with a detection of the class and IoU >= 0.33
    detections: int  # detections in all alerts of defective boards
    detections_right: int  # those that match a labelled box

    def as_json(self) -> dict[str, float]:
        """Return counts and shares."""
        defective = self.boards - self.good_boards
        return {
            **asdict(self),
            "recall_of_defective_boards": self.caught / max(1, defective),
            "false_alarm_share": self.false_alarms / max(1, self.good_boards),
            "recall_of_defects": self.defects_found / max(1, self.defects),
            "precision_of_detections": self.detections_right / max(1, self.detections),
        }


def link_boards(dataset: Path, camera: Path) -> list[Board]:
    """Link validation and held-out good boards into the camera's folder."""
    opened = open_dataset(dataset)
    camera.mkdir(parents=True)
    boards = []
    for number, photo in enumerate(opened.split("val")[1]):
        part_id = f"{number:04}-{photo.path.stem}"
        link = camera / f"{part_id}{photo.path.suffix}"
        link.symlink_to(photo.path.resolve())
        labels = tuple(opened.labels[label] for label in photo.labels)
        boards.append(Board(part_id, photo, labels))
    return boards


def score_boards(
    boards: Iterable[Board], alerts: Iterable[dict[str, Any]]
) -> BoardScore:
    """Compare the alerts of the camera with the labels."""
    by_part: dict[str, list[dict[str, Any]]] = {}
    for alert in alerts:
        by_part.setdefault(alert["part_id"], []).append(alert)
    known = {board.part_id: board for board in boards}
    defective = [board for board in known.values() if not board.photo.is_good]
    good = [board for board in known.values() if board.photo.is_good]
    caught = sum(board.part_id in by_part for board in defective)
    found = detections = 0
    for board in defective:
        rows = [
            each
            for alert in by_part.get(board.part_id, [])
            for each in alert["detections"]
        ]
        detections += len(rows)
        found += _matched(board, rows)
    return BoardScore(
        boards=len(known),
        good_boards=len(good),
        caught=caught,
        missed=len(defective) - caught,
        false_alarms=sum(board.part_id in by_part for board in good),
        alerts_of_unknown_parts=sum(part not in known for part in by_part),
        parts_alerted_twice=sum(len(rows) > 1 for rows in by_part.values()),
        defects=sum(len(board.labels) for board in defective),
        defects_found=found,
        detections=detections,
        detections_right=found,
    )


def _matched(board: Board, rows: list[dict[str, Any]]) -> int:
    """Return how many labelled boxes have a detection, best scores first."""
    rows = sorted(rows, key=lambda row: -row["score"])
    boxes: Boxes = np.array([row["box_px"] for row in rows], np.float32)  # [N, 4]
    overlap = iou(boxes.reshape(-1, 4), board.photo.boxes)  # [N, G]
    free = np.ones(len(board.labels), np.bool_)
    for index, row in enumerate(rows):
        right = free & (np.array(board.labels) == row["label"])
        right &= overlap[index] >= MATCH_IOU
        if right.any():
            free[int(np.argmax(np.where(right, overlap[index], -1)))] = False
    return int(np.count_nonzero(~free))
