"""Shots of one part form a group; parts that differ do not."""

import cv2
import numpy as np

from trainer.data.splitting.near_duplicates import (
    SIDE_PX,
    Template,
    fingerprint,
    near_duplicates,
    smooth,
)


def test_shots_of_one_part_are_near_and_other_parts_are_not() -> None:
    rng = np.random.default_rng(0)
    jig = cv2.resize(rng.integers(0, 255, (9, 9, 3)).astype(np.uint8), (128, 128))
    shots, truth = [], []
    for part in range(10):
        surface = cv2.resize(rng.normal(0, 12, (8, 8, 3)), (128, 128))
        for lamp in (1.0, 0.9):
            shot = (jig + surface) * lamp + rng.normal(0, 3, jig.shape)
            shots.append(fingerprint(shot.clip(0, 255).astype(np.uint8)))
            truth.append(part)
    assert near_duplicates(shots).tolist() == truth


def test_photos_without_contrast_are_like_no_other() -> None:
    flat = [np.full((64, 64, 3), level, np.uint8) for level in (0, 9, 200)]
    found = near_duplicates([fingerprint(picture) for picture in flat])
    assert found.tolist() == [0, 1, 2]


def test_shifted_picture_is_aligned_to_its_template() -> None:
    rng = np.random.default_rng(0)
    large = cv2.resize(rng.normal(0, 1, (12, 12)).astype(np.float32), (96, 96))
    first, second = smooth(np.stack([large[20:68, 20:68], large[21:69, 19:67]]))
    assert first.shape == (SIDE_PX, SIDE_PX)
    template = Template(first)
    inside = np.s_[4:-4, 4:-4]
    before = np.abs(second - first)[inside].max()
    after = np.abs(template.align(second) - first)[inside].max()
    assert after < before / 4
    assert template.correlation(second) > 0.99
