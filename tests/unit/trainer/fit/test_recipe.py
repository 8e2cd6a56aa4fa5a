"""Recipe, steps and checkpoints, on pictures of 64 px."""

import json
import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graftline import main
from models.errors import DatasetError, TrainingError
from models.manifest import ThresholdRule
from tests.simulators.photos import write_coco
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.sample import BoxTarget
from trainer.detectors.base import Architecture
from trainer.detectors.weights import TransferReport
from trainer.detectors.zoo import build_detector
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.fit.checkpoint import load_checkpoint, save_checkpoint
from trainer.fit.engine import (
    MovingAverage,
    Schedule,
    StepReport,
    Training,
    in_bf16,
    make_optimizer,
    train_step,
)
from trainer.fit.input_size import input_size
from trainer.fit.options import Recipe, TrainOptions, resolve
from trainer.fit.recipe import Outcome, train
from trainer.run import open_run, write_run

OPTIONS = TrainOptions(weights="none", size_px=64, epochs=2, batch=4)


class Recorder:
    """An observer that counts, and can interrupt."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.steps, self.measured, self._stop_after = 0, 0, stop_after

    def begin(
        self, recipe: Recipe, transfer: TransferReport | None, steps: int
    ) -> None:
        """Do nothing."""

    def step(self, epoch: int, report: StepReport) -> None:
        """Count, and interrupt as Ctrl-C would."""
        assert report.step > 0
        assert epoch > 0
        self.steps += 1
        if self.steps == self._stop_after:
            raise KeyboardInterrupt

    def measuring(self, photos: int) -> Callable[[], None]:
        """Count the photos."""
        assert photos > 0
        return self._tick

    def _tick(self) -> None:
        self.measured += 1


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(write_coco(tmp_path_factory.mktemp("data") / "d", good=4))


def run_training(dataset: Dataset, out: Path, *, resume: bool = False) -> Outcome:
    out.mkdir(exist_ok=True)
    return train(dataset, OPTIONS, out, Recorder(), resume=resume)


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    run_training(dataset, out)
    return out


def fresh_training(rate: float = 1e-3) -> Training:
    torch.manual_seed(0)
    model = build_detector(Architecture.YOLOX_NANO, 2).train()
    return Training(
        model,
        make_optimizer(model, rate, 0.05),
        MovingAverage(model),
        Schedule(rate, steps=10, warmup_steps=2),
        torch.device("cpu"),
    )


def batch() -> tuple[torch.Tensor, list[BoxTarget]]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=generator).byte()
    box = torch.tensor([[8.0, 8.0, 30.0, 30.0]])
    return images, [
        BoxTarget(box, torch.tensor([0])),
        BoxTarget(box + 9, torch.tensor([1])),
    ]


def test_schedule_warms_up_then_falls_to_two_percent() -> None:
    schedule = Schedule(peak=1.0, steps=100, warmup_steps=10)
    rates = [schedule.at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1, rel=0.01)
    assert max(rates) == pytest.approx(0.97, abs=0.03)
    assert rates[-1] == pytest.approx(0.02, abs=0.001)


def test_biases_and_norms_are_not_decayed() -> None:
    model = build_detector(Architecture.YOLOX_NANO, 2)
    decayed, others = make_optimizer(model, 1e-3, 0.05).param_groups
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim <= 1 for p in others["params"])
    assert others["weight_decay"] == 0


def test_average_moves_towards_the_weights() -> None:
    training = fresh_training()
    before = training.average.model.state_dict()["head.cls_preds.0.bias"].clone()
    with torch.no_grad():
        training.model.state_dict()["head.cls_preds.0.bias"].add_(1.0)
    training.average.update(training.model)
    after = training.average.model.state_dict()["head.cls_preds.0.bias"]
    assert torch.allclose(after - before, torch.full_like(after, 1 - 2 / 11))


def test_loss_that_is_not_finite_stops_and_keeps_the_weights() -> None:
    training = fresh_training()
    train_step(training, *batch())
    kept = training.model.state_dict()["head.reg_preds.0.weight"].clone()
    with torch.no_grad():
        training.model.state_dict()["head.obj_preds.0.bias"].fill_(float("nan"))
    with pytest.raises(TrainingError, match="became nan at step 2"):
        train_step(training, *batch())
    assert torch.equal(kept, training.model.state_dict()["head.reg_preds.0.weight"])


def test_frozen_norms_keep_their_statistics_and_still_learn_their_scale() -> None:
    training = fresh_training()
    training.frozen_norms = True
    before = {k: v.clone() for k, v in training.model.state_dict().items()}
    training.enter_training_mode()
    for _ in range(2):
        train_step(training, *batch())
    after = training.model.state_dict()
    for name, value in before.items():
        if name.endswith(("running_mean", "running_var")):
            assert torch.equal(value, after[name]), name
    assert not torch.equal(
        before["backbone.backbone.stem.conv.bn.weight"],
        after["backbone.backbone.stem.conv.bn.weight"],
    )


@pytest.mark.parametrize(
    ("detector", "able", "expected"),
    [
        (Architecture.GRAFT_N, {"avx512_bf16": True}, True),
        (Architecture.GRAFT_N, {"amx_bf16": True}, True),
        (Architecture.GRAFT_N, {"avx512_bf16": False}, False),
        (Architecture.YOLOX_NANO, {"avx512_bf16": True}, False),
        (Architecture.SSDLITE, {"avx512_bf16": True}, False),
    ],
)
def test_only_full_convolutions_on_able_processors_train_in_bf16(
    detector: Architecture,
    able: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
    *,
    expected: bool,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    model = build_detector(detector, 2)
    assert in_bf16(model, torch.device("cpu")) is expected
    assert in_bf16(model, torch.device("cuda"))


def test_norms_are_frozen_only_after_a_run_on_the_same_product(
    dataset: Dataset, finished: Path
) -> None:
    photos = dataset.splits["train"]
    assert resolve(replace(OPTIONS, earlier=finished), photos).frozen_norms
    assert not resolve(OPTIONS, photos).frozen_norms
    shipped = replace(
        OPTIONS, weights="graft-n-synthetic", detector=Architecture.GRAFT_N
    )
    assert not resolve(shipped, photos).frozen_norms
    assert resolve(replace(shipped, frozen_norms=True), photos).frozen_norms


def test_norms_are_frozen_in_batches_of_one_photo(dataset: Dataset) -> None:
    photos = dataset.splits["train"]
    single = replace(OPTIONS, batch=1, frozen_norms=False)
    assert resolve(single, photos).frozen_norms
    one = tuple(photo for photo in photos if not photo.is_good)[:1]
    assert resolve(OPTIONS, one).batch == 1
    assert resolve(OPTIONS, one).frozen_norms


@pytest.mark.parametrize(
    ("detector", "size_px"),
    [(Architecture.YOLOX_NANO, 32), (Architecture.SSDLITE, 320)],
)
def test_two_defective_photos_are_enough_to_train(
    tmp_path: Path, detector: Architecture, size_px: int
) -> None:
    few = open_dataset(write_coco(tmp_path / "d", {"train": 2}))
    options = replace(OPTIONS, detector=detector, size_px=size_px, epochs=1)
    outcome = train(few, options, tmp_path, Recorder(), resume=False)
    assert outcome.run.record.recipe["batch"] == 1


def test_evaluation_reports_warnings_about_the_dataset(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_coco(tmp_path / "d")
    assert main(["evaluate", str(finished), str(root)]) == 0
    assert "photos of good parts" in capsys.readouterr().err


def test_evaluation_refuses_a_dataset_with_errors(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_coco(tmp_path / "d")
    document = json.loads((root / "val.json").read_text(encoding="utf-8"))
    document["annotations"][0]["bbox"] = [500, 500, 9, 9]
    (root / "val.json").write_text(json.dumps(document), encoding="utf-8")
    assert main(["evaluate", str(finished), str(root)]) == DatasetError.exit_code
    output = capsys.readouterr()
    assert "outside the photo" in output.err
    assert output.out == ""


def test_checkpoint_restores_everything(tmp_path: Path) -> None:
    first = fresh_training()
    train_step(first, *batch())
    save_checkpoint(tmp_path / "c.pt", first, {"epoch": 1})
    second = fresh_training()
    assert load_checkpoint(tmp_path / "c.pt", second) == {"epoch": 1}
    assert train_step(first, *batch()) == train_step(second, *batch())
    for a, b in zip(
        first.average.model.state_dict().values(),
        second.average.model.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kept_bytes", [0, 4, 1000])
def test_damaged_checkpoint_is_refused(tmp_path: Path, kept_bytes: int) -> None:
    path = tmp_path / "c.pt"
    save_checkpoint(path, fresh_training(), {})
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(TrainingError, match="cannot resume"):
        load_checkpoint(path, fresh_training())


@pytest.mark.parametrize("content", [[1, 2], {"extra": 5}, {"extra": {}}])
def test_checkpoint_of_something_else_is_refused(
    tmp_path: Path, content: object
) -> None:
    path = tmp_path / "c.pt"
    torch.save(content, path)
    with pytest.raises(TrainingError, match="cannot resume"):
        load_checkpoint(path, fresh_training(), {"dataset": "a"})


def test_checkpoint_without_its_curve_is_refused(
    dataset: Dataset, finished: Path, tmp_path: Path
) -> None:
    state = torch.load(finished / "checkpoint.pt", weights_only=True)
    del state["extra"]["curve"]
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="cannot resume"):
        train(dataset, OPTIONS, tmp_path, Recorder(), resume=True)


@pytest.mark.parametrize("kept_bytes", [0, 20, 1000])
def test_run_with_damaged_weights_is_refused(
    finished: Path, tmp_path: Path, kept_bytes: int
) -> None:
    for path in finished.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept_bytes])
    with pytest.raises(TrainingError, match="cannot be loaded"):
        open_run(tmp_path)


def test_full_disk_while_the_run_is_written_is_reported(
    finished: Path, tmp_path: Path
) -> None:
    run = open_run(finished)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TrainingError, match="cannot be written"):
            write_run(tmp_path, run.record, run.model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_run_on_disk_is_the_trained_model(dataset: Dataset, tmp_path: Path) -> None:
    outcome = run_training(dataset, tmp_path / "run")
    again = open_run(tmp_path / "run")
    record = again.record
    assert record.labels == ("dot", "bar")
    assert (record.input_height_px, record.input_width_px) == (64, 64)
    assert [point.epoch for point in record.curve] == [1, 2]
    assert record.metrics.images == len(outcome.photos) == len(outcome.found) == 6
    assert record.dataset_sha256 == dataset.sha256
    for a, b in zip(
        outcome.run.model.state_dict().values(),
        again.model.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_interrupted_training_resumes_to_the_same_weights(
    dataset: Dataset, tmp_path: Path
) -> None:
    whole = run_training(dataset, tmp_path / "whole").run
    out = tmp_path / "parts"
    out.mkdir()
    steps_per_epoch = whole.record.curve[0].step
    with pytest.raises(KeyboardInterrupt):
        train(dataset, OPTIONS, out, Recorder(steps_per_epoch + 1), resume=False)
    with pytest.raises(TrainingError, match="not a finished run"):
        open_run(out)
    resumed = run_training(dataset, out, resume=True).run
    for a, b in zip(
        whole.model.state_dict().values(),
        resumed.model.state_dict().values(),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-6)


def test_resume_with_another_recipe_is_refused(
    dataset: Dataset, tmp_path: Path
) -> None:
    run_training(dataset, tmp_path / "run")
    options = replace(OPTIONS, learning_rate=1e-4)
    with pytest.raises(TrainingError, match="learning_rate"):
        train(dataset, options, tmp_path / "run", Recorder(), resume=True)


def test_resume_with_another_network_names_the_network(
    dataset: Dataset, finished: Path
) -> None:
    options = replace(OPTIONS, detector=Architecture.SSDLITE)
    with pytest.raises(TrainingError, match="made with detector = yolox-nano"):
        train(dataset, options, finished, Recorder(), resume=True)


def test_resume_with_other_photos_is_refused(finished: Path, tmp_path: Path) -> None:
    other = open_dataset(write_coco(tmp_path / "d", good=4, seed=1))
    with pytest.raises(TrainingError, match="made with dataset"):
        train(other, OPTIONS, finished, Recorder(), resume=True)


def test_resume_with_renamed_classes_is_refused(
    dataset: Dataset, finished: Path
) -> None:
    renamed = replace(dataset, labels=("bar", "dot"))
    with pytest.raises(TrainingError, match="made with labels = dot, bar"):
        train(renamed, OPTIONS, finished, Recorder(), resume=True)


def test_refused_checkpoint_does_not_change_the_weights(tmp_path: Path) -> None:
    first, second = fresh_training(), fresh_training()
    train_step(first, *batch())
    save_checkpoint(tmp_path / "c.pt", first, {"made_with": {"dataset": "a"}})
    before = {k: v.clone() for k, v in second.model.state_dict().items()}
    with pytest.raises(TrainingError, match="made with dataset = a"):
        load_checkpoint(tmp_path / "c.pt", second, {"dataset": "b"})
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_input_follows_the_photos_and_is_never_enlarged(tmp_path: Path) -> None:
    small = open_dataset(write_coco(tmp_path / "d", {"train": 1}, size_px=80))
    photos = small.splits["train"]
    assert input_size(photos, None) == (96, 96)
    wide = tuple(
        replace(p, width_px=1280, height_px=720, boxes=p.boxes * 9) for p in photos
    )
    assert input_size(wide, None) == (384, 640)
    assert input_size(wide, 320) == (192, 320)


def test_small_boxes_get_a_larger_input(dataset: Dataset) -> None:
    """Boxes of 12 px and more on photos of 1280 px are 6 px at 640."""
    dots = [p for p in dataset.splits["train"] if list(p.labels) == [0]]
    assert dots
    photos = tuple(replace(p, width_px=1280, height_px=1280) for p in dots)
    assert input_size(photos, None) == (864, 864)
    huge = tuple(replace(p, width_px=4000, height_px=4000) for p in dots)
    assert input_size(huge, None) == (1024, 1024)
    assert input_size(huge, 640) == (640, 640)


def test_few_photos_get_more_epochs(dataset: Dataset) -> None:
    photos = dataset.splits["train"]
    few = resolve(replace(OPTIONS, epochs=None), photos)
    many = resolve(replace(OPTIONS, epochs=None), photos * 60)
    assert (few.epochs, many.epochs) == (100, 12)


def test_limit_that_cannot_be_counted_is_refused_before_the_first_step(
    tmp_path: Path,
) -> None:
    without_good = open_dataset(write_coco(tmp_path / "d"))
    options = replace(OPTIONS, limit=ErrorLimit(ThresholdRule.OVERKILL, 0.01))
    recorder = Recorder()
    with pytest.raises(DatasetError, match="no good part"):
        train(without_good, options, tmp_path, recorder, resume=False)
    assert recorder.steps == 0


def test_limit_is_written_into_the_run(tmp_path: Path, dataset: Dataset) -> None:
    options = replace(OPTIONS, limit=ErrorLimit(ThresholdRule.ESCAPES, 0.25))
    run = train(dataset, options, tmp_path, Recorder(), resume=False).run
    thresholds = open_run(run.folder).record.thresholds
    assert (thresholds.rule, thresholds.target) == (ThresholdRule.ESCAPES, 0.25)
    assert thresholds.reached == run.record.metrics.escapes
