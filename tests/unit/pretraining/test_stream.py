"""The pretraining stream is repeatable, and its boxes hold visible defects."""

import numpy as np
import pytest

from pretraining import stream
from pretraining.camera import apply_lens, expose
from pretraining.defects import (
    EDITS,
    KINDS,
    LABEL_OF,
    MARKS,
    DefectKind,
    geometric_kinds,
    painted_kinds,
)
from pretraining.structures import Structure, shape
from pretraining.surfaces import Material, paint

SIZE_PX = 128


def rng_of(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def test_same_seed_gives_the_same_bytes() -> None:
    first = [stream.draw_sample(rng, SIZE_PX) for rng in map(rng_of, range(20))]
    again = [stream.draw_sample(rng, SIZE_PX) for rng in map(rng_of, range(20))]
    for one, other in zip(first, again, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_different_seeds_give_different_pictures() -> None:
    assert (
        stream.draw_sample(rng_of(1), 64)[0] != stream.draw_sample(rng_of(2), 64)[0]
    ).any()


@pytest.mark.parametrize("size_px", [64, 128, 320])
def test_shapes_and_types_are_as_documented(size_px: int) -> None:
    frame, boxes, labels = stream.draw_sample(rng_of(3), size_px)
    assert (frame.shape, frame.dtype) == ((size_px, size_px, 3), np.uint8)
    assert boxes.dtype == np.float32
    assert boxes.shape == (len(labels), 4)
    assert labels.dtype == np.int64


def test_boxes_are_inside_the_picture_and_not_too_small() -> None:
    rng = rng_of(4)
    seen = 0
    for _ in range(150):
        _, boxes, labels = stream.draw_sample(rng, SIZE_PX)
        seen += len(boxes)
        assert len(boxes) <= stream.MAX_DEFECTS
        assert (boxes >= 0).all()
        assert (boxes <= SIZE_PX).all()
        sides = boxes[:, 2:] - boxes[:, :2]
        assert (sides > 0).all()
        assert (sides.max(axis=1, initial=4) >= stream.SMALLEST_PX).all()
        assert ((labels >= 0) & (labels < len(KINDS))).all()
    assert seen > 150


def test_some_pictures_have_no_defect_and_some_have_many() -> None:
    rng = rng_of(5)
    counts = [len(stream.draw_sample(rng, SIZE_PX)[1]) for _ in range(200)]
    assert 10 < counts.count(0) < 80
    assert max(counts) >= 6


def test_every_kind_of_defect_occurs() -> None:
    rng = rng_of(6)
    seen: set[int] = set()
    for _ in range(700):
        seen.update(stream.draw_sample(rng, SIZE_PX)[2].tolist())
        if len(seen) == len(KINDS):
            break
    assert {KINDS[label] for label in seen} == set(DefectKind)


def test_box_is_exactly_where_the_picture_changed() -> None:
    """The same scene with and without one defect differs in its box, not outside."""
    rng = rng_of(7)
    checked = 0
    for _ in range(60):
        scene, camera = stream.draw_scene(rng, SIZE_PX)
        light = stream.draw_scene_light(rng, camera, SIZE_PX)
        picture, defects = stream.draw_geometry_defects(rng, scene, 1)
        if not defects:
            continue
        clean = picture.copy()
        clean[defects[0].window.slices] = defects[0].before
        box = stream.visible_box(defects[0], picture, light, camera, 2.0)
        if box is None:
            continue
        after = apply_lens(expose(picture, light), camera)
        before = apply_lens(expose(clean, light), camera)
        change = np.abs(after - before).max(axis=2)
        left, top, right, bottom = box.astype(int)
        inside = change[top:bottom, left:right].copy()
        assert inside.mean() > 3
        assert inside.max() == change.max()
        change[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = 0
        assert change.max() <= max(8.0, 0.35 * inside.max())
        checked += 1
    assert checked >= 15


def test_each_kind_is_drawn_in_one_way_and_can_happen_somewhere() -> None:
    assert set(EDITS) | set(MARKS) == set(DefectKind)
    assert not set(EDITS) & set(MARKS)
    assert list(LABEL_OF) == list(KINDS)
    possible = {kind for s in Structure for kind in geometric_kinds(s)}
    possible |= {kind for m in Material for kind in painted_kinds(m)}
    assert possible == set(DefectKind)


@pytest.mark.parametrize("structure", list(Structure))
def test_each_structure_has_an_inside_and_an_outside(structure: Structure) -> None:
    shares = [
        float((shape(rng_of(seed), structure, SIZE_PX) > 127).mean())
        for seed in range(12)
    ]
    assert 0.01 < np.mean(shares) < 0.99


@pytest.mark.parametrize("material", list(Material))
def test_each_material_varies(material: Material) -> None:
    first, second = (paint(rng_of(seed), material, 64) for seed in (1, 2))
    assert first.picture.shape == (64, 64, 3)
    assert np.abs(first.picture - second.picture).max() > 1
    assert first.roughness >= 0
