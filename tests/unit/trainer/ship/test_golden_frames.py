"""The golden frames hold every label, high and low scores, and good parts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.detections import Detections, no_detections
from trainer.data.dataset import Photo
from trainer.ship.golden_frames import choose_golden


def photo(number: int, *labels: int) -> Photo:
    boxes = np.tile(np.array([[0, 0, 9, 9]], np.float32), (len(labels), 1))
    name = f"{number:064x}"
    return Photo(Path(name), name, 20, 20, boxes, np.array(labels, np.int64))


def scored(label: int, score: float) -> Detections:
    if not score:
        return no_detections()
    return Detections(
        np.array([[0, 0, 9, 9]], np.float32),
        np.array([score], np.float32),
        np.array([label], np.int64),
    )


@pytest.fixture
def many() -> tuple[list[Photo], list[Detections]]:
    """40 photos of a common label, 2 of a rare one, 20 good; scores 0..1."""
    photos = [photo(n, 0) for n in range(40)]
    photos += [photo(n, 1) for n in range(40, 42)]
    photos += [photo(n) for n in range(42, 62)]
    found = [scored(0, n / 40) for n in range(40)]
    found += [scored(1, 0.9), scored(1, 0.2)]
    found += [scored(0, (n - 42) / 40) for n in range(42, 62)]
    return photos, found


def test_golden_frames_hold_rare_labels_weak_scores_and_good_parts(
    many: tuple[list[Photo], list[Detections]],
) -> None:
    photos, found = many
    chosen = choose_golden(photos, found, np.array([0.2, 0.1], np.float32))
    assert len(chosen) == len(set(chosen)) == 16
    assert {40, 41} <= set(chosen)
    common = [n for n in chosen if n < 40]
    assert len(common) == 10
    assert 10 <= min(common) < 14  # compared: threshold 0.2 and a margin
    assert max(common) > 35
    good = [n for n in chosen if n >= 42]
    assert good == [42, 59, 60, 61]  # the lowest score and the three highest


@pytest.mark.parametrize(
    "keep",
    [lambda p: p.is_good, lambda p: not p.is_good, lambda p: int(p.sha256, 16) < 3],
)
def test_any_mixture_gives_as_many_golden_frames_as_it_can(
    many: tuple[list[Photo], list[Detections]], keep: Callable[[Photo], bool]
) -> None:
    kept = [(p, d) for p, d in zip(*many, strict=True) if keep(p)]
    thresholds = np.array([0.2, 0.1], np.float32)
    chosen = choose_golden([p for p, _ in kept], [d for _, d in kept], thresholds)
    assert len(chosen) == min(16, len(kept))
