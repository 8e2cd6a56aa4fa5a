"""What a run records of its class ``unknown``."""

from collections.abc import Iterator, Sequence

import numpy as np

from models.counted import agreeing, counted
from models.detections import Detections
from models.heat_map import CELL_PX, UNKNOWN_LABEL
from models.preprocess import Letterbox
from models.shown_text import printable
from trainer.data.checks.good_parts import place_text
from trainer.data.dataset import Dataset, Photo
from trainer.data.findings import first_names
from trainer.detectors.base import TrainableDetector
from trainer.detectors.unknown import UnknownDetector
from trainer.fit.options import Recipe
from trainer.run_record import RunRecord, UnknownRecord, UnlikePhoto, VisibleSpots
from trainer.unknown.fit import FittedMemory
from trainer.unknown.inputs import PhotoInputs
from trainer.unknown.visible import SIDES_PX, OnPhotos, measure_spots

SHOWN = 12  # photos that are the least like the others
# Three spreads above the median: of 1,000 good parts alike about two are there.
UNUSUAL_SCORE = 0.5
DIGITS = 4  # of scores


def unknown_record(
    dataset: Dataset, fitted: FittedMemory, recipe: Recipe, seconds: float
) -> UnknownRecord:
    """Return the record of a memory, before anything is measured with it.

    Args:
        seconds: Time that it took to make.
    """
    rows, inputs = fitted.memory.patches.shape
    good = fitted.good
    scale = _scale(good.photos, recipe)
    photos = [
        _unlike(dataset, photo, score, box, held_out=False)
        for photo, score, box in zip(
            good.photos, good.scores, good.places.tolist(), strict=True
        )
    ]
    return UnknownRecord(
        rows=rows,
        inputs=inputs,
        good_photos=len(good.photos),
        seconds=round(seconds, 1),
        cell_px=round(CELL_PX / scale, 1),
        aligned=fitted.description.aligned,
        scores=tuple(photo.score for photo in photos),
        highest=_highest(photos),
        notes=fitted.description.notes,
    )


def completed(
    run: RunRecord,
    dataset: Dataset,
    model: TrainableDetector,
    measured: tuple[Sequence[Photo], Sequence[Detections]],
    recipe: Recipe,
    measuring: OnPhotos,
) -> RunRecord:
    """Return a record with what ``unknown`` sees at the threshold of the run.

    Args:
        run: Returned as it is where all its classes are named.
        model: In evaluation mode.
        measured: Photos to measure on, and the detections on each.
        measuring: Shows the progress, see ``measure_spots``.
    """
    record = run.unknown
    if record is None or not isinstance(model, UnknownDetector):
        return run
    held_out = [pair for pair in zip(*measured, strict=True) if pair[0].is_good]
    photos = [
        _unlike(dataset, photo, *_best(found, model.num_classes - 1), held_out=True)
        for photo, found in held_out
    ]
    inputs = PhotoInputs((recipe.input_height_px, recipe.input_width_px), recipe.tiles)
    good = [photo for photo, _ in held_out]
    if not good:  # the memory holds them; a spot that is drawn on them it does not
        good = [photo for photo in dataset.for_training()[0] if photo.is_good]
    threshold = run.thresholds.scores[UNKNOWN_LABEL]
    spots = measure_spots(
        *(model, good, inputs, threshold), seed=recipe.seed, measuring=measuring
    )
    sides_px = tuple(round(side / _scale(good, recipe), 1) for side in SIDES_PX)
    changed = record.model_copy(
        update={
            "held_out_scores": tuple(photo.score for photo in photos),
            "highest": _highest([*record.highest, *photos]),
            "visible": tuple(
                VisibleSpots(
                    contrast=one.contrast,
                    photos=one.photos,
                    sides_px=sides_px,
                    seen=one.seen,
                )
                for one in spots
            ),
        }
    )
    sees, notes = tuple(sight(changed)), tuple(to_check(changed))
    noted = changed.model_copy(update={"sees": sees, "notes": notes})
    return run.model_copy(update={"unknown": noted})


def _scale(photos: Sequence[Photo], recipe: Recipe) -> float:
    """Return how many pixels of the input one of the usual photo has."""
    size_px = recipe.input_height_px, recipe.input_width_px
    if recipe.tiles:
        size_px = recipe.tiles.picture_size_px
    height = float(np.median([photo.height_px for photo in photos]))
    width = float(np.median([photo.width_px for photo in photos]))
    return Letterbox(round(height), round(width), *size_px).scale


def _unlike(
    dataset: Dataset,
    photo: Photo,
    score: float,
    box: Sequence[float],
    *,
    held_out: bool,
) -> UnlikePhoto:
    x1, y1, x2, y2 = (round(float(value), 1) for value in box)
    return UnlikePhoto(
        photo=printable(dataset.relative(photo.path)),
        sha256=photo.sha256,
        score=round(score, DIGITS),
        box_px=(x1, y1, x2, y2),
        held_out=held_out,
    )


def _highest(photos: Sequence[UnlikePhoto]) -> tuple[UnlikePhoto, ...]:
    return tuple(sorted(photos, key=lambda photo: -photo.score)[:SHOWN])


def _best(found: Detections, label: int) -> tuple[float, list[float]]:
    """Return score and box of the best detection of a class; 0 where there is none."""
    scores = np.where(found.labels == label, found.scores, 0)
    if not scores.any():
        return 0.0, [0.0] * 4
    best = int(scores.argmax())
    return float(scores[best]), found.boxes[best].tolist()


def sight(record: UnknownRecord) -> Iterator[str]:
    """Yield what the class can and cannot see, for a person."""
    yield (
        f"unknown: learned from {counted(record.good_photos, 'photo')} of good parts "
        f"in {record.seconds:.0f} s; it compares places of {record.cell_px:.0f} x "
        f"{record.cell_px:.0f} px of the photo."
    )
    if record.visible:
        yield _visible_sentence(record.visible)
    if record.aligned is not None:
        place = place_text(record.aligned)
        yield f"{place[0].upper()}{place[1:]}."
    yield (
        "Not seen: what is missing where other good parts look like the place without "
        "it, sizes, positions and counts."
    )


def _visible_sentence(visible: Sequence[VisibleSpots]) -> str:
    """Return the smallest spots that are seen.

    Args:
        visible: The faintest first.
    """
    parts: list[str] = []
    for one in reversed(visible):
        size = f"none up to {one.sides_px[-1]:.0f} px"
        if one.smallest_px is not None:
            size = f"{one.smallest_px:.0f} px"
        unit = "" if parts else " of 255 grey levels"
        parts.append(f"{size} at a contrast of {one.contrast}{unit}")
    return (
        "Smallest spot that is reported on half of "
        f"{counted(visible[0].photos, 'good photo')}, by its diameter in the photo: "
        f"{', '.join(parts)}."
    )


def to_check(record: UnknownRecord) -> Iterator[str]:
    """Yield what a person should check of the good photos: defects, and two kinds."""
    names = [one.photo for one in record.highest if one.score >= UNUSUAL_SCORE]
    if names:
        count = counted(len(names), "photo")
        are = agreeing(len(names), "is", "are")
        yield (
            f"{count} of good parts {are} unlike the others ({first_names(names)}): "
            "look for an unlabelled defect, label it, or move the photo out of good/."
        )
    elif record.highest:
        # Many defects among the good parts are like each other: none is unusual.
        names = [one.photo for one in record.highest]
        yield (
            "The threshold lies above the good photos that score highest "
            f"({first_names(names)}): an unlabelled defect on them would hide others "
            "like it. Look at them once."
        )
    yield from record.notes
