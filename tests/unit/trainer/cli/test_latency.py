"""``train --budget-ms``: what it measures, chooses, prints and resumes with."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.simulators.trainings import fresh_training
from trainer.cli.work import latency
from trainer.cli.work.latency import resumed_latency, within_latency
from trainer.data.dataset import Dataset, open_dataset
from trainer.detectors.names import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit.checkpoint import save_checkpoint
from trainer.fit.distributed.process_group import SINGLE_PROCESS
from trainer.fit.latency_budget import with_input
from trainer.fit.options import TrainOptions, resolve
from trainer.ship.inference_time import inference_ms

SIDE_PX = 480
OPTIONS = TrainOptions(weights="none")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four photos of noise, each with one large bright defect."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for split, first in (("train", 0), ("val", 2)):
        images = [{"id": n, "file_name": f"{n}.png"} for n in (first, first + 1)]
        boxes = [
            {"image_id": image["id"], "category_id": 1, "bbox": [40, 40, 160, 160]}
            for image in images
        ]
        for image in images:
            picture = rng.integers(0, 90, (SIDE_PX, SIDE_PX, 3), np.uint8)
            picture[40:200, 40:200] = 250
            assert cv2.imwrite(str(folder / "images" / image["file_name"]), picture)
        document = {
            "images": images,
            "annotations": boxes,
            "categories": [{"id": 1, "name": "stain"}],
        }
        (folder / f"{split}.json").write_text(json.dumps(document), "utf-8")
    return open_dataset(folder)


def test_time_of_the_real_network_is_measured_without_a_training() -> None:
    model = build_detector(Architecture.YOLOX_NANO, 2, OPTIONS.activation)
    assert 0 < inference_ms(model, 64, 96) < 10_000


def test_input_is_chosen_from_measured_times_and_printed(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ms(_: object, height: int, width: int) -> float:
        return height * width / 1e4

    monkeypatch.setattr(latency, "inference_ms", ms)
    printed: list[str] = []
    chosen = within_latency(OPTIONS, dataset, 15, SINGLE_PROCESS, printed.append)
    assert (chosen.size_px, chosen.size_is_limit) == (384, True)
    chosen_words = "the input is 384 x 384 px, 14.7 ms on this machine"
    assert printed == [f"--budget-ms 15: {chosen_words}, not 480 x 480 px, 23.0 ms"]


@pytest.mark.parametrize("size_px", [None, 352])
def test_resumed_training_keeps_its_input(
    dataset: Dataset, tmp_path: Path, size_px: int | None
) -> None:
    interrupted = with_input(OPTIONS, size_px)
    recipe = resolve(interrupted, dataset.for_training()[0])
    path = tmp_path / "checkpoint.pt"
    sides = ("input_height_px", "input_width_px")
    made_with = {side: str(getattr(recipe, side)) for side in sides}
    save_checkpoint(path, fresh_training(), {"made_with": made_with})
    assert resumed_latency(OPTIONS, dataset, path) == interrupted
