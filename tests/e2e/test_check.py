"""``graftline check`` as a person types it, with its page and its copy."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import DatasetError, TrainingError
from tests.command import environment, graftline
from tests.simulators.flawed import write_flawed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def test_page_and_copy_of_a_flawed_dataset(tmp_path: Path) -> None:
    write_flawed(tmp_path / "data")
    arguments = ("check", "data", "--html", "page.html", "--fix", "copy", "--json")
    answer = graftline(*arguments, cwd=tmp_path)
    assert answer.code == 0, answer.errors  # what the copy still has are warnings
    assert answer.json["kinds"]["outside-box"] == 1
    assert answer.json["kinds"]["small-box"] == 1
    assert answer.json["copy"]["ok"]
    assert "outside-box" not in answer.json["copy"]["kinds"]
    assert "</html>" in (tmp_path / "page.html").read_text("utf-8")
    copied = graftline("check", "copy", cwd=tmp_path)
    assert "0 errors" in copied.output
    original = graftline("check", "data", "--fix", "copy", cwd=tmp_path)
    assert original.code == TrainingError.exit_code
    assert "is not empty" in original.errors


def test_flawed_dataset_has_the_exit_code_of_a_dataset(tmp_path: Path) -> None:
    write_flawed(tmp_path / "data")
    assert graftline("check", "data", cwd=tmp_path).code == DatasetError.exit_code


def test_folder_that_is_not_a_run_is_refused_before_photos_are_read(
    tmp_path: Path,
) -> None:
    write_flawed(tmp_path / "data")
    answer = graftline("check", "data", "--run", "data", cwd=tmp_path)
    assert answer.code == TrainingError.exit_code
    assert "not a finished run" in answer.errors


@pytest.mark.parametrize("arguments", [("--help",), ("check", "data")])
def test_no_training_library_is_loaded(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    write_flawed(tmp_path / "data")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "graftline", *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert ("trainer.data.checks.check" in loaded) == ("check" in arguments)
    heavy = {"torch", "torchvision", "pycocotools", "openvino", "onnxruntime"}
    assert not heavy & loaded
