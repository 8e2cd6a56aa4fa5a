"""A run is repeated, interrupted, resumed and continued, on pictures of 64 px."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from graftline import main
from models.errors import ConfigError, ExitCode, TrainingError
from models.files import sha256_of
from tests.command import REPOSITORY, environment
from tests.simulators.photos import write_coco
from trainer.cli.progress import SilentObserver, TerminalObserver
from trainer.data.dataset import open_dataset
from trainer.detectors.names import Activation, Architecture, ScoreRule
from trainer.detectors.yolox import YOLOX
from trainer.detectors.zoo import build_detector
from trainer.fit import planner, recipe, speed, validation
from trainer.fit.earlier_run import inherit
from trainer.fit.engine import StepReport
from trainer.fit.options import TrainOptions
from trainer.fit.repeat import open_repeat
from trainer.fit.time_plan import TimePlan
from trainer.run import Run, open_run

SMALL = ("--size", "64", "--batch", "2", "--weights", "none", "--seed", "3")
KILLED_AFTER = 14  # in the fourth epoch, once the first run knew its pace
TICK_S = 0.1  # of the simulated clock


@pytest.fixture(scope="module", autouse=True)
def _every_epoch_is_validated() -> Iterator[None]:
    """Let no clock decide how often is validated: as often as possible."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "TIME_SHARE", 1e6)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("data") / "d", {"train": 9, "val": 4})


@pytest.fixture(scope="module")
def first(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of 20 steps, 4 an epoch, validated after the fourth and fifth."""
    out = tmp_path_factory.mktemp("first") / "run"
    assert train(data, out, *SMALL, "--epochs", "5") == 0
    return out


def train(data: Path, out: Path, *options: str) -> int:
    return main(["train", str(data), "--out", str(out), *options])


def figures(run: Path) -> dict[str, Any]:
    """Return what must be the same in a repeated run."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    curve = [{k: v for k, v in p.items() if k != "seconds"} for p in record["curve"]]
    schedule = {
        k: v for k, v in record["schedule"].items() if k not in {"minutes", "reduced"}
    }
    weights = sha256_of(run / "model.safetensors")
    return {key: record[key] for key in ("metrics", "thresholds", "seed")} | {
        "curve": curve,
        "schedule": schedule,
        "weights": weights,
    }


def test_budget_becomes_steps_that_are_recorded(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that moves by a tenth of a second each time that it is read."""
    ticks = itertools.count()

    def now_s() -> float:
        return next(ticks) * TICK_S

    clock = SimpleNamespace(monotonic=now_s, process_time=now_s)
    for module in (planner, recipe, speed):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(validation, "time", clock)
    monkeypatch.setattr(validation, "TIME_SHARE", 0.04)
    options = TrainOptions(weights="none", size_px=64, batch=2, seed=3, minutes=0.1)
    recipe.train(
        open_dataset(data),
        options,
        tmp_path,
        SilentObserver(),
        resume=False,
        started_s=0.0,
    )
    record = open_run(tmp_path).record
    assert record.schedule
    assert record.schedule.minutes == pytest.approx(0.1)
    assert record.schedule.past
    assert record.curve[-1].step == record.schedule.steps >= 10
    assert next(ticks) * TICK_S < 6


def test_repeated_schedule_gives_the_same_to_the_last_digit(
    data: Path, first: Path, tmp_path: Path
) -> None:
    assert train(data, tmp_path / "again", "--schedule", str(first)) == 0
    assert figures(tmp_path / "again") == figures(first)
    assert open_run(tmp_path / "again").record.repeats == "run"


def test_repeated_run_is_validated_at_the_same_steps(first: Path) -> None:
    """The number of validations is known only once the pace is."""
    record = open_run(first).record
    assert record.schedule
    assert record.schedule.measurements > 2
    validated = [point.step for point in record.curve if point.map_50 is not None]
    assert validated == [16, 20]


def test_killed_in_the_middle_of_an_epoch_and_resumed_gives_the_same(
    data: Path, first: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    command = ["train", str(data), "--out", str(out), "--schedule", str(first)]
    code = (
        "import os, signal, sys\n"
        "from trainer.fit import checkpoint\n"
        "from trainer.cli import progress\n"
        "checkpoint.CHECKPOINT_EVERY_S = 0.0\n"
        "step = progress.TerminalObserver.step\n"
        "def killed(self, epoch, report):\n"
        "    step(self, epoch, report)\n"
        f"    if report.step == {KILLED_AFTER}:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "progress.TerminalObserver.step = killed\n"
        "from graftline import main\n"
        f"sys.exit(main({command!r}))\n"
    )
    # Sums depend on the number of threads: the same as in this process.
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    killed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env=environment() | threads,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    assert state["step"] == KILLED_AFTER - 1
    assert state["step"] % open_run(first).record.schedule.steps_per_epoch
    assert train(data, out, "--schedule", str(first), "--resume") == 0
    assert figures(out) == figures(first)


def test_interrupted_before_the_first_epoch_ends_resumes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt writes nothing: on disk it leaves what a kill leaves."""

    def interrupt(_: TerminalObserver, epoch: int, report: StepReport) -> None:
        assert (epoch, report.step) == (1, 1)
        raise KeyboardInterrupt

    options = (*SMALL, "--epochs", "1")
    with monkeypatch.context() as patch:
        patch.setattr(TerminalObserver, "step", interrupt)
        assert train(data, tmp_path, *options) == ExitCode.INTERRUPTED
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 0
    assert train(data, tmp_path, *options, "--resume") == 0


def test_training_from_another_default_resumes_repeats_and_continues(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier version started from these weights where none were given."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    size = ("--size", "64", "--batch", "2", "--epochs", "1")
    begun = ("--weights", "graft-n-synthetic", *size)
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(TerminalObserver, "step", interrupt)
        assert train(data, run, *begun) == ExitCode.INTERRUPTED
    assert train(data, run, *size, "--resume") == 0
    assert train(data, tmp_path / "again", "--schedule", str(run)) == 0
    assert figures(tmp_path / "again") == figures(run)
    assert train(data, tmp_path / "next", "--from", str(run), *size) == 0
    for name in ("run", "again", "next"):
        record = open_run(tmp_path / name).record
        assert record.detector is Architecture.GRAFT_N
        assert record.activation is Activation.RELU
    assert open_run(run).record.pretrained == "graft-n-synthetic"


def test_options_that_the_repeated_run_decides_are_refused(
    data: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--schedule", str(first), "--learning-rate", "0.1")
    assert train(data, tmp_path / "r", *options) == ConfigError.exit_code
    assert "--learning-rate and --schedule" in capsys.readouterr().err


def test_differences_from_the_repeated_run_are_reported_before_training(
    first: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "train", interrupt)
    other = write_coco(tmp_path / "d", {"train": 9, "val": 4}, seed=1)
    code = train(other, tmp_path / "r", "--schedule", str(first))
    assert code == ExitCode.INTERRUPTED
    assert "figures will differ from run: the photos" in capsys.readouterr().err


def test_run_of_an_older_version_cannot_be_repeated(
    first: Path, tmp_path: Path
) -> None:
    record = json.loads((first / "run.json").read_text(encoding="utf-8"))
    del record["schedule"]
    (tmp_path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    os.link(first / "model.safetensors", tmp_path / "model.safetensors")
    with pytest.raises(TrainingError, match="did not record the schedule"):
        open_repeat(tmp_path)


def test_tiny_budget_gives_the_least_run_and_says_what_was_left_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (*SMALL, "--minutes", "0.001")
    assert train(data, tmp_path / "r", *options) == 0
    printed = capsys.readouterr().err
    record = open_run(tmp_path / "r").record
    assert record.schedule
    assert record.schedule.steps == 1
    first, last = record.schedule.reduced
    assert first == (
        "--minutes 0.001 is short: about 1 step fits instead of 150 or more; expect a "
        "detector that finds little"
    )
    assert "the training took" in last
    assert first in printed
    assert last in printed
    assert first in (tmp_path / "r/report.html").read_text("utf-8")
    assert train(data, tmp_path / "again", "--schedule", str(tmp_path / "r")) == 0
    assert figures(tmp_path / "again")["weights"] == figures(tmp_path / "r")["weights"]


def test_interrupted_budget_resumes_with_the_input_that_it_had_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A faster machine would choose another one, and the weights would not fit."""
    chosen = TimePlan(320, 0, 2, 5, 0.01, ("--minutes 0.05 is short: smaller",))
    monkeypatch.setattr(recipe, "_measured_plan", lambda *_: chosen)
    photos = open_dataset(
        write_coco(tmp_path / "d", {"train": 2, "val": 2}, size_px=640)
    )
    options = TrainOptions(weights="none", batch=1, minutes=0.05)

    class Interrupting(SilentObserver):
        def step(self, epoch: int, report: StepReport) -> None:
            raise KeyboardInterrupt

    out = tmp_path / "r"
    out.mkdir()
    with pytest.raises(KeyboardInterrupt):
        recipe.train(photos, options, out, Interrupting(), resume=False)
    monkeypatch.setattr(recipe, "_measured_plan", lambda *_: TimePlan())
    recipe.train(photos, options, out, SilentObserver(), resume=True)
    record = open_run(out).record
    assert record.input_width_px == 320
    assert record.schedule
    assert record.schedule.reduced[0] == "--minutes 0.05 is short: smaller"


def test_training_continues_from_an_earlier_run(
    data: Path, first: Path, tmp_path: Path
) -> None:
    options = ("--from", str(first), "--size", "64", "--epochs", "1")
    assert train(data, tmp_path / "r", *options) == 0
    record = open_run(tmp_path / "r").record
    (ancestor,) = record.ancestors
    assert ancestor.name == "run"
    assert ancestor.sha256 == sha256_of(first / "model.safetensors")
    assert record.pretrained_sha256 == ancestor.sha256
    assert (ancestor.kept_labels, ancestor.fresh_labels) == (("dot", "bar"), ())
    options = ("--from", str(tmp_path / "r"), "--size", "64", "--epochs", "1")
    assert train(data, tmp_path / "grandchild", *options) == 0
    descent = open_run(tmp_path / "grandchild").record.ancestors
    assert [a.name for a in descent] == ["r", "run"]


def test_from_refuses_another_network(
    data: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--from", str(first), "--activation", "relu")
    assert train(data, tmp_path / "r", *options) == ConfigError.exit_code
    assert "has hardswish" in capsys.readouterr().err


@pytest.mark.parametrize("detector", [Architecture.YOLOX_NANO, Architecture.SSDLITE])
def test_classes_are_taken_over_by_name(first: Path, detector: Architecture) -> None:
    torch.manual_seed(0)
    record = open_run(first).record
    old = build_detector(detector, 2).eval()
    record = record.model_copy(update={"detector": detector})
    new = build_detector(detector, 3).eval()
    for model in (old, new):
        if isinstance(model, YOLOX):  # the share of a class is that of three classes
            model.score_rule = ScoreRule.PRODUCT
    untouched = {k: v.clone() for k, v in new.state_dict().items()}
    found = inherit(new, ("scratch", "bar", "dot"), Run(first, record, old))
    assert (found.kept, found.fresh) == (("bar", "dot"), ("scratch",))
    image = torch.randint(0, 256, (1, 3, 320, 320)).float()
    with torch.no_grad():
        was, now = old.detections(image), new.detections(image)
    assert torch.allclose(was[:, :4], now[:, :4], rtol=1e-4)
    if detector is Architecture.YOLOX_NANO:  # scores of SSDLite share a softmax
        assert torch.allclose(was[:, 4], now[:, 6], rtol=1e-4)
        assert torch.allclose(was[:, 5], now[:, 5], rtol=1e-4)
        bias = "head.cls_preds.0.bias"
        assert torch.equal(new.state_dict()[bias][:1], untouched[bias][:1])
        return
    with torch.no_grad():
        was, now = old(image).logits, new(image).logits
    assert torch.allclose(was[..., 0], now[..., 0], rtol=1e-4)
    assert torch.allclose(was[..., 1], now[..., 3], rtol=1e-4)
    assert torch.allclose(was[..., 2], now[..., 2], rtol=1e-4)


def test_open_dataset_hash_is_in_the_record(data: Path, first: Path) -> None:
    record = open_run(first).record
    assert record.dataset_sha256 == open_dataset(data).sha256
    assert replace(open_repeat(first), name="x").record.machine == record.machine
