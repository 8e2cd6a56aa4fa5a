"""SimOTA: which anchor points each ground truth gets, each for itself."""

import torch
from torch import Tensor

from trainer.detectors.assign import (
    Assignment,
    BatchTruth,
    Candidates,
    Grid,
    assign,
    class_cost,
    find_candidates,
)

GRID = Grid(((8, 8), (4, 4), (2, 2)), (8, 16, 32))  # a 64 px image


def truth_of(boxes: list[list[float]], images: list[int] | None = None) -> BatchTruth:
    count = len(boxes)
    return BatchTruth(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.arange(count) % 3,
        torch.tensor(images if images is not None else [0] * count),
    )


def assign_blind(truth: BatchTruth) -> tuple[Candidates, Assignment]:
    """Assign with predictions that are cell-sized boxes around each cell."""
    candidates = find_candidates(GRID, truth.boxes)
    side = candidates.sides_px[:, None]
    low = candidates.cells * side
    predicted = torch.cat((low, low + side), dim=-1)
    scores = torch.full((*candidates.anchors.shape, 3), 0.01)
    return candidates, assign(
        candidates, truth, predicted, scores, anchors=GRID.anchors
    )


def slots_of(truth: BatchTruth, found: Candidates, match: Assignment) -> Tensor:
    slots = truth.images[:, None] * GRID.anchors + found.anchors
    return slots[match.targets, match.columns]


def random_truth(seed: int, count: int) -> BatchTruth:
    generator = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 2, generator=generator) * 56
    size = 2 + torch.rand(count, 2, generator=generator) * 30
    boxes = torch.cat((low, (low + size).clamp(max=64)), dim=1)
    images = torch.randint(0, 3, (count,), generator=generator)
    return BatchTruth(boxes, torch.arange(count) % 3, images)


def test_candidates_are_the_cells_that_a_search_over_all_anchor_points_finds() -> None:
    truth = random_truth(0, 40)
    cells, sides = GRID.points()
    points = (cells + 0.5) * sides[:, None]
    centre = (truth.boxes[:, None, :2] + truth.boxes[:, None, 2:]) / 2
    near = ((points - centre).abs() < 1.5 * sides[:, None]).all(-1)
    inside = (points > truth.boxes[:, None, :2]) & (points < truth.boxes[:, None, 2:])
    found = find_candidates(GRID, truth.boxes)
    for index in range(40):
        valid = found.valid[index]
        expected = near[index].nonzero().flatten()
        assert torch.equal(found.anchors[index, valid].sort().values, expected)
        anchors = found.anchors[index, valid]
        assert torch.equal(found.cells[index, valid], cells[anchors])
        assert torch.equal(found.sides_px[valid], sides[anchors])
        assert torch.equal(found.inside[index, valid], inside[index, anchors].all(-1))


def test_each_ground_truth_gets_an_anchor_point() -> None:
    for seed in range(5):
        truth = random_truth(seed, 12)
        _, match = assign_blind(truth)
        assert set(match.targets.tolist()) == set(range(12))


def test_no_anchor_point_serves_two_ground_truths() -> None:
    for seed in range(5):
        truth = random_truth(seed, 60)
        found, match = assign_blind(truth)
        slots = slots_of(truth, found, match)
        assert len(slots.unique()) == len(slots) > 0


def test_only_valid_candidates_are_assigned() -> None:
    truth = truth_of([[0, 0, 4, 4], [60, 60, 64, 64]])  # at two corners
    found, match = assign_blind(truth)
    assert found.valid[match.targets, match.columns].all()
    assert not found.valid.all()


def test_identical_boxes_both_get_an_anchor_point() -> None:
    truth = truth_of([[10, 10, 16, 16]] * 3)
    found, match = assign_blind(truth)
    slots = slots_of(truth, found, match)
    assert set(match.targets.tolist()) == {0, 1, 2}
    assert len(slots.unique()) == len(slots)


def test_same_box_in_two_images_does_not_compete() -> None:
    alone, match_alone = assign_blind(truth_of([[10, 10, 40, 40]]))
    truth = truth_of([[10, 10, 40, 40]] * 2, [0, 2])
    found, match = assign_blind(truth)
    assert torch.equal(alone.anchors[0], found.anchors[1])
    assert (match.targets == 1).sum() == len(match_alone.targets)


def test_no_ground_truth_gives_no_pairs() -> None:
    _, match = assign_blind(truth_of([]))
    assert len(match.targets) == len(match.columns) == len(match.overlaps) == 0


def test_ground_truth_far_outside_the_image_gets_nothing() -> None:
    _, match = assign_blind(truth_of([[500, 500, 520, 520]]))
    assert len(match.targets) == 0


def test_cells_inside_a_box_are_preferred() -> None:
    truth = truth_of([[8, 8, 32, 32]])
    found, match = assign_blind(truth)
    assert found.inside[match.targets, match.columns].all()


def test_better_overlap_earns_more_anchor_points() -> None:
    truth = truth_of([[8, 8, 40, 40]])
    found = find_candidates(GRID, truth.boxes)
    scores = torch.full((1, found.anchors.shape[1], 3), 0.5)
    perfect = truth.boxes[:, None].expand(-1, found.anchors.shape[1], -1)
    poor = perfect + torch.tensor([24.0, 24, 24, 24])
    many = assign(found, truth, perfect, scores, anchors=GRID.anchors)
    few = assign(found, truth, poor, scores, anchors=GRID.anchors)
    assert len(many.targets) == 10
    assert len(few.targets) == 1


def test_predicted_class_decides_between_equal_boxes() -> None:
    truth = truth_of([[8, 8, 24, 24]])
    found = find_candidates(GRID, truth.boxes)
    predicted = torch.tensor([30.0, 30, 34, 34]).expand(1, found.anchors.shape[1], 4)
    scores = torch.full((1, found.anchors.shape[1], 3), 0.1)
    wanted = int(found.inside[0].nonzero()[-1])
    scores[0, wanted, 0] = 0.9  # the right class, at one cell
    match = assign(found, truth, predicted, scores, anchors=GRID.anchors)
    assert match.columns.tolist() == [wanted]


def test_class_cost_is_binary_cross_entropy() -> None:
    scores = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 1])
    wanted = torch.nn.functional.one_hot(labels, 3)[:, None].expand(-1, 5, -1).float()
    expected = torch.nn.functional.binary_cross_entropy(
        scores, wanted, reduction="none"
    ).sum(-1)
    torch.testing.assert_close(class_cost(scores, labels), expected)


def test_scores_of_exactly_zero_and_one_cost_a_finite_amount() -> None:
    scores = torch.tensor([[[0.0, 1.0]]])
    assert class_cost(scores, torch.tensor([0])).isfinite().all()
