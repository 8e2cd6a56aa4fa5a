"""The pretraining stream: repeatable, exactly boxed, visibly defective."""

import numpy as np
import pytest

from pretraining import stream
from pretraining.defects import (
    EDITS,
    KINDS,
    LABEL_OF,
    MARKS,
    DefectKind,
    geometric_kinds,
    painted_kinds,
)
from pretraining.edits import bridge, hole, narrowest_chord, open_gap, survey
from pretraining.structures import Structure, shape
from pretraining.surfaces import Material, paint
from trainer.data.synthetic.camera import expose, observe
from trainer.data.synthetic.noise import Texture, cut, grain

SIZE_PX = 128


def chance(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def two_traces() -> np.ndarray:
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    mask[40:52], mask[60:72] = 255, 255
    return mask


def connected(solid: np.ndarray, a: tuple[int, int], b: tuple[int, int]) -> bool:
    import cv2

    _, parts = cv2.connectedComponents(solid.astype(np.uint8), connectivity=4)
    return bool(parts[a] == parts[b])


def test_same_seed_gives_the_same_bytes() -> None:
    first = [stream.sample(rng, SIZE_PX) for rng in map(chance, range(20))]
    again = [stream.sample(rng, SIZE_PX) for rng in map(chance, range(20))]
    for one, other in zip(first, again, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_different_seeds_give_different_pictures() -> None:
    assert (stream.sample(chance(1), 64)[0] != stream.sample(chance(2), 64)[0]).any()


@pytest.mark.parametrize("size_px", [64, 128, 320])
def test_shapes_and_types_are_as_promised(size_px: int) -> None:
    frame, boxes, labels = stream.sample(chance(3), size_px)
    assert (frame.shape, frame.dtype) == ((size_px, size_px, 3), np.uint8)
    assert boxes.dtype == np.float32
    assert boxes.shape == (len(labels), 4)
    assert labels.dtype == np.int64


def test_boxes_are_inside_the_picture_and_not_too_small() -> None:
    rng = chance(4)
    seen = 0
    for _ in range(150):
        _, boxes, labels = stream.sample(rng, SIZE_PX)
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
    rng = chance(5)
    counts = [len(stream.sample(rng, SIZE_PX)[1]) for _ in range(200)]
    assert 10 < counts.count(0) < 80
    assert max(counts) >= 6


def test_every_kind_of_defect_occurs() -> None:
    rng = chance(6)
    seen: set[int] = set()
    for _ in range(700):
        seen.update(stream.sample(rng, SIZE_PX)[2].tolist())
        if len(seen) == len(KINDS):
            break
    assert {KINDS[label] for label in seen} == set(DefectKind)


def test_a_box_is_exactly_where_the_picture_changed() -> None:
    """The same scene with and without one defect differs in its box, not outside."""
    rng = chance(7)
    checked = 0
    for _ in range(60):
        scene, camera = stream.draw_scene(rng, SIZE_PX)
        light = stream.light_scene(rng, camera, SIZE_PX)
        picture, findings = stream.carve(rng, scene, 1)
        if not findings:
            continue
        clean = picture.copy()
        clean[findings[0].window.slices] = findings[0].before
        box = stream.visible_box(findings[0], picture, light, camera, 2.0)
        if box is None:
            continue
        after = observe(expose(picture, light), camera)
        before = observe(expose(clean, light), camera)
        change = np.abs(after - before).max(axis=2)
        left, top, right, bottom = box.astype(int)
        inside = change[top:bottom, left:right].copy()
        assert inside.mean() > 3
        assert inside.max() == change.max()
        change[max(0, top - 3) : bottom + 3, max(0, left - 3) : right + 3] = 0
        assert change.max() <= max(8.0, 0.35 * inside.max())
        checked += 1
    assert checked >= 15


def test_an_open_separates_a_trace() -> None:
    mask = two_traces()
    for seed in range(20):
        edit = open_gap(chance(seed), survey(mask), 14.0)
        assert edit is not None
        cutout = mask.copy()
        cutout[edit.window.slices] = edit.mask
        whole = [connected(cutout > 127, (y, 0), (y, SIZE_PX - 1)) for y in (45, 65)]
        if not all(whole):
            return
    pytest.fail("no open ever cut a trace")


def test_a_short_joins_two_traces() -> None:
    mask = two_traces()
    assert not connected(mask > 127, (45, 5), (65, 5))
    for seed in range(20):
        edit = bridge(chance(seed), survey(mask), 10.0)
        if edit is None:  # its tries fell beside the gap
            continue
        joined = mask.copy()
        joined[edit.window.slices] = edit.mask
        if connected(joined > 127, (45, 5), (65, 5)):
            return
    pytest.fail("no short ever joined the traces")


def test_a_hole_lies_within_the_structure() -> None:
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    mask[20:100, 20:100] = 255
    edit = hole(chance(1), survey(mask), 12.0)
    assert edit is not None
    holed = mask.copy()
    holed[edit.window.slices] = edit.mask
    assert (holed <= mask).all()
    assert (holed < mask).any()
    assert (holed[20:100, [20, 99]] == 255).all()


def test_the_narrowest_chord_crosses_a_trace() -> None:
    found = narrowest_chord(two_traces() > 127, 64, 46, 20)
    assert found is not None
    chord, length = found
    assert length == 13
    across, down = np.abs(chord[1] - chord[0])
    assert down > 3 * across


def test_no_chord_is_found_where_the_region_is_too_wide() -> None:
    assert narrowest_chord(np.ones((64, 64), np.bool_), 32, 32, 10) is None


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
        float((shape(chance(seed), structure, SIZE_PX) > 127).mean())
        for seed in range(12)
    ]
    assert 0.01 < np.mean(shares) < 0.99


@pytest.mark.parametrize("material", list(Material))
def test_each_material_varies(material: Material) -> None:
    first, second = (paint(chance(seed), material, 64) for seed in (1, 2))
    assert first.picture.shape == (64, 64, 3)
    assert np.abs(first.picture - second.picture).max() > 1
    assert first.roughness >= 0


@pytest.mark.parametrize("texture", list(Texture))
def test_textures_are_standardized(texture: Texture) -> None:
    tiles = [cut(chance(seed), texture, 256) for seed in range(8)]
    assert abs(float(np.mean(tiles))) < 0.6
    assert 0.4 < float(np.std(tiles)) < 1.8


def test_grain_of_a_large_picture_does_not_repeat() -> None:
    speckle = grain(chance(1), 640)
    assert speckle.shape == (640, 640)
    assert (speckle[:, :320] != speckle[:, 320:]).mean() > 0.99
