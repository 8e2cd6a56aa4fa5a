"""A package's files load in Intel's Model API, and find the same there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.backends import open_detector
from models.boxes import iou
from models.detector import detect
from models.manifest import VariantName
from models.package import Package
from tests.simulators.runs import make_run, write_spots
from trainer.data.dataset import Dataset, open_dataset, read_photo
from trainer.ship.pack import pack_run

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

INSTALL_TIMEOUT_S = 240

# Model API picks ours up by the metadata alone: no model type, no label, no threshold.
LOOK = """
import json, sys
sys.modules["openvino_telemetry"] = None  # no telemetry from a test
import cv2
from model_api.models import Model
model = Model.create_model(sys.argv[1], device="CPU")
found = []
for path in sys.argv[2:]:
    result = model(cv2.imread(path))
    names = [model.get_label_name(int(label)) for label in result.labels]
    found.append([result.bboxes.tolist(), names, result.scores.tolist()])
print(json.dumps({"kind": type(model).__name__, "found": found}))
"""


@pytest.fixture(scope="module")
def model_api(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with Model API, which has its own pins."""
    folder = tmp_path_factory.mktemp("model-api")
    locked = repository / "requirements" / "model-api.txt"
    python = folder / "bin" / "python"
    for arguments in (
        [sys.executable, "-m", "venv", folder],
        [python, "-m", "pip", "install", "-q", "--require-hashes", "-r", locked],
    ):
        _output(arguments)
    return python


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("spots")
    write_spots(folder)
    return open_dataset(folder)


@pytest.fixture(scope="module")
def package(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("package")
    run = make_run(folder / "run", dataset)
    return pack_run(run, dataset, folder / "spots", on_progress=len).package


@pytest.mark.parametrize("variant", list(VariantName))
def test_model_api_finds_the_same_labels_and_boxes(
    model_api: Path,
    package: Package,
    dataset: Dataset,
    variant: VariantName,
    tmp_path: Path,
) -> None:
    frames = [read_photo(photo) for photo in dataset.splits["val"]]
    paths = [tmp_path / f"{number}.png" for number in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        assert cv2.imwrite(str(path), frame)
    arguments = [model_api, "-c", LOOK, package.model_path(variant), *paths]
    answer = json.loads(_output(arguments).splitlines()[-1])
    assert answer["kind"] == "YOLOv8"
    thresholds = package.manifest.score_thresholds()
    lowest = np.full_like(thresholds, thresholds.min())  # it knows only one
    detector = open_detector(package, variant)
    seen = 0
    for frame, (boxes, names, scores) in zip(frames, answer["found"], strict=True):
        found = detect(
            detector,
            frame,
            lowest,
            iou_threshold=package.manifest.thresholds.iou_threshold,
        )
        labels = ["_".join(package.manifest.labels[n].split()) for n in found.labels]
        assert sorted(names) == sorted(labels)
        theirs = np.array(boxes, np.float32).reshape(-1, 4)
        overlaps = iou(found.boxes, theirs)
        for row, (label, score) in enumerate(zip(labels, found.scores, strict=True)):
            partner = int(overlaps[row].argmax())
            assert overlaps[row, partner] >= 0.9  # it rounds to whole pixels
            assert names[partner] == label
            assert scores[partner] == pytest.approx(float(score), abs=0.01)
            seen += 1
    assert seen > 20


def _output(arguments: list[str | Path]) -> str:
    """Return what a program prints; a failure fails the test, it is never skipped."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [str(argument) for argument in arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )
    if result.returncode:
        pytest.fail(f"{arguments[0]}\n{result.stdout}{result.stderr}")
    return result.stdout
