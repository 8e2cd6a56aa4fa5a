"""A training whose files do not fit is refused before its first step."""

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from models import files
from models.errors import TrainingError
from tests.simulators.trainings import batch, fresh_training
from trainer.fit.checkpoint import load_checkpoint, save_checkpoint
from trainer.fit.disk_space import require_space
from trainer.fit.engine import train_step


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_training_that_fits_leaves_nothing_behind(tmp_path: Path) -> None:
    require_space(tmp_path, fresh_training(), tmp_path / "checkpoint.pt")
    assert list(tmp_path.iterdir()) == []


def test_training_that_does_not_fit_is_refused_with_its_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=12_000_000))
    monkeypatch.setattr(files, "shutil", full)
    with pytest.raises(
        TrainingError, match="no space left for this training"
    ) as caught:
        require_space(tmp_path, fresh_training(), tmp_path / "checkpoint.pt")
    assert "No space left on device" in caught.value.why
    assert "two checkpoints of" in caught.value.why
    assert "--out" in caught.value.fix


def test_quota_is_noticed_by_an_attempt(tmp_path: Path) -> None:
    """The disk has free space, but files of this size are refused."""
    with largest_file(1_000_000), pytest.raises(TrainingError, match="no space left"):
        require_space(tmp_path, fresh_training(), tmp_path / "checkpoint.pt")
    assert shutil.disk_usage(tmp_path).free > 1_000_000
    assert list(tmp_path.iterdir()) == []


def test_needs_are_enough_for_the_checkpoint_after_a_step(tmp_path: Path) -> None:
    training, path = fresh_training(), tmp_path / "checkpoint.pt"
    train_step(training, *batch())
    save_checkpoint(path, training, {})
    with largest_file(path.stat().st_size), pytest.raises(TrainingError):
        require_space(tmp_path, training, tmp_path / "other.pt")


def test_failed_checkpoint_names_the_cause_and_keeps_the_last_one(
    tmp_path: Path,
) -> None:
    training, path = fresh_training(), tmp_path / "checkpoint.pt"
    save_checkpoint(path, training, {"epoch": 1})
    with largest_file(100_000), pytest.raises(TrainingError) as caught:
        save_checkpoint(path, training, {"epoch": 2})
    assert caught.value.why == "File too large"
    assert "inline_container" not in str(caught.value)
    assert "--out" in caught.value.fix
    assert load_checkpoint(path, fresh_training()) == {"epoch": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["checkpoint.pt"]
