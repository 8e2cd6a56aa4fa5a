"""A pattern names groups of photos; it outranks likeness."""

from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.photos import write_coco
from trainer.data.dataset import open_dataset
from trainer.data.splitting import group_pattern
from trainer.data.splitting.grouping import below
from trainer.data.splitting.split_record import SplitOptions


def test_pattern_keeps_a_lot_together_and_one_that_matches_nothing_is_refused(
    tmp_path: Path,
) -> None:
    root = write_coco(tmp_path / "d", {"train": 19})
    dataset = open_dataset(root, split=SplitOptions(pattern=r"train-(\d)"))
    trained, measured = (
        {photo.path.stem[6] for photo in side} for side in dataset.for_training()
    )
    assert trained
    assert measured
    assert not trained & measured
    with pytest.raises(DatasetError, match="no photo is named"):
        open_dataset(root, split=SplitOptions(pattern="lot(.)"))


def test_pattern_that_takes_too_long_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_pattern, "SEARCH_MAX_S", 0.1)
    root = write_coco(tmp_path / "d", {"train": 2})
    pattern = f"({'(?:[a-z/-]|[a-z/-])+' * 3})+!$"
    with pytest.raises(DatasetError, match="too slow, it takes more than"):
        open_dataset(root, split=SplitOptions(pattern=pattern))


def test_path_below_the_dataset_has_forward_slashes_and_others_stay_whole() -> None:
    assert below(Path("d/images/a.png"), Path("d")) == "images/a.png"
    assert below(Path("/other/a.png"), Path("d")) == "/other/a.png"
