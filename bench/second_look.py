"""Does a second look pay? A crop classifier scores what a finished run finds once more.

``python bench/second_look.py RUN DATASET``: SqueezeNet (ImageNet weights of
torchvision) learns, on the photos that the run was trained on, to tell what its
detector finds there: each label, or nothing. The score on the photos of val becomes the
weighted geometric mean of both. The result is mAP and the recall of defects that is
left where few good parts may be alarmed, with the best thresholds for exactly these
photos: an upper bound for both.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torchvision
from measuring.boards import SHARED, add_dataset
from measuring.machine import RESULTS, describe_machine, write_result
from measuring.recall import recalls
from torch import Tensor, nn

from models.boxes import iou
from models.detections import Detections
from models.preprocess import PAD_VALUE, Frame
from trainer.data.dataset import Photo, open_dataset, read_photo
from trainer.evaluation.metrics import (
    average_precisions,
    predict_photos,
    true_positives,
)
from trainer.evaluation.torch_detector import TorchDetector
from trainer.run import open_run

SIDE_PX = 64
CONTEXT = 2.0  # a crop is so many times as large as its box
EPOCHS, BATCH, RATE = 6, 64, 5e-4
WEIGHTS_OF_SECOND = (0.0, 0.3, 0.5, 0.7)  # 0 = the detector alone
FALSE_SCORE, FALSE_OVERLAP = 0.02, 0.2  # what is an example of nothing


def crop(picture: Frame, box: np.ndarray) -> Frame:
    """Return the surroundings of a box, ``[SIDE, SIDE, 3]``."""
    centre = (box[:2] + box[2:]) / 2
    side = max(32.0, CONTEXT * float((box[2:] - box[:2]).max()))
    scale = SIDE_PX / side
    x, y = SIDE_PX / 2 - centre * scale
    moved = np.array([[scale, 0, x], [0, scale, y]], np.float32)
    shown = cv2.warpAffine(
        picture, moved, (SIDE_PX, SIDE_PX), borderValue=(PAD_VALUE,) * 3
    )
    return np.asarray(shown, np.uint8)


def examples(
    photos: Sequence[Photo], found: Sequence[Detections], nothing: int
) -> tuple[Tensor, Tensor]:
    """Return crops ``[N, 3, SIDE, SIDE]`` and what they show."""
    crops, labels = [], []
    for photo, detections in zip(photos, found, strict=True):
        picture, right = read_photo(photo), true_positives(detections, photo)
        overlaps = np.zeros(len(detections))
        if len(photo.boxes):
            overlaps = iou(detections.boxes, photo.boxes).max(axis=1, initial=0)
        is_false = (detections.scores > FALSE_SCORE) & (overlaps < FALSE_OVERLAP)
        for index in np.flatnonzero(right | is_false):
            crops.append(crop(picture, detections.boxes[index]))
            labels.append(int(detections.labels[index]) if right[index] else nothing)
        for box, label in zip(photo.boxes, photo.labels, strict=True):
            crops.append(crop(picture, box))
            labels.append(int(label))
    return normalized(np.stack(crops)), torch.tensor(labels)


def normalized(crops: np.ndarray) -> Tensor:
    """Return crops as ImageNet's networks want them."""
    rgb = torch.from_numpy(np.ascontiguousarray(crops[..., ::-1])).permute(0, 3, 1, 2)
    mean = torch.tensor([123.7, 116.3, 103.5]).view(1, 3, 1, 1)
    spread = torch.tensor([58.4, 57.1, 57.4]).view(1, 3, 1, 1)
    return (rgb.float() - mean) / spread


def train(network: nn.Module, crops: Tensor, labels: Tensor, classes: int) -> None:
    """Fit the second look."""
    weight = labels.bincount(minlength=classes).clamp(min=1).float().rsqrt()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.02)
    steps = EPOCHS * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(labels))[: len(labels) // BATCH * BATCH]
        for rows in order.view(-1, BATCH):
            shown = crops[rows]
            for flip in ((2,), (3,)):
                shown = shown.flip(flip) if torch.rand(()) < 0.5 else shown
            shown = shown.transpose(2, 3) if torch.rand(()) < 0.5 else shown
            loss = nn.functional.cross_entropy(
                network(shown), labels[rows], weight / weight.mean()
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()


@torch.inference_mode()
def looked_at(
    network: nn.Module, photos: Sequence[Photo], found: Sequence[Detections]
) -> list[np.ndarray]:
    """Return the second score of each detection."""
    scores = []
    for photo, detections in zip(photos, found, strict=True):
        own = np.zeros(0, np.float32)
        if len(detections):
            picture = read_photo(photo)
            crops = np.stack([crop(picture, box) for box in detections.boxes])
            chance = network(normalized(crops)).softmax(1).numpy()
            own = chance[np.arange(len(detections)), detections.labels]
        scores.append(own)
    return scores


def rescored(found: Detections, second: np.ndarray, weight: float) -> Detections:
    """Return detections with both scores joined, best first."""
    scores = (found.scores ** (1 - weight) * second**weight).astype(np.float32)
    return replace(found, scores=scores).take(np.argsort(-scores, kind="stable"))


def main(words: list[str]) -> int:
    """Measure a run with and without a second look.

    Args:
        words: After the program's name.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    add_dataset(parser)
    args = parser.parse_args(words)
    machine = describe_machine()
    torch.manual_seed(0)
    run, dataset = open_run(args.run), open_dataset(args.dataset)
    photos, held_out = dataset.for_training()
    classes = len(dataset.labels)
    size_px = run.record.input_height_px, run.record.input_width_px
    detector = TorchDetector(run.model, *size_px)
    network = torchvision.models.squeezenet1_1()
    weights = SHARED / "weights" / "squeezenet1_1_imagenet.pth"
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.classifier[1] = nn.Conv2d(512, classes + 1, 1)
    seen = examples(photos, predict_photos(detector, photos, classes), classes)
    train(network.train(), *seen, classes + 1)
    found = predict_photos(detector, held_out, classes)
    second = looked_at(network.eval(), held_out, found)
    rows: dict[str, Any] = {}
    for weight in WEIGHTS_OF_SECOND:
        joined = [rescored(*pair, weight) for pair in zip(found, second, strict=True)]
        precision = average_precisions(joined, held_out, classes)
        rows[str(weight)] = {
            "map": precision,
            "recall_at_good_parts_alarmed": recalls(joined, held_out, classes),
        }
        print(weight, rows[str(weight)], flush=True)
    document = {
        "machine": machine,
        "run_seconds": run.record.seconds,
        "examples": len(seen[1]),
        "weight_of_second_look": rows,
    }
    write_result(RESULTS / "second_look.json", document)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
