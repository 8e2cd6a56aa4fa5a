"""Defects that are put onto other photos."""

import numpy as np
import pytest

from models.boxes import Boxes
from models.preprocess import Frame
from trainer.data.sampling.copy_paste import (
    MOST_PASTED,
    DefectBank,
    DefectPatch,
    cut_patch,
    paste_defects,
)

BOX = np.array([[20, 30, 32, 36]], np.float32)
LABELS = [np.array([0]), np.array([1]), np.zeros(0, np.int64)]


def surface(grey: int = 120) -> Frame:
    return np.full((96, 96, 3), grey, np.uint8)


def with_defect(grey: int) -> Frame:
    picture = surface()
    picture[30:36, 20:32] = grey
    return picture


def read(photo: int) -> tuple[Frame, Boxes]:
    return with_defect((250, 5)[photo]), BOX


def test_patch_holds_the_defect_and_some_surroundings() -> None:
    cutting = cut_patch(with_defect(250), BOX[0], 3)
    x1, y1, x2, y2 = cutting.box.astype(int)
    assert cutting.label == 3
    assert (cutting.pixels[y1:y2, x1:x2] == 250).all()
    assert (x1, y1) == (4, 4)  # the smallest margin: a quarter of 12 px is less
    assert (cutting.pixels[0] == 120).all()


@pytest.mark.parametrize("seed", range(16))
def test_reoriented_patch_has_its_box_around_the_same_pixels(seed: int) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[3:8, 5:17] = 200
    box = np.array([5, 3, 17, 8], np.float32)
    turned = DefectPatch(pixels, box, 0).reoriented(np.random.default_rng(seed))
    rows, columns = np.nonzero(turned.pixels[..., 0])
    around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_array_equal(turned.box, around)


@pytest.mark.parametrize("seed", range(8))
def test_pasted_defects_are_where_their_boxes_are(seed: int) -> None:
    bank = DefectBank(LABELS, read)
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    rng = np.random.default_rng(seed)
    picture, boxes, labels = paste_defects(surface(), *none, bank, rng)
    assert 1 <= len(boxes) <= MOST_PASTED
    for (x1, y1, x2, y2), label in zip(boxes.astype(int), labels, strict=True):
        assert (picture[y1:y2, x1:x2] == (250, 5)[label]).all()
        picture[y1:y2, x1:x2] = 120
    assert (picture == 120).all()  # nothing else was changed


def test_old_boxes_are_kept_and_not_covered() -> None:
    bank = DefectBank(LABELS, read)
    old = with_defect(77)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        picture, boxes, labels = paste_defects(old, BOX, np.array([1]), bank, rng)
        np.testing.assert_array_equal(boxes[0], BOX[0])
        assert labels[0] == 1
        assert (picture[30:36, 20:32] == 77).all()
    assert (old == with_defect(77)).all()


def test_defect_is_pasted_where_the_surroundings_are_alike() -> None:
    half = surface()
    half[:, 48:] = 10
    bank = DefectBank(LABELS, read)
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    left = []
    for seed in range(30):
        boxes = paste_defects(half, *none, bank, np.random.default_rng(seed))[1]
        left.append(boxes[0, 0] < 48)
    assert np.mean(left) > 0.9


def test_every_label_is_as_likely_as_any_other() -> None:
    labels = [np.array([0] * 1), *[np.array([1])] * 99]
    bank = DefectBank(labels, lambda photo: read(min(photo, 1)))
    rng = np.random.default_rng(0)
    drawn = [bank.draw(rng).label for _ in range(400)]
    assert 0.4 < np.mean(drawn) < 0.6


def test_defect_that_would_hide_the_part_is_not_pasted() -> None:
    large = np.array([[5, 5, 90, 90]], np.float32)
    bank = DefectBank([np.array([0])], lambda _: (with_defect(250), large))
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    picture, boxes, _ = paste_defects(surface(), *none, bank, np.random.default_rng(0))
    assert len(boxes) == 0
    assert (picture == surface()).all()


def test_bank_without_defects_is_empty() -> None:
    assert not DefectBank([np.zeros(0, np.int64)], read)
    assert DefectBank(LABELS, read)


def test_defect_that_keeps_its_direction_is_not_turned() -> None:
    defect = DefectPatch(surface()[:20, :40], np.array([4, 4, 36, 16], np.float32), 0)
    rng = np.random.default_rng(0)
    shapes = {defect.reoriented(rng, turns=False).pixels.shape for _ in range(50)}
    assert shapes == {(20, 40, 3)}
    turned = {defect.reoriented(rng).pixels.shape for _ in range(50)}
    assert turned == {(20, 40, 3), (40, 20, 3)}
