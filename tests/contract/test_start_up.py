"""Help and refusals come at once: no training library is loaded for them."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.detections import no_detections
from models.errors import ConfigError, DatasetError, TrainingError
from tests.command import environment
from tests.simulators.photos import write_coco, write_good
from tests.simulators.records import make_record
from trainer.data.dataset import open_dataset

SLOW = {"torch", "torchvision", "onnx", "onnxruntime", "openvino", "nncf"}
TIMEOUT_S = 100


def start(folder: Path, *arguments: str) -> tuple[int, set[str]]:
    """Return exit code and imported modules of a command."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "graftline", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    lines = done.stderr.splitlines()
    loaded = {line.rpartition("|")[2].strip() for line in lines if "|" in line}
    return done.returncode, loaded


@pytest.mark.parametrize("verb", ["train", "evaluate", "pack", "check", "merge"])
def test_help_loads_no_training_library(tmp_path: Path, verb: str) -> None:
    code, loaded = start(tmp_path, verb, "--help")
    assert code == 0
    assert "trainer.cli.progress" in loaded
    assert not SLOW & loaded


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("train nothing --out run", DatasetError.exit_code),
        ("train photos --out run", DatasetError.exit_code),  # two good parts: too few
        ("train photos --out run --from a --weights b", ConfigError.exit_code),
        ("train photos --out run --epochs none", 2),
        ("evaluate nothing photos", TrainingError.exit_code),
        ("evaluate run-1 nothing", DatasetError.exit_code),
        ("pack nothing --out package", TrainingError.exit_code),
        ("pack run-1 --out package", DatasetError.exit_code),  # its photos are gone
    ],
)
def test_refusal_loads_no_training_library(
    tmp_path: Path, arguments: str, code: int
) -> None:
    write_good(tmp_path / "photos", 2)
    (tmp_path / "run-1").mkdir()
    photos = open_dataset(write_coco(tmp_path / "moved", {"train": 1, "val": 1})).photos
    record = make_record(photos, [no_detections()] * len(photos), ("dot", "bar"))
    (tmp_path / "run-1" / "run.json").write_text(record.model_dump_json(), "utf-8")
    answer, loaded = start(tmp_path, *arguments.split())
    assert answer == code
    assert not SLOW & loaded
