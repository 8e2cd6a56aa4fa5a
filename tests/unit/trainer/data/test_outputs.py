"""No output of the trainer lies in a data set."""

from pathlib import Path

import pytest

from models.errors import TrainingError
from trainer.data.outputs import refuse_inside


@pytest.mark.parametrize("place", ["data", "data/run", "data/a/../run", "link/run"])
def test_output_inside_the_data_set_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(TrainingError, match="lies inside the data set") as caught:
        refuse_inside(tmp_path / "data", tmp_path / place, "--report")
    assert caught.value.what.startswith("--report ")
    assert caught.value.fix == "Choose a place beside it with --report."


@pytest.mark.parametrize("place", ["run", "data-run", "data/../run", ".", "outside"])
def test_output_beside_the_data_set_is_not(place: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "outside").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    refuse_inside(tmp_path / "data", tmp_path / place, "--out")


def test_output_beside_a_zip_is_not(tmp_path: Path) -> None:
    (tmp_path / "data.zip").write_bytes(b"")
    refuse_inside(tmp_path / "data.zip", tmp_path / "run", "--out")


def test_link_that_leads_to_itself_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    refuse_inside(tmp_path / "data", tmp_path / "loop" / "run", "--out")
