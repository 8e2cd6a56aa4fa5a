"""Parts that are drawn once and photographed several times, with noise of a camera."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tests.simulators.photos import annotation, defect, write_json

SIZE_PX = 128
NOISE = 4.0  # grey levels


def surface(rng: np.random.Generator) -> np.ndarray:
    """Return a part with a surface of its own, ``[S, S, 3]`` uint8."""
    coarse = rng.integers(40, 200, (9, 9, 3)).astype(np.uint8)
    large = cv2.resize(coarse, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8)


def frame(
    rng: np.random.Generator, picture: np.ndarray, noise: float = NOISE
) -> np.ndarray:
    """Return a photo of a part: the same picture with other noise."""
    noisy = picture + rng.normal(0, noise, picture.shape)
    return np.asarray(noisy.clip(0, 255), np.uint8)


def write_frames(
    root: Path, splits: dict[str, Sequence[int]], good: Sequence[int] = ()
) -> Path:
    """Write a COCO dataset of parts with one defect each.

    Args:
        root: Folder to make.
        splits: Name to the part that each photo shows.
        good: The part that each photo of ``good/`` shows.

    Returns:
        The folder.
    """
    rng = np.random.default_rng(0)
    parts = [surface(rng) for _ in range(12)]
    (root / "images").mkdir(parents=True)
    drawn = [part.copy() for part in parts]
    boxes = [defect(rng, part, number % 2) for number, part in enumerate(drawn)]
    for split, shown in splits.items():
        images, annotations = [], []
        for number, part in enumerate(shown):
            name = f"images/{split}-{part}-{number}.png"
            cv2.imwrite(str(root / name), frame(rng, drawn[part]))
            images.append({"id": number, "file_name": name})
            annotations.append(annotation(number, number, part % 2, boxes[part]))
        write_json(root / f"{split}.json", images, annotations)
    if good:
        (root / "good").mkdir()
    for number, part in enumerate(good):
        path = root / "good" / f"{part}-{number}.png"
        cv2.imwrite(str(path), frame(rng, parts[part]))
    return root
