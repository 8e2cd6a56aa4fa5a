"""A run is repeated, interrupted and gone on from, on pictures of 64 px."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from graftline import main
from models.errors import ConfigError, TrainingError
from models.files import sha256_of
from tests.simulators.photos import write_coco
from trainer.data.dataset import open_dataset
from trainer.detectors.base import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit.earlier_run import inherit
from trainer.fit.repeat import open_repeat
from trainer.run import Run, open_run

SMALL = ("--size", "64", "--batch", "2", "--weights", "none", "--seed", "3")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("data") / "d", {"train": 9, "val": 4})


@pytest.fixture(scope="module")
def first(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of 20 steps, 4 an epoch."""
    out = tmp_path_factory.mktemp("first") / "run"
    assert train(data, out, *SMALL, "--epochs", "5") == 0
    return out


def train(data: Path, out: Path, *options: str) -> int:
    return main(["train", str(data), "--out", str(out), *options])


def said(run: Path) -> dict[str, Any]:
    """Return what must be the same in a repeated run."""
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    curve = [{k: v for k, v in p.items() if k != "seconds"} for p in record["curve"]]
    schedule = {k: v for k, v in record["schedule"].items() if k != "minutes"}
    weights = sha256_of(run / "model.safetensors")
    return {key: record[key] for key in ("metrics", "thresholds", "seed")} | {
        "curve": curve,
        "schedule": schedule,
        "weights": weights,
    }


def test_budget_becomes_steps_that_are_written_down(data: Path, tmp_path: Path) -> None:
    assert train(data, tmp_path / "r", *SMALL, "--minutes", "0.4") == 0
    record = open_run(tmp_path / "r").record
    assert record.schedule
    assert record.schedule.minutes == pytest.approx(0.4)
    assert record.schedule.past
    assert record.curve[-1].step == record.schedule.steps >= 20


def test_repeated_schedule_gives_the_same_to_the_last_digit(
    data: Path, first: Path, tmp_path: Path
) -> None:
    assert train(data, tmp_path / "again", "--schedule", str(first)) == 0
    assert said(tmp_path / "again") == said(first)
    assert open_run(tmp_path / "again").record.repeats == "run"


def test_killed_in_the_middle_of_an_epoch_and_resumed_gives_the_same(
    data: Path, first: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    words = ["train", str(data), "--out", str(out), "--schedule", str(first)]
    code = (
        "import os, signal, sys\n"
        "from trainer.fit import loop\n"
        "from trainer import cli_progress\n"
        "loop.CHECKPOINT_EVERY_S = 0.0\n"
        "step = cli_progress.TerminalObserver.step\n"
        "def dying(self, epoch, report):\n"
        "    step(self, epoch, report)\n"
        "    if report.step == 11:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "cli_progress.TerminalObserver.step = dying\n"
        "from graftline import main\n"
        f"sys.exit(main({words!r}))\n"
    )
    root = Path(__file__).parents[3]
    killed = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    state = torch.load(out / "checkpoint.pt", weights_only=True)
    assert state["step"] == 10
    assert state["step"] % open_run(first).record.schedule.steps_per_epoch
    assert train(data, out, "--schedule", str(first), "--resume") == 0
    assert said(out) == said(first)


def test_killed_before_the_first_epoch_ends_goes_on(data: Path, tmp_path: Path) -> None:
    words = ["train", str(data), "--out", str(tmp_path), *SMALL, "--epochs", "1"]
    code = (
        "import os, signal, sys\n"
        "from trainer import cli_progress\n"
        "def dying(self, epoch, report):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "cli_progress.TerminalObserver.step = dying\n"
        "from graftline import main\n"
        f"sys.exit(main({words!r}))\n"
    )
    root = Path(__file__).parents[3]
    killed = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert train(data, tmp_path, *SMALL, "--epochs", "1", "--resume") == 0


def test_schedule_refuses_options_that_the_run_decides(
    data: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--schedule", str(first), "--learning-rate", "0.1")
    assert train(data, tmp_path / "r", *words) == ConfigError.exit_code
    assert "--learning-rate and --schedule" in capsys.readouterr().err


def test_schedule_says_what_is_not_as_it_was(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_coco(tmp_path / "d", {"train": 9, "val": 4}, seed=1)
    assert train(other, tmp_path / "r", "--schedule", str(first)) == 0
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


def test_too_small_budget_leaves_nothing_behind(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*SMALL, "--minutes", "0.001")
    assert train(data, tmp_path / "r", *words) == ConfigError.exit_code
    assert "or more" in capsys.readouterr().err
    assert list((tmp_path / "r").iterdir()) == []


def test_training_goes_on_from_an_earlier_run(
    data: Path, first: Path, tmp_path: Path
) -> None:
    words = ("--from", str(first), "--size", "64", "--epochs", "1")
    assert train(data, tmp_path / "r", *words) == 0
    record = open_run(tmp_path / "r").record
    (ancestor,) = record.ancestors
    assert ancestor.name == "run"
    assert ancestor.sha256 == sha256_of(first / "model.safetensors")
    assert record.pretrained_sha256 == ancestor.sha256
    assert (ancestor.kept_labels, ancestor.fresh_labels) == (("dot", "bar"), ())
    words = ("--from", str(tmp_path / "r"), "--size", "64", "--epochs", "1")
    assert train(data, tmp_path / "grandchild", *words) == 0
    line = open_run(tmp_path / "grandchild").record.ancestors
    assert [a.name for a in line] == ["r", "run"]


def test_from_refuses_another_network(
    data: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--from", str(first), "--activation", "relu")
    assert train(data, tmp_path / "r", *words) == ConfigError.exit_code
    assert "has hardswish" in capsys.readouterr().err


@pytest.mark.parametrize("detector", [Architecture.YOLOX_NANO, Architecture.SSDLITE])
def test_classes_are_taken_over_by_name(first: Path, detector: Architecture) -> None:
    torch.manual_seed(0)
    record = open_run(first).record
    old = build_detector(detector, 2).eval()
    record = record.model_copy(update={"detector": detector})
    new = build_detector(detector, 3).eval()
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
