"""Checkpoints restore a training, or are refused as a whole."""

import os
from pathlib import Path

import pytest
import torch

from models.errors import TrainingError
from tests.simulators.trainings import batch, fresh_training
from trainer.detectors.names import Architecture
from trainer.fit.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    stored_plan,
    stored_start,
)
from trainer.fit.engine import train_step


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


@pytest.mark.fault(81)
def test_checkpoint_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for name in ("c.pt", "c.partial"):
        (tmp_path / name).symlink_to("mine")
    save_checkpoint(tmp_path / "c.pt", fresh_training(), {})
    assert load_checkpoint(tmp_path / "c.pt", fresh_training()) == {}
    assert (tmp_path / "mine").read_text() == "mine"


def test_missing_checkpoint_is_stated_without_the_error_of_the_system(
    tmp_path: Path,
) -> None:
    with pytest.raises(TrainingError, match="cannot resume") as caught:
        load_checkpoint(tmp_path / "c.pt", fresh_training())
    assert caught.value.why.startswith("There is no checkpoint: ")
    assert "Errno" not in str(caught.value)


def test_plan_in_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.pt")
    with pytest.raises(TrainingError, match="not a regular file"):
        stored_plan(tmp_path / "c.pt")
    with pytest.raises(TrainingError, match="not a regular file"):
        load_checkpoint(tmp_path / "c.pt", fresh_training())


@pytest.mark.parametrize("extra", [[], {"time_plan": 1}, {"time_plan": {"a": 1}}, None])
def test_plan_that_no_training_writes_is_refused(tmp_path: Path, extra: object) -> None:
    torch.save({"extra": extra}, tmp_path / "c.pt")
    with pytest.raises(TrainingError, match=r"c\.pt"):
        stored_plan(tmp_path / "c.pt")


def test_start_of_an_interrupted_training_is_in_its_checkpoint(tmp_path: Path) -> None:
    made_with = {"weights": "graft-n-synthetic", "detector": "graft-n"}
    save_checkpoint(tmp_path / "c.pt", fresh_training(), {"made_with": made_with})
    start = ("graft-n-synthetic", Architecture.GRAFT_N)
    assert stored_start(tmp_path / "c.pt") == start


@pytest.mark.parametrize(
    "extra", [[], {"made_with": {"weights": "a", "detector": "b"}}, {}, None]
)
def test_start_that_no_training_writes_is_refused(
    tmp_path: Path, extra: object
) -> None:
    torch.save({"extra": extra}, tmp_path / "c.pt")
    with pytest.raises(TrainingError, match="cannot resume"):
        stored_start(tmp_path / "c.pt")


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


def test_refused_checkpoint_does_not_change_the_weights(tmp_path: Path) -> None:
    first, second = fresh_training(), fresh_training()
    train_step(first, *batch())
    save_checkpoint(tmp_path / "c.pt", first, {"made_with": {"dataset": "a"}})
    before = {k: v.clone() for k, v in second.model.state_dict().items()}
    with pytest.raises(TrainingError, match="made with dataset = a"):
        load_checkpoint(tmp_path / "c.pt", second, {"dataset": "b"})
    for name, value in second.model.state_dict().items():
        assert torch.equal(value, before[name])
