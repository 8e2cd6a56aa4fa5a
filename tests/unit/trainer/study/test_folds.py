"""Cross-training on pictures of 64 px, a few steps a fold."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graftline import main
from models.detections import Detections
from models.errors import DatasetError, TrainingError
from models.postprocess import DecisionRule
from tests.simulators.photos import write_coco
from trainer.data.dataset import Dataset, Photo, open_dataset
from trainer.detectors.weights import TransferReport
from trainer.evaluation.metrics import count
from trainer.fit.engine import StepReport
from trainer.fit.options import Recipe, TrainOptions
from trainer.fit.recipe import Observer, train
from trainer.run import open_run
from trainer.study.folds import CrossTraining, cross_photos, cross_train, divide_photos
from trainer.study.pooled import pooled_metrics

OPTIONS = TrainOptions(weights="none", size_px=64, epochs=1, batch=4)


class Counter:
    """An observer of all folds that counts, and can interrupt."""

    def __init__(self, stop_in_fold: int | None = None) -> None:
        self.steps: dict[int, int] = {}
        self._fold, self._stop_in_fold = 0, stop_in_fold

    @contextmanager
    def observe(self, number: int) -> Iterator[Observer]:
        self._fold = number
        yield self

    def begin(
        self, recipe: Recipe, transfer: TransferReport | None, steps: int
    ) -> None:
        """Ignore the start."""

    def step(self, epoch: int, report: StepReport) -> None:
        """Count, and interrupt as Ctrl-C would."""
        assert epoch == 1
        if self._fold == self._stop_in_fold:
            raise KeyboardInterrupt
        self.steps[self._fold] = self.steps.get(self._fold, 0) + 1

    def reduced(self, text: str) -> None:
        """Ignore the text."""

    def measuring(self, photos: int) -> Callable[[], None]:
        """Ignore the photos."""
        assert photos > 0
        return lambda: None


class Silent(Counter):
    """An observer of any number of epochs."""

    def step(self, epoch: int, report: StepReport) -> None:
        """Ignore the step."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(write_coco(tmp_path_factory.mktemp("data") / "d", good=4))


@pytest.fixture(scope="module")
def finished(
    dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, CrossTraining]:
    out = tmp_path_factory.mktemp("run")
    return out, cross_train(dataset, OPTIONS, out, Counter().observe, count=2)


def test_every_photo_is_evaluated_once_by_a_detector_not_trained_on_it(
    dataset: Dataset, finished: tuple[Path, CrossTraining]
) -> None:
    out, crossed = finished
    evaluated = sorted(photo.sha256 for photo in crossed.photos)
    assert evaluated == sorted(photo.sha256 for photo in cross_photos(dataset))
    assert len(crossed.found) == len(crossed.photos) == dataset.photo_count == 14
    divided = divide_photos(dataset, 2, OPTIONS.seed)
    for number, fold in enumerate(divided):
        held_out = {photo.sha256 for photo in fold.held_out}
        assert not held_out & {photo.sha256 for photo in fold.train}
        mine = [
            p
            for p, f in zip(crossed.photos, crossed.fold_of, strict=True)
            if f == number
        ]
        assert {photo.sha256 for photo in mine} == held_out
        record = open_run(out / "folds" / str(number)).record
        assert record.metrics.images == len(fold.held_out)


def test_finished_fold_is_not_trained_again_and_detects_the_same(
    dataset: Dataset, finished: tuple[Path, CrossTraining], tmp_path: Path
) -> None:
    stopped = Counter(stop_in_fold=1)
    with pytest.raises(KeyboardInterrupt):
        cross_train(dataset, OPTIONS, tmp_path, stopped.observe, count=2)
    assert set(stopped.steps) == {0}
    again = Counter()
    crossed = cross_train(dataset, OPTIONS, tmp_path, again.observe, count=2)
    assert set(again.steps) == {1}
    for one, other in zip(crossed.found, finished[1].found, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"options": replace(OPTIONS, epochs=2)}, "options"),
        ({"count": 3}, "folds"),
    ],
)
def test_folds_of_other_options_are_refused(
    dataset: Dataset,
    finished: tuple[Path, CrossTraining],
    change: dict[str, object],
    name: str,
) -> None:
    asked = {"options": OPTIONS, "count": 2} | change
    with pytest.raises(TrainingError, match=f"made with other {name}"):
        cross_train(dataset, out=finished[0], observe=Counter().observe, **asked)  # type: ignore[arg-type]


def test_folds_of_other_labels_are_refused(
    dataset: Dataset, finished: tuple[Path, CrossTraining]
) -> None:
    corrected = replace(dataset, sha256="0" * 64)
    with pytest.raises(TrainingError, match="made with other held_out_sha256"):
        cross_train(corrected, OPTIONS, finished[0], Counter().observe, count=2)


def test_damaged_plan_is_refused(
    dataset: Dataset, finished: tuple[Path, CrossTraining], tmp_path: Path
) -> None:
    plan = (finished[0] / "folds" / "plan.json").read_bytes()
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "plan.json").write_bytes(plan[:20])
    with pytest.raises(TrainingError, match=r"plan\.json"):
        cross_train(dataset, OPTIONS, tmp_path, Counter().observe, count=2)


def test_more_folds_than_defective_photos_are_refused_before_any_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_coco(tmp_path / "d", {"train": 2, "val": 2}, good=2)
    command = ["train", str(data), "--out", str(tmp_path / "run"), "--folds", "5"]
    assert main(command) == DatasetError.exit_code
    message = capsys.readouterr().err
    assert "too few photos for --folds 5" in message
    assert "training" not in message


def test_photos_of_a_group_stay_together(dataset: Dataset) -> None:
    photos = cross_photos(dataset)
    groups = [number // 3 for number in range(len(photos))]
    group_of = {p.sha256: g for p, g in zip(photos, groups, strict=True)}
    for fold in divide_photos(dataset, 2, 0, groups):
        inside = {group_of[photo.sha256] for photo in fold.held_out}
        outside = {group_of[photo.sha256] for photo in fold.train}
        assert not inside & outside


def shown(scores: list[float], box: np.ndarray) -> Detections:
    """Detections in one place, best first."""
    return Detections(
        np.repeat(box[None], len(scores), axis=0).astype(np.float32),
        np.array(scores, np.float32),
        np.zeros(len(scores), np.int64),
    )


def test_pooled_figures_use_thresholds_of_the_other_folds() -> None:
    """A threshold that only its own fold would choose must not be used there."""
    box = np.array([10, 10, 30, 30], np.float32)
    far = box + 50
    photos = tuple(
        Photo(
            Path(f"{n}.png"),
            f"{n:064}",
            99,
            99,
            box[None] if n % 2 else np.zeros((0, 4), np.float32),
            np.zeros(n % 2, np.int64),
        )
        for n in range(8)
    )
    # fold 0 scores defects 0.9 and the rest 0.6, fold 1 scores them 0.5 and 0.2
    found = tuple(
        shown([0.9 - 0.4 * (n // 4)], box)
        if n % 2
        else shown([0.6 - 0.4 * (n // 4)], far)
        for n in range(8)
    )
    crossed = CrossTraining(photos, found, np.repeat(np.arange(2), 4))
    metrics = pooled_metrics(crossed, ["dot"])
    # fold 0 at the threshold of fold 1 (0.35) alarms its good parts; fold 1 at the
    # threshold of fold 0 (0.75) misses its defects: the folds alone would be perfect
    assert metrics.recall == 0.5
    assert metrics.overkill == 0.5
    assert metrics.escapes == 0.5
    assert (metrics.images, metrics.good_images, metrics.split) == (8, 4, "folds")
    rule = DecisionRule(np.array([0.75], np.float32))
    perfect = count(found[:4], photos[:4], rule)
    assert (perfect.true_positives, perfect.alarmed) == (2, 0)


def test_train_with_folds_writes_and_reports_label_issues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_coco(tmp_path / "d", {"train": 3, "val": 3})
    document = json.loads((data / "train.json").read_text("utf-8"))
    twice = dict(document["annotations"][0], id=99)
    document["annotations"].append(twice)
    (data / "train.json").write_text(json.dumps(document), "utf-8")
    run = tmp_path / "run"
    options = ["--weights", "none", "--size", "64", "--epochs", "1", "--batch", "4"]
    command = ["train", str(data), "--out", str(run), "--folds", "2", *options]
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["folds"]["metrics"]["images"] == 6
    assert printed["metrics"]["images"] == 3  # val did not change
    suspects = json.loads((run / "suspects" / "suspects.json").read_text("utf-8"))
    [one] = [s for s in suspects["suspects"] if s["kind"] == "duplicate-label"]
    assert one["photo"] == "images/train-0.png"
    assert one["labelled"]["label"] == "dot"
    page = (run / "report.html").read_text("utf-8")
    assert "Which labels are wrong?" in page
    assert "duplicate label" in page
    assert "Over all 2 folds" in page
    assert main([*command, "--resume"]) == 0
    output = capsys.readouterr()
    assert "labels that look wrong: 1 more likely than not" in output.out


def test_folds_do_not_select_on_the_photos_that_they_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """14 steps are long enough to be validated, but for a fold."""
    monkeypatch.setattr("trainer.fit.validation.TIME_SHARE", 1e6)
    data = open_dataset(write_coco(tmp_path / "d", {"train": 4, "val": 4}))
    options = replace(OPTIONS, epochs=7, batch=2)
    (tmp_path / "run").mkdir()
    alone = train(data, options, tmp_path / "run", Silent(), resume=False)
    assert any(point.map_50 is not None for point in alone.run.record.curve)
    cross_train(
        data, options, tmp_path / "run", lambda _: nullcontext(Silent()), count=2
    )
    for number in range(2):
        record = open_run(tmp_path / "run" / "folds" / str(number)).record
        assert record.schedule is not None
        assert record.schedule.measurements == 0
        assert record.schedule.kept_step is None
        assert not record.schedule.ended_early
        assert all(point.map_50 is None for point in record.curve)
        assert record.curve[-1].step == record.schedule.steps == 14
