"""Only the branch learns, and the trunk looks at each view once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.errors import TrainingError
from tests.simulators.photos import write_coco
from trainer.cli.progress import SilentObserver
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.sample import Features
from trainer.data.sampling.augmentation import EpochSampler, TrainingPhotos
from trainer.detectors.base import Architecture, TrainableDetector
from trainer.detectors.yolox_blocks import Activation
from trainer.detectors.zoo import build_detector, load_weights
from trainer.fit.engine import StepReport
from trainer.fit.frozen_trunk import CachedFeatures, Freeze, freeze_trunk, plan_cache
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import train
from trainer.fit.sampler import ResumableBatchSampler, SeededPhotos
from trainer.run import open_run

WEIGHTS = "graft-n-synthetic"
WISHES = TrainOptions(
    weights=WEIGHTS,
    detector=Architecture.GRAFT_N,
    activation=Activation.RELU,
    size_px=64,
    epochs=6,
    batch=4,
    freeze=Freeze.TRUNK,
    frozen_norms=False,
)


class Interrupting(SilentObserver):
    """Stops after some steps, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self._after = after

    def step(self, epoch: int, report: StepReport) -> None:
        if report.step == self._after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(write_coco(tmp_path_factory.mktemp("data") / "d"))


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(dataset, WISHES, out, SilentObserver(), resume=False)
    return out


def test_trunk_keeps_weights_and_statistics_and_the_branch_learns(
    finished: Path,
) -> None:
    start = build_detector(Architecture.GRAFT_N, 2)
    load_weights(start, WEIGHTS)
    model = open_run(finished).model
    trained = model.trunk.state_dict()
    for name, value in start.trunk.state_dict().items():
        assert torch.equal(value, trained[name]), name
    changed = "backbone.C3_p3.conv1.conv.weight"
    assert not torch.equal(model.state_dict()[changed], start.state_dict()[changed])


def test_interrupted_training_resumes_to_the_same_weights(
    dataset: Dataset, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(dataset, WISHES, tmp_path, Interrupting(4), resume=False)
    train(dataset, WISHES, tmp_path, SilentObserver(), resume=True)
    whole, parts = open_run(finished).model, open_run(tmp_path).model
    pairs = zip(whole.state_dict().values(), parts.state_dict().values(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


@pytest.mark.parametrize(
    ("detector", "size_px"),
    [(Architecture.YOLOX_NANO, (64, 96)), (Architecture.SSDLITE, (320, 352))],
)
def test_trunk_and_branch_in_a_row_are_the_network(
    detector: Architecture, size_px: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    model = build_detector(detector, 2).eval()
    images = torch.rand(1, 3, *size_px) * 255
    with torch.no_grad():
        whole, parts = model(images), model.branch(model.features(images))
    names = (
        ("values",) if detector is not Architecture.SSDLITE else ("logits", "anchors")
    )
    for name in names:
        assert torch.equal(getattr(whole, name), getattr(parts, name))


def counted(model: TrainableDetector) -> Callable[[], int]:
    """Return how many pictures the trunk has seen when asked."""
    seen = []
    model.trunk.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    return lambda: sum(seen)


def test_each_view_is_computed_once_and_comes_back_the_same(dataset: Dataset) -> None:
    torch.manual_seed(0)
    model = build_detector(Architecture.YOLOX_NANO, 2).eval()
    photos = TrainingPhotos(dataset.splits["train"], 64, 64)
    order = ResumableBatchSampler(EpochSampler(photos.photos, 0), 0, 3)
    order.views, seen = 2, counted(model)
    batches = CachedFeatures(model, SeededPhotos(photos), order)

    def epoch(number: int) -> tuple[list[Features], float]:
        order.go_to((number - 1) * order.steps_per_epoch)
        made = list(batches)
        boxes = [t.boxes.sum() for _, targets in made for t in targets]
        return [features for features, _ in made], float(sum(boxes))

    first, truth = epoch(1)
    assert seen() == 6
    _, other_truth = epoch(2)
    assert seen() == 12
    again, truth_again = epoch(3)
    assert seen() == 12
    assert truth_again == pytest.approx(truth)
    assert truth != pytest.approx(other_truth)

    def sums(made: list[Features]) -> list[float]:
        return sorted(float(row.float().sum()) for f in made for row in f.maps[0])

    assert sums(first) == sums(again)  # in another order
    assert first[0].maps[0].dtype is torch.float16


def test_views_are_as_many_as_find_room() -> None:
    model = build_detector(Architecture.YOLOX_NANO, 2).eval()
    photo = 2 * (64 * 8 * 8 + 128 * 4 * 4 + 256 * 2 * 2)  # float16 at 64 px

    def views(room: int, epochs: int = 100) -> int:
        return plan_cache(model, 10, (64, 64), epochs, room).views

    assert views(10 * photo * 3) == 3
    assert views(10 * photo * 99) == 8
    assert views(10 * photo * 99, epochs=8) == 4  # each is seen twice at least
    assert views(10 * photo) == 0
    assert plan_cache(model, 10, (64, 64), 100, 10 * photo * 3).bytes_needed == (
        30 * photo
    )


def test_trunk_from_nothing_is_not_frozen(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="would stay random"):
        freeze_trunk(
            build_detector(Architecture.YOLOX_NANO, 2), "none", Activation.HARDSWISH
        )
    wishes = replace(WISHES, weights="none")
    with pytest.raises(TrainingError, match="would stay random"):
        train(dataset, wishes, tmp_path, SilentObserver(), resume=False)


def test_trunk_behind_another_activation_is_not_frozen() -> None:
    model = build_detector(Architecture.GRAFT_N, 2, Activation.SILU)
    with pytest.raises(TrainingError, match="trained with relu, not silu"):
        freeze_trunk(model, WEIGHTS, Activation.SILU)
    assert all(parameter.requires_grad for parameter in model.parameters())
    freeze_trunk(model, "some.pth", Activation.SILU)  # of a file nobody knows
    assert not any(parameter.requires_grad for parameter in model.trunk.parameters())
