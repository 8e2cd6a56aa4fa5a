"""Photos without a label on which a trained model finds defects.

Without a trained model no photo is reported: on photos of an unknown product, an
anomaly is as often light, dust or another batch as a defect.
"""

from collections.abc import Callable

from models.detections import Detections
from models.detector import detect
from trainer.data.checks.boxes import corners
from trainer.data.dataset import Dataset, Photo, read_photo
from trainer.data.findings import Finding, FindingKind, Level
from trainer.evaluation.evaluate import EvaluatedModel


def find_unlabelled_defects(
    model: EvaluatedModel, dataset: Dataset, on_photo: Callable[[], None] | None = None
) -> list[Finding]:
    """Return photos without a box on which a model reports something, best first.

    At the end is what a run noted of the same good parts.

    Args:
        model: At its own thresholds.
        on_photo: Called after each photo without a box.
    """
    rule = model.thresholds.decision_rule(model.labels)
    thresholds, nms = rule.score_thresholds, model.thresholds.iou_threshold
    found = []
    for photo in dataset.without_boxes:
        frame = read_photo(photo)
        detections = rule.decide(
            detect(model.detector, frame, thresholds, iou_threshold=nms)
        )
        if len(detections):
            found.append((float(detections.scores.max()), photo, detections))
        if on_photo:
            on_photo()
    found.sort(key=lambda one: -one[0])
    notes = _notes_of_good_parts(model, dataset)
    findings = [_finding(model, photo, detections) for _, photo, detections in found]
    return findings + notes


def _notes_of_good_parts(model: EvaluatedModel, dataset: Dataset) -> list[Finding]:
    """Return what the run said of these good parts when it learned from them.

    A photo that its memory was made of is in it: run again, nothing is found there.
    """
    if model.dataset_sha256 != dataset.sha256:
        return []
    fix = "Look at these photos, correct the folder, and train again."
    return [
        Finding(Level.WARNING, dataset.root, "good", note, fix, FindingKind.MIXED_GOOD)
        for note in model.good_notes
    ]


def _finding(model: EvaluatedModel, photo: Photo, detections: Detections) -> Finding:
    best = model.labels[detections.labels[0]]
    others = len(detections) - 1
    also = f" and {others} more" if others else ""
    why = (
        f"nothing is labelled, but {model.name} finds {best} (score "
        f"{detections.scores[0]:.2f}){also}."
    )
    fix = "Check the photo: label the defect, or keep it as a good part that alarms."
    boxes = tuple(corners(box) for box in detections.boxes)
    return Finding(
        Level.WARNING, photo.path, "", why, fix, FindingKind.LOOKS_DEFECTIVE, boxes
    )
