"""Distances to good patches become boxes: one for each defect."""

import pytest
import torch
from torch import Tensor

from models.detector import equal_thresholds
from models.postprocess import decode
from trainer.detectors.graft import GraftSize
from trainer.detectors.names import Activation
from trainer.detectors.patch_memory import DistanceScale, PatchMemory, neighbourhood
from trainer.detectors.unknown import UnknownDetector, with_maps
from trainer.detectors.yolox import YOLOX

SIZE = 16  # cells of stride 16


def maps_with(places: list[tuple[slice, slice]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return maps of one direction, and of another at these places."""
    fine, coarse = torch.ones(1, 4, 2 * SIZE, 2 * SIZE), torch.ones(1, 8, SIZE, SIZE)
    for rows, columns in places:
        coarse[0, :4, rows, columns] = -1.0
    return fine, coarse, torch.zeros(1, 16, SIZE // 2, SIZE // 2)


def memory_of_ones() -> PatchMemory:
    """Return a memory that knows the one direction."""
    memory = PatchMemory(1, 12)
    memory.patches = torch.full((1, 12), 12**-0.5)
    memory.set_scale(DistanceScale(0.0, 0.01))
    return memory


def found(memory: PatchMemory, maps: tuple[Tensor, Tensor, Tensor]) -> list[list[int]]:
    """Return the boxes, xyxy in cells, with a score above one half, after NMS."""
    found = decode(memory(maps)[0].numpy(), equal_thresholds(0.5, 1))
    boxes: list[list[int]] = (found.boxes / 16).round().astype(int).tolist()
    return boxes


def test_good_part_has_no_box() -> None:
    assert found(memory_of_ones(), maps_with([])) == []


def test_one_unlike_place_gives_one_box_around_it() -> None:
    [box] = found(memory_of_ones(), maps_with([(slice(5, 6), slice(9, 10))]))
    x1, y1, x2, y2 = box
    assert x1 <= 9 < x2 <= 12
    assert y1 <= 5 < y2 <= 8


def test_two_places_far_apart_give_two_boxes() -> None:
    places = [(slice(2, 3), slice(2, 3)), (slice(12, 13), slice(12, 13))]
    assert len(found(memory_of_ones(), maps_with(places))) == 2


def test_stronger_contrast_of_the_same_pattern_is_as_near() -> None:
    memory, maps = memory_of_ones(), maps_with([])
    brighter = tuple(3 * each for each in maps)
    assert torch.allclose(memory.distances(maps), memory.distances(brighter), atol=1e-3)


def test_scale_scores_half_at_three_spreads() -> None:
    assert DistanceScale(4.0, 0.5).score(5.5) == pytest.approx(0.5)


@pytest.mark.parametrize(("cells", "expected"), [(4, 2), (16, 2), (32, 4), (40, 5)])
def test_neighbourhood_grows_with_the_input(cells: int, expected: int) -> None:
    assert neighbourhood(cells, cells // 2) == expected


def network() -> YOLOX:
    """Return a small network."""
    torch.manual_seed(0)
    return YOLOX(GraftSize.N, 2, Activation.RELU).eval()


def memory_for(detector: YOLOX) -> PatchMemory:
    """Return a memory of random patches that fits a network."""
    maps = detector.feature_maps(torch.zeros(1, 3, 64, 64))
    memory = PatchMemory(5, maps[0].shape[1] + maps[1].shape[1])
    memory.patches = torch.randn_like(memory.patches)
    return memory


def test_named_detections_are_those_of_the_detector_alone() -> None:
    detector, images = network(), torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        both = UnknownDetector(detector, memory_for(detector), 2).detections(images)
        alone = detector.detections(images)
    anchors = alone.shape[2]
    assert both.shape == (1, 7, anchors + 16)
    assert torch.equal(both[:, :6, :anchors], alone)
    assert not both[:, 6, :anchors].any()
    assert not both[:, 4:6, anchors:].any()


def test_without_named_classes_the_only_scores_are_of_unknown() -> None:
    detector = network()
    model = UnknownDetector(detector, memory_for(detector), 0)
    assert model.detections(torch.zeros(1, 3, 64, 64)).shape == (1, 5, 16)
    assert (model.num_classes, model.architecture) == (1, detector.architecture)
    assert with_maps(detector) is detector


def test_cell_that_is_no_box_has_its_score_with_a_minus() -> None:
    memory, maps = memory_of_ones(), maps_with([(slice(5, 8), slice(9, 12))])
    memory.set_scale(DistanceScale(0.4, 0.1))
    with torch.inference_mode():
        scores = memory(maps)[0, 4].reshape(SIZE, SIZE)
        distances = memory.distances(maps)[0, 0]
    expected = torch.sigmoid((distances - 0.7) / (0.1 / torch.tensor(4.0).log()))
    assert torch.allclose(scores.abs(), expected, atol=1e-5)
    is_box = scores > 0
    assert is_box.any()
    assert (scores[~is_box] < 0).all()
    assert scores.max() == scores.abs().max()
