"""A learning curve and a training from scratch on pictures of 64 px."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graftline import main
from models.errors import ConfigError, DatasetError, TrainingError
from tests.simulators.photos import write_coco
from trainer.cli.progress import TerminalObserver
from trainer.data.dataset import Dataset, open_dataset
from trainer.detectors.names import Activation, Architecture
from trainer.fit import recipe
from trainer.fit.engine import StepReport
from trainer.fit.options import TrainOptions
from trainer.fit.recipe import Outcome
from trainer.run import open_run
from trainer.study.learning_curve import nested_photos, train_curve
from trainer.study.scratch import train_from_scratch

OPTIONS = TrainOptions(
    weights="graft-n-synthetic",
    detector=Architecture.GRAFT_N,
    activation=Activation.RELU,
    size_px=64,
    epochs=1,
    batch=4,
    seed=3,
)


class StoppingObserver(TerminalObserver):
    """Counts steps, and can interrupt as Ctrl-C would."""

    def __init__(self, stop: bool = False) -> None:
        super().__init__()
        self.steps, self._stop = 0, stop

    def step(self, epoch: int, report: StepReport) -> None:
        if self._stop:
            raise KeyboardInterrupt
        self.steps += 1


class Counter:
    """Observes all trainings, and can interrupt one of them."""

    def __init__(self, stop_in: int | None = None) -> None:
        self.steps: dict[int, int] = {}
        self._stop_in = stop_in

    @contextmanager
    def observe(self, number: int) -> Iterator[StoppingObserver]:
        one = StoppingObserver(number == self._stop_in)
        yield one
        if one.steps:
            self.steps[number] = one.steps


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data") / "d"
    return open_dataset(write_coco(root, {"train": 12, "val": 4}, good=4))


@pytest.fixture(scope="module")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    out = tmp_path_factory.mktemp("run")
    return recipe.train(dataset, OPTIONS, out, StoppingObserver(), resume=False)


def test_subsets_are_nested_and_never_hold_validation_photos(
    dataset: Dataset,
) -> None:
    trained, measured = dataset.for_training()
    names = [{p.sha256 for p in subset} for subset in nested_photos(dataset, 0)]
    all_names = {p.sha256 for p in trained}
    assert names[0] < names[1] < names[2] < all_names
    assert not all_names & {p.sha256 for p in measured}
    assert [len(part) for part in names] == pytest.approx([3.5, 7, 10.5], abs=1)
    for subset in nested_photos(dataset, 0):
        assert {int(v) for photo in subset for v in photo.labels} == {0, 1}
        groups = set(dataset.split_assignment.groups_of(subset))
        left = [p for p in trained if p not in subset]
        assert not groups & set(dataset.split_assignment.groups_of(left))


def test_curve_continues_after_an_interruption_and_trains_nothing_twice(
    dataset: Dataset, run: Outcome
) -> None:
    stopped = Counter(stop_in=1)
    with pytest.raises(KeyboardInterrupt):
        train_curve(dataset, OPTIONS, run, stopped.observe)
    assert set(stopped.steps) == {0}
    again = Counter()
    measured = train_curve(dataset, OPTIONS, run, again.observe)
    assert set(again.steps) == {1, 2}
    assert run.run.record.schedule is not None
    steps = run.run.record.schedule.steps
    assert set((stopped.steps | again.steps).values()) == {steps}
    assert [len(one.found) for one in measured] == [len(run.photos)] * 4
    assert measured[-1].map_33 == run.run.record.metrics.map_33
    for part, one in zip(("25", "50", "75"), measured, strict=False):
        record = open_run(run.run.folder / "curve" / part).record
        assert record.recipe == run.run.record.recipe
        assert record.metrics.map_33 == one.map_33
        assert record.metrics.images == len(run.photos)
    other = run.run.record.model_copy(update={"recipe": {"weights": "none"}})
    changed = Outcome(
        type(run.run)(run.run.folder, other, run.run.model), run.found, run.photos
    )
    with pytest.raises(TrainingError, match="made with other recipe"):
        train_curve(dataset, OPTIONS, changed, Counter().observe)


def test_scratch_repeats_the_schedule_from_random_weights_once(
    dataset: Dataset, run: Outcome
) -> None:
    first = Counter()
    scratch = train_from_scratch(dataset, OPTIONS, run, first.observe).run.record
    assert scratch.pretrained == "none"
    assert scratch.pretrained_sha256 is None
    assert scratch.schedule is not None
    assert run.run.record.schedule is not None
    assert scratch.schedule.steps == run.run.record.schedule.steps == first.steps[0]
    assert scratch.recipe["frozen_norms"] is False
    same = {"weights", "frozen_norms"}
    ours = run.run.record.recipe
    assert {k: v for k, v in scratch.recipe.items() if k not in same} == {
        k: v for k, v in ours.items() if k not in same
    }
    again = Counter()
    train_from_scratch(dataset, OPTIONS, run, again.observe)
    assert again.steps == {}


def test_too_few_photos_are_refused_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_coco(tmp_path / "d", {"train": 4, "val": 2})
    command = ["train", str(data), "--out", str(tmp_path / "run"), "--learning-curve"]
    assert main(command) == DatasetError.exit_code
    message = capsys.readouterr().err
    assert "too few photos for --learning-curve" in message
    assert "training" not in message


def test_comparison_of_random_weights_with_themselves_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_coco(tmp_path / "d")
    command = ["train", str(data), "--out", str(tmp_path / "run"), "--weights", "none"]
    assert main([*command, "--compare", "scratch"]) == ConfigError.exit_code
    assert "nothing to compare" in capsys.readouterr().err


def test_train_shows_both_studies_in_report_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_coco(tmp_path / "d", {"train": 9, "val": 8})
    run = tmp_path / "run"
    command = ["train", str(data), "--out", str(run), "--learning-curve", "--compare"]
    command += ["scratch", "--size", "64", "--epochs", "1", "--batch", "4", "--json"]
    assert main(command) == 0
    output = capsys.readouterr()
    assert "5 trainings of about the same length" in output.err
    printed = json.loads(output.out)
    figures = json.loads((run / "report.json").read_text("utf-8"))["studies"]
    assert figures["learning_curve"] == printed["learning_curve"]
    assert figures["scratch"] == printed["scratch"]
    outlooks = printed["learning_curve"]["outlooks"]
    assert [one["label"] for one in outlooks] == [None, "dot", "bar"]
    assert [len(one["points"]) for one in outlooks] == [4, 4, 4]
    assert outlooks[0]["points"][-1]["photos"] == 9
    assert printed["scratch"]["scratch"]["pretrained"] == "none"
    page = (run / "report.html").read_text("utf-8")
    assert "How many more photos?" in page
    assert outlooks[1]["words"] in page
    assert "With and without pretrained weights" in page
    assert main([*command, "--resume"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["learning_curve"]["outlooks"] == outlooks
