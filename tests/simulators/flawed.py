"""A dataset with a fault of every kind that ``check`` finds."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.simulators.photos import annotation, plate, write_coco

TRAIN, VAL = 12, 6


def write_flawed(root: Path) -> Path:
    """Write it: ``train-N.png`` and ``val-N.png`` of 64 px, each with its fault."""
    write_coco(root, {"train": TRAIN, "val": VAL}, good=4)
    edit = _Edit(root)
    edit.set_box("train", 0, [-10, 5, 30, 20])  # reaches outside
    edit.add_box("train", 1, [200, 200, 9, 9])  # outside, its photo has another one
    edit.replace_boxes("train", 2, [[5, 5, 0, 9]])  # empty, its photo has no other
    edit.repeat_box("train", 3)
    edit.set_box("train", 4, [0, 0, 63, 63])  # the whole photo
    edit.copy("train", 5, "train", 6)  # the same picture and the same boxes
    edit.copy("train", 7, "val", 0)
    edit.copy("train", 8, "train", 9)
    edit.replace_boxes("train", 9, [])  # the same picture, without its label
    edit.cut_off("train", 10)
    edit.rename("val", "Dot ")
    grey = plate(np.random.default_rng(1))[:, :, :1].repeat(3, axis=2)
    edit.redraw("val", 1, grey)  # among photos in colour
    edit.redraw("val", 2, plate(np.random.default_rng(2), 200))  # three times as large
    edit.redraw("val", 3, plate(np.random.default_rng(3), 96)[:32])  # three to one
    edit.state_size("val", 4, 640, 480)
    edit.unknown_class("val", 5)
    edit.write()
    return root


class _Edit:
    """Changes the COCO files and pictures of a dataset."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._documents: dict[str, dict[str, Any]] = {
            split: json.loads((root / f"{split}.json").read_text("utf-8"))
            for split in ("train", "val")
        }

    def write(self) -> None:
        for split, document in self._documents.items():
            (self._root / f"{split}.json").write_text(json.dumps(document), "utf-8")

    def _picture(self, split: str, photo: int) -> Path:
        return self._root / "images" / f"{split}-{photo}.png"

    def _boxes(self, split: str, photo: int) -> list[dict[str, Any]]:
        rows = self._documents[split]["annotations"]
        return [row for row in rows if row["image_id"] == photo]

    def set_box(self, split: str, photo: int, box: list[float]) -> None:
        self._boxes(split, photo)[0]["bbox"] = box

    def add_box(self, split: str, photo: int, box: list[float]) -> None:
        rows = self._documents[split]["annotations"]
        number = max(row["id"] for row in rows) + 1 if rows else 1
        rows.append(annotation(number, photo, 0, box))

    def replace_boxes(self, split: str, photo: int, boxes: list[list[float]]) -> None:
        document = self._documents[split]
        document["annotations"] = [
            row for row in document["annotations"] if row["image_id"] != photo
        ]
        for box in boxes:
            self.add_box(split, photo, box)

    def repeat_box(self, split: str, photo: int) -> None:
        first = self._boxes(split, photo)[0]
        rows = self._documents[split]["annotations"]
        rows.append(dict(first, id=1000 + len(rows)))

    def copy(self, split: str, photo: int, to: str, other: int) -> None:
        """Make another photo a copy, its boxes too."""
        shutil.copyfile(self._picture(split, photo), self._picture(to, other))
        rows = [(row["category_id"], row["bbox"]) for row in self._boxes(split, photo)]
        self.replace_boxes(to, other, [box for _, box in rows])
        for row, (category, _) in zip(self._boxes(to, other), rows, strict=True):
            row["category_id"] = category

    def cut_off(self, split: str, photo: int) -> None:
        """Make it a JPEG without its second half, but with an end mark."""
        path = self._picture(split, photo)
        content = cv2.imencode(".jpg", cv2.imread(str(path)))[1].tobytes()
        path.write_bytes(content[: len(content) // 2] + b"\xff\xd9")

    def rename(self, split: str, name: str) -> None:
        self._documents[split]["categories"][0]["name"] = name

    def redraw(self, split: str, photo: int, picture: np.ndarray) -> None:
        cv2.imwrite(str(self._picture(split, photo)), picture)
        self.replace_boxes(split, photo, [[4, 4, 20, 20]])

    def state_size(self, split: str, photo: int, width: int, height: int) -> None:
        self._documents[split]["images"][photo] |= {"width": width, "height": height}

    def unknown_class(self, split: str, photo: int) -> None:
        """Leave one box, of a class that is not in the file."""
        self.replace_boxes(split, photo, [[4, 4, 20, 20]])
        self._boxes(split, photo)[0]["category_id"] = 77
