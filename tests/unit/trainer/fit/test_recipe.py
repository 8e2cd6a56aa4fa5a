"""Recipe, steps and checkpoints, on pictures of 64 px."""

import json
import resource
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from graftline import main
from models.errors import DatasetError, TrainingError
from models.manifest import COUNTED_SHARES, MEAN_PRECISIONS, ThresholdRule
from tests.simulators.frames import write_frames
from tests.simulators.photos import write_coco
from trainer.data.dataset import Dataset, open_dataset
from trainer.detectors.names import Architecture, ScoreRule
from trainer.detectors.weights import TransferReport
from trainer.detectors.yolox import YOLOX
from trainer.evaluation.thresholds.limits import ErrorLimit
from trainer.fit.engine import (
    StepReport,
)
from trainer.fit.options import Recipe, TrainOptions
from trainer.fit.recipe import Outcome, train
from trainer.run import open_run, write_run

MADE_WITH = ("labels", "dataset", "split", "schedule")
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

    def reduced(self, text: str) -> None:
        """Do nothing."""

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


def test_evaluation_without_good_parts_has_no_overkill(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_coco(tmp_path / "d", seed=1)
    assert main(["evaluate", str(finished), str(root), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["overkill"], figures["overkill_interval"]) == (None, None)
    assert figures["escapes"] is not None
    assert main(["evaluate", str(finished), str(root)]) == 0
    assert "good parts alarmed  not measured\n" in capsys.readouterr().out


def test_evaluation_names_the_classes_that_are_not_shared(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_coco(tmp_path / "d", {"train": 2, "val": 1}, seed=1)
    assert main(["evaluate", str(finished), str(root), "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["labels_without_boxes"] == ["bar"]
    assert "class 'bar' of the model has no labelled box on these photos" in output.err


def test_nothing_is_measured_on_frames_of_a_part_that_was_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_frames(tmp_path / "d", {"train": [0] * 8}, good=[1] * 4)
    options = replace(OPTIONS, epochs=1)
    out = tmp_path / "run"
    out.mkdir()
    outcome = train(open_dataset(root), options, out, Recorder(), resume=False)
    metrics = outcome.run.record.metrics
    assert metrics.unmeasured == (*MEAN_PRECISIONS, *COUNTED_SHARES, "auroc")
    assert metrics.not_measured
    assert {point.map_33 for point in outcome.run.record.curve} == {None}
    assert outcome.run.record.thresholds.at_most is None
    assert main(["evaluate", str(out), str(root), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["map_33"] is figures["recall"] is figures["escapes"] is None
    assert "frames of parts that were trained on" in figures["not_measured"]


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


def test_stored_names_of_a_checkpoint_do_not_change(finished: Path) -> None:
    """A checkpoint of an earlier version resumes."""
    state = torch.load(finished / "checkpoint.pt", weights_only=True)
    stored_parts = ["extra", "step", "model", "average", "average_steps", "optimizer"]
    assert list(state) == stored_parts
    extra = state["extra"]
    stored = ["made_with", "curve", "seconds", "losses", "is_planned"]
    of_minutes = ["measured_s", "left_out"]  # not in 0.1
    rest = ["schedule", "watch", "negatives", "time_plan"]
    assert list(extra) == [*stored, *of_minutes, *rest]
    watch = ["count", "part", "photo_s", "ended_early", "points", "best", "best_point"]
    assert list(extra["watch"]) == watch
    made_with = [field.name for field in fields(Recipe)]
    assert list(extra["made_with"]) == [*made_with, *MADE_WITH]
    assert {"freeze", "frozen_norms", "mines", "pastes", "close_up_px"} < {*made_with}


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


def test_scores_of_an_older_run_stay_those_of_its_thresholds(
    finished: Path, tmp_path: Path
) -> None:
    new = open_run(finished).model
    assert isinstance(new, YOLOX)
    assert new.score_rule is ScoreRule.CLASS_SHARE
    old = tmp_path / "old"
    shutil.copytree(finished, old)
    record = json.loads((old / "run.json").read_text("utf-8"))
    del record["score_rule"]
    (old / "run.json").write_text(json.dumps(record), "utf-8")
    model = open_run(old).model
    assert isinstance(model, YOLOX)
    assert model.score_rule is ScoreRule.PRODUCT


def test_odds_of_the_classes_are_part_of_the_run(
    finished: Path, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(finished, changed)
    record = json.loads((changed / "run.json").read_text("utf-8"))
    assert set(record["class_odds"] or {}) <= {"dot", "bar"}
    record["class_odds"] = {"bar": 2.5, "dot": 0.5}
    (changed / "run.json").write_text(json.dumps(record), "utf-8")
    model = open_run(changed).model
    assert isinstance(model, YOLOX)
    assert model.class_odds is not None
    assert model.class_odds.tolist() == [0.5, 2.5]  # in the order of the labels
    record["class_odds"] = {"dot": 0.5}
    (changed / "run.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(TrainingError, match="class_odds"):
        open_run(changed)


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


def test_resume_without_unknown_is_refused(tmp_path: Path) -> None:
    many = open_dataset(write_coco(tmp_path / "d", good=44))
    options = replace(OPTIONS, unknown=True)
    out = tmp_path / "run"
    out.mkdir()
    train(many, options, out, Recorder(), resume=False)
    with pytest.raises(TrainingError, match="made with class unknown = --unknown"):
        train(many, OPTIONS, out, Recorder(), resume=True)


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
    assert run.record.schedule is not None  # nothing else was chosen on these photos
    assert run.record.schedule.kept_step is None
    assert not run.record.schedule.ended_early
