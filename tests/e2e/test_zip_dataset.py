"""A zip in place of the folder, through the real command."""

import shutil
from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.command import graftline
from tests.simulators.exports import EXPORTS
from tests.simulators.photos import write_coco

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpack nothing into the cache of this machine's user."""
    monkeypatch.setenv("GRAFTLINE_CACHE", str(tmp_path / "cache"))


def zipped(folder: Path) -> Path:
    """Return a zip of a folder, which goes away."""
    path = shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
    shutil.rmtree(folder)
    return Path(path)


def test_zip_is_trained_on_and_measured_with(tmp_path: Path) -> None:
    path = zipped(write_coco(tmp_path / "photos"))
    learn = ("--weights", "none", "--epochs", "1", "--size", "64", "--batch", "4")
    trained = graftline("train", path, "--out", "run", *learn, "--json", cwd=tmp_path)
    assert trained.code == 0, trained.errors
    assert trained.json["dataset"] == str(path)
    assert trained.json["dataset_images"] == 10
    measured = graftline("evaluate", "run", path, "--json", cwd=tmp_path)
    assert measured.code == 0, measured.errors
    assert measured.json


@pytest.mark.parametrize("name", ["Pascal VOC", "Label Studio"])
def test_check_reports_the_content_of_a_zip(tmp_path: Path, name: str) -> None:
    path = zipped(EXPORTS[name](tmp_path / "export"))
    answer = graftline("check", path, "--json", cwd=tmp_path)
    assert answer.json["labels"] == ["dot"]
    assert answer.json["splits"]["all"] == {"images": 2, "good_images": 1, "boxes": 1}


@pytest.mark.parametrize("arguments", [("check",), ("train", "--out", "run")])
def test_zip_that_is_cut_off_is_refused(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    path = zipped(write_coco(tmp_path / "photos"))
    path.write_bytes(path.read_bytes()[:-50])
    verb, *others = arguments
    answer = graftline(verb, path, *others, "--json", cwd=tmp_path)
    assert answer.code == DatasetError.exit_code
    assert "not a whole zip" in answer.errors
    assert "Traceback" not in answer.errors
    assert not answer.output
    assert not (tmp_path / "run").exists()
