"""A plan beside the trainings keeps those of other photos or options apart."""

import json
from pathlib import Path

import pytest

from models.errors import TrainingError
from trainer.study.trainings import PLAN_NAME, require_same_plan


def test_plan_is_written_once_and_accepted_again(tmp_path: Path) -> None:
    root = tmp_path / "folds"
    require_same_plan(root, {"folds": 3}, "folds")
    require_same_plan(root, {"folds": 3}, "folds")
    assert json.loads((root / PLAN_NAME).read_text("utf-8")) == {"folds": 3}


def test_other_plan_is_refused_with_both_values(tmp_path: Path) -> None:
    require_same_plan(tmp_path, {"folds": 3, "photos": [1]}, "folds")
    with pytest.raises(TrainingError, match="made with other folds") as caught:
        require_same_plan(tmp_path, {"folds": 4, "photos": [1]}, "folds")
    assert caught.value.why == "Then 3, now 4."
    assert str(tmp_path) in caught.value.fix


def test_key_of_the_options_is_reported_as_options(tmp_path: Path) -> None:
    require_same_plan(tmp_path, {"wishes": {"epochs": 1}}, "folds")
    with pytest.raises(TrainingError, match="made with other options"):
        require_same_plan(tmp_path, {"wishes": {"epochs": 2}}, "folds")


@pytest.mark.parametrize("content", [b"", b"[]", b"{"])
def test_damaged_plan_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PLAN_NAME).write_bytes(content)
    with pytest.raises(TrainingError, match=PLAN_NAME):
        require_same_plan(tmp_path, {"folds": 3}, "folds")


def test_folder_that_cannot_be_written_is_a_training_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError):
        require_same_plan(tmp_path / "file" / "folds", {"folds": 3}, "folds")
