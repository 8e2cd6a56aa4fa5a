"""The record of a run whose figures are measured on given photos and detections."""

from collections.abc import Sequence

from models.detections import Detections
from models.manifest import ThresholdRule, Thresholds
from trainer.data.dataset import Photo
from trainer.detectors.names import Activation, Architecture
from trainer.evaluation.metrics import measure
from trainer.run_record import CurvePoint, RunRecord


def make_record(
    photos: Sequence[Photo], found: Sequence[Detections], labels: tuple[str, ...]
) -> RunRecord:
    thresholds = Thresholds(
        scores=dict.fromkeys(labels, 0.5),
        iou_threshold=0.65,
        rule=ThresholdRule.BEST_F1,
        chosen_on="val",
        images=len(photos),
        good_images=sum(photo.is_good for photo in photos),
    )
    return RunRecord(
        name="run",
        detector=Architecture.YOLOX_NANO,
        activation=Activation.HARDSWISH,
        labels=labels,
        input_height_px=64,
        input_width_px=64,
        seed=7,
        recipe={"epochs": 2},
        pretrained="none",
        dataset="/data/boards",
        dataset_sha256="a" * 64,
        dataset_images=9,
        versions={"torch": "2"},
        seconds=90,
        thresholds=thresholds,
        metrics=measure(found, photos, labels, thresholds, "val"),
        curve=(
            CurvePoint(epoch=1, step=1, seconds=1, loss=8),
            CurvePoint(epoch=2, step=2, seconds=2, loss=4),
        ),
    )
