"""What a run records of its class ``unknown``."""

from collections.abc import Sequence

import numpy as np

from models.counted import counted
from models.detections import Detections
from models.heat_map import CELL_PX
from models.preprocess import Letterbox
from trainer.data.dataset import Dataset, Photo
from trainer.fit.options import Recipe
from trainer.run_record import UnknownRecord
from trainer.unknown.describe import ScoredPhoto, least_alike, unusual_notes
from trainer.unknown.fit import FittedMemory

ALIKE = 0.5  # share of the variance that the place explains


def unknown_record(
    dataset: Dataset,
    fitted: FittedMemory,
    recipe: Recipe,
    measured: Sequence[ScoredPhoto],
    seconds: float,
) -> UnknownRecord:
    """Return the record of a memory.

    Args:
        measured: Good photos that it was not made of, with their scores.
        seconds: Time that it took to make.
    """
    vectors, inputs = fitted.memory.patches.shape
    good = fitted.good
    rows = [*good.rows, *measured]
    size_px = recipe.input_height_px, recipe.input_width_px
    if recipe.tiles:
        size_px = recipe.tiles.picture_size_px
    height = float(np.median([photo.height_px for photo in good.photos]))
    width = float(np.median([photo.width_px for photo in good.photos]))
    scale = Letterbox(round(height), round(width), *size_px).scale
    return UnknownRecord(
        rows=vectors,
        inputs=inputs,
        good_photos=len(good.photos),
        seconds=round(seconds, 1),
        cell_px=round(CELL_PX / scale, 1),
        aligned=fitted.description.aligned,
        unusual=tuple(
            (dataset.relative(photo.path), round(score, 4))
            for photo, score in least_alike(rows)
        ),
        notes=(*unusual_notes(rows), *fitted.description.notes),
    )


def good_scores(
    photos: Sequence[Photo], found: Sequence[Detections], label: int
) -> list[ScoredPhoto]:
    """Return the highest score of ``unknown`` on each photo of a good part.

    Args:
        found: Detections on each photo.
        label: Number of the class ``unknown``.
    """
    return [
        (photo, float(each.scores[each.labels == label].max(initial=0)))
        for photo, each in zip(photos, found, strict=True)
        if photo.is_good
    ]


def unknown_lines(record: UnknownRecord) -> list[str]:
    """Return what the class can and cannot see, one sentence a line."""
    alike = record.aligned
    place = "how the parts lie was not compared"
    if alike is not None:
        place = (
            "the parts lie alike in all photos"
            if alike >= ALIKE
            else "the parts lie differently from photo to photo"
        ) + f" (place explains {alike:.0%} of the differences)"
    first = (
        f"unknown: learned from {counted(record.good_photos, 'photo')} of good parts "
        f"in {record.seconds:.0f} s; it compares places of {record.cell_px:.0f} x "
        f"{record.cell_px:.0f} px of the photo: a smaller change is seen only where it "
        f"is strong; {place}. It does not see what is missing where other good parts "
        "look like the place without it, nor sizes and counts."
    )
    return [first, *record.notes]
