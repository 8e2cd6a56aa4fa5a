"""A small finished run: a detector with hand-made weights that finds bright squares.

A photo is a grid of cells; a cell that is brighter or darker than the part is a
defect. One convolution measures each cell, a second one scores it, and the decoding
is the one of a real detector. It needs no training, its scores and boxes are
meaningful, and it can be exported and quantized like any other.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from models.preprocess import Frame
from trainer.data.dataset import Dataset
from trainer.data.sample import BoxTarget
from trainer.detectors.base import LossParts, TrainableDetector, static_size
from trainer.detectors.names import Activation, Architecture
from trainer.evaluation.metrics import measure, predict_photos
from trainer.evaluation.thresholds.choose import choose_thresholds
from trainer.evaluation.torch_detector import TorchDetector
from trainer.run import Run
from trainer.run_record import CurvePoint, RunRecord

LABELS = ("bright spot", "dark spot")
HEIGHT_PX, WIDTH_PX = 64, 96
CELL_PX = 16
BRIGHT, DARK = (196, 246), (5, 50)  # grey levels of defects, from weak to strong
STEEPNESS = 6.0
MIDDLES = (2.707, 0.84)  # feature of a cell where each label's score is one half


class CellDetector(TrainableDetector):
    """Finds bright and dark cells."""

    def __init__(self) -> None:
        super().__init__()
        self.num_classes = len(LABELS)
        self.measure = nn.Conv2d(3, 4, CELL_PX, stride=CELL_PX)
        self.activation = nn.Hardswish()
        self.predict = nn.Conv2d(4, 4 + self.num_classes, 1)
        with torch.no_grad():
            self.measure.weight.fill_(4 / (3 * CELL_PX**2 * 255))
            self.measure.bias.zero_()
            self.predict.weight.zero_()
            self.predict.weight[4] = STEEPNESS / 4
            self.predict.weight[5] = -STEEPNESS / 4
            self.predict.bias.copy_(
                torch.tensor(
                    [0.5, 0.5, 0, 0, -STEEPNESS * MIDDLES[0], STEEPNESS * MIDDLES[1]]
                )
            )

    @property
    def architecture(self) -> Architecture:
        return Architecture.YOLOX_NANO

    def forward(self, images: Tensor) -> Tensor:
        """Return ``[N, 4 + C, rows, columns]``."""
        found: Tensor = self.predict(self.activation(self.measure(images)))
        return found

    @property
    def feature_extractor(self) -> nn.Module:
        return self.measure

    def loss_of_raw(self, raw: Any, targets: Sequence[BoxTarget]) -> LossParts:
        raise NotImplementedError

    def detections(self, images: Tensor) -> Tensor:
        raw = self(images)
        rows, columns = static_size(raw)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        grid = torch.stack((x, y)).flatten(1).float()  # [2, A]
        values = raw.flatten(2)  # [N, 4 + C, A]
        centre = (values[:, :2] + grid) * CELL_PX
        size = values[:, 2:4].exp() * CELL_PX
        return torch.cat((centre, size, values[:, 4:].sigmoid()), dim=1)


def write_spots(
    folder: Path, *, train: int = 12, val: int = 18, good: int = 12, seed: int = 0
) -> None:
    """Write a COCO dataset of noisy grey photos with one or two spots each."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    (folder / "good").mkdir()
    for split, count in (("train", train), ("val", val)):
        images, annotations = [], []
        for number in range(count):
            picture, rows = _photo(rng, 1 + number % 2)
            name = f"{split}-{number}.png"
            assert cv2.imwrite(str(folder / "images" / name), picture)
            images.append({"id": number, "file_name": name})
            for x, y, label in rows:
                annotations.append(
                    {
                        "image_id": number,
                        "category_id": label + 1,
                        "bbox": [x, y, CELL_PX, CELL_PX],
                    }
                )
        document = {
            "images": images,
            "annotations": annotations,
            "categories": [
                {"id": i + 1, "name": name} for i, name in enumerate(LABELS)
            ],
        }
        (folder / f"{split}.json").write_text(json.dumps(document))
    for number in range(good):
        picture, _ = _photo(rng, 0)
        assert cv2.imwrite(str(folder / "good" / f"{number}.png"), picture)


def _photo(
    rng: np.random.Generator, spots: int
) -> tuple[Frame, list[tuple[int, int, int]]]:
    picture = rng.integers(100, 140, (HEIGHT_PX, WIDTH_PX, 3)).astype(np.uint8)
    rows = []
    columns = rng.permutation(WIDTH_PX // CELL_PX)[:spots]
    for column in columns:
        x = int(column) * CELL_PX
        y = int(rng.integers(0, HEIGHT_PX // CELL_PX)) * CELL_PX
        label = int(rng.integers(0, len(LABELS)))
        level = int(rng.integers(*(BRIGHT if label == 0 else DARK)))
        picture[y : y + CELL_PX, x : x + CELL_PX] = level
        rows.append((x, y, label))
    return picture, rows


def make_run(folder: Path, dataset: Dataset) -> Run:
    """Return a finished run of a cell detector, measured on the dataset.

    The run on disk cannot be opened: no architecture of the product fits it.
    """
    model = CellDetector().eval()
    _, held_out = dataset.for_training()
    found = predict_photos(
        TorchDetector(model, HEIGHT_PX, WIDTH_PX), held_out, len(LABELS)
    )
    thresholds = choose_thresholds(found, held_out, LABELS, "val")
    record = RunRecord(
        name="Spots_1",
        detector=Architecture.YOLOX_NANO,
        activation=Activation.HARDSWISH,
        labels=LABELS,
        input_height_px=HEIGHT_PX,
        input_width_px=WIDTH_PX,
        seed=0,
        recipe={"epochs": 2},
        pretrained="none",
        dataset=str(dataset.root),
        dataset_sha256=dataset.sha256,
        dataset_images=dataset.photo_count,
        versions={"torch": torch.__version__},
        seconds=1.5,
        thresholds=thresholds,
        metrics=measure(found, held_out, LABELS, thresholds, "val"),
        curve=(
            CurvePoint(epoch=1, step=10, seconds=0.8, loss=9.5),
            CurvePoint(epoch=2, step=20, seconds=1.5, loss=4.0),
        ),
    )
    return Run(folder, record, model)
