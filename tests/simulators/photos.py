"""Small datasets that a test writes for itself: grey plates with white squares."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

LABELS = ("dot", "bar")


def plate(rng: np.random.Generator, size_px: int = 64) -> np.ndarray:
    """Return a good part: grey with noise, ``[S, S, 3]`` uint8."""
    return rng.normal(90, 6, (size_px, size_px, 3)).clip(0, 255).astype(np.uint8)


def defect(rng: np.random.Generator, picture: np.ndarray, label: int) -> list[float]:
    """Draw one bright defect; return its box as x, y, width, height in pixels."""
    side = picture.shape[0]
    width, height = ((12, 12), (26, 8))[label]
    x, y = int(rng.integers(1, side - width)), int(rng.integers(1, side - height))
    picture[y : y + height, x : x + width] = 250
    return [float(x), float(y), float(width), float(height)]


def write_coco(
    root: Path,
    splits: dict[str, int] | None = None,
    *,
    good: int = 0,
    size_px: int = 64,
    seed: int = 0,
) -> Path:
    """Write a COCO dataset with one or two defects a photo.

    Args:
        root: Folder to make.
        splits: Name to number of photos; default 6 to train on and 4 to measure on.
        good: Photos in ``good/``.
        size_px: Side of the photos.
        seed: Of positions and noise.

    Returns:
        The folder.
    """
    rng = np.random.default_rng(seed)
    (root / "images").mkdir(parents=True)
    for split, count in (splits or {"train": 6, "val": 4}).items():
        images, annotations = [], []
        for number in range(count):
            picture = plate(rng, size_px)
            for label in ([0], [1], [0, 1])[number % 3]:
                box = defect(rng, picture, label)
                annotations.append(annotation(len(annotations), number, label, box))
            name = f"images/{split}-{number}.png"
            cv2.imwrite(str(root / name), picture)
            images.append({"id": number, "file_name": name})
        write_json(root / f"{split}.json", images, annotations)
    if good:
        (root / "good").mkdir()
    for number in range(good):
        cv2.imwrite(str(root / "good" / f"{number}.png"), plate(rng, size_px))
    return root


def annotation(
    number: int, image: int, label: int, box: Sequence[float]
) -> dict[str, object]:
    """Return one COCO annotation."""
    return {
        "id": number,
        "image_id": image,
        "category_id": label + 1,
        "bbox": list(box),
        "area": box[2] * box[3],
        "iscrowd": 0,
    }


def write_json(
    path: Path,
    images: list[dict[str, object]],
    annotations: list[dict[str, object]],
) -> None:
    """Write one COCO file with the labels of this module."""
    categories = [{"id": i, "name": name} for i, name in enumerate(LABELS, 1)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(document), encoding="utf-8")


def as_deep(root: Path, shift: int, suffix: str = ".png") -> Path:
    """Give the photos of a dataset 16 bits a channel, each value shifted left.

    Args:
        root: Folder of PNG photos; their names stay, as the labels have them.
        suffix: Of the format of the new content.
    """
    for path in sorted(root.rglob("*.png")):
        picture = cv2.imread(str(path))
        assert picture is not None
        deep = picture.astype(np.uint16) << shift
        path.write_bytes(cv2.imencode(suffix, deep)[1].tobytes())
    return root


def write_good(root: Path, count: int, *, size_px: int = 64, seed: int = 0) -> Path:
    """Write photos of good parts alone, without any label file; return the folder."""
    rng = np.random.default_rng(seed)
    (root / "good").mkdir(parents=True)
    for number in range(count):
        picture = plate(rng, size_px)
        cv2.imwrite(str(root / f"good/{number:03}.png"), picture)
    return root
