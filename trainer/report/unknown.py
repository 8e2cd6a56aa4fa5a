"""The section of the report on the class ``unknown``: what it can and cannot see."""

from collections.abc import Sequence
from html import escape

import numpy as np

from models.counted import counted
from trainer.data.dataset import Dataset, Photo
from trainer.label_errors.export import FOLDER_NAME
from trainer.report.charts import Axis, LineSeries, histogram, line_chart
from trainer.report.markup import panel
from trainer.report.photos import box_shape, photo_figure
from trainer.run_record import UnknownRecord, UnlikePhoto, VisibleSpots


def unknown_section(dataset: Dataset, record: UnknownRecord, threshold: float) -> str:
    """Return what the class can and cannot see, and the good photos to check.

    Args:
        threshold: Score of a report.
    """
    lines = (*record.sees, *record.notes)
    sentences = "".join(f"<li>{escape(line)}</li>" for line in lines)
    panels = [panel(*_scores(record, threshold))]
    if record.visible:
        panels.append(panel(*_spots(record.visible)))
    return (
        "<h2>What unknown can and cannot see</h2><p>Measured on your photos of good "
        f'parts.</p><ul class="sentences">{sentences}</ul>'
        f'<div class="panels">{"".join(panels)}</div>'
        f"{_photos_to_check(dataset, record.highest, threshold)}"
    )


def _scores(record: UnknownRecord, threshold: float) -> tuple[str, str, str]:
    """Return title, text and histogram."""
    scores = [*record.scores, *record.held_out_scores]
    above = sum(score >= threshold for score in scores)
    kinds = [("in the memory", np.array(record.scores))]
    if record.held_out_scores:
        kinds.append(("held out", np.array(record.held_out_scores)))
    text = (
        f"{counted(len(scores), 'photo')} of good parts, each scored by a memory "
        "without it. "
        f"{above} at or right of the threshold, the dotted line."
    )
    chart = histogram(
        kinds,
        Axis("highest score of unknown on the photo", percent=False),
        "good photos",
        (threshold, f"threshold {threshold:.2f}"),
    )
    return "Scores of the good parts", text, chart


def _spots(visible: Sequence[VisibleSpots]) -> tuple[str, str, str]:
    """Return title, text and chart of what was seen of drawn spots."""
    largest = max(one.sides_px[-1] for one in visible)
    lines = [
        LineSeries(
            f"contrast {one.contrast}",
            np.array(one.sides_px, np.float32),
            np.array(one.seen, np.float32),
            f"none up to {largest:.0f} px"
            if one.smallest_px is None
            else f"from {one.smallest_px:.0f} px",
        )
        for one in visible
    ]
    text = (
        f"Round spots, drawn one at a time on {counted(visible[0].photos, 'photo')} of "
        "good parts, brighter or darker than their place by so many of 255 grey "
        "levels. Beside the name: the smallest that half of the photos report."
    )
    chart = line_chart(
        lines,
        Axis("diameter in the photo, px", largest, percent=False),
        Axis("photos on which it is seen"),
    )
    return "Smallest visible change", text, chart


def _photos_to_check(
    dataset: Dataset, highest: Sequence[UnlikePhoto], threshold: float
) -> str:
    """Return the good photos that score highest, the place marked."""
    photos = {photo.sha256: photo for photo in dataset.photos}
    figures = [
        _figure(photos[one.sha256], one, threshold)
        for one in highest
        if one.sha256 in photos and one.score > 0
    ]
    return (
        "<h2>Good parts that are the least like the others</h2>"
        f"<p>The {counted(len(figures), 'photo')} with the highest scores, the place "
        "marked. Look at each: where there is a defect, label it, or move the photo "
        "out of good/, and train again. "
        f"The folder {FOLDER_NAME}/ of the run offers these places to CVAT, Label "
        "Studio and tools that read COCO.</p>"
        f'<div class="gallery">{"".join(figures)}</div>'
    )


def _figure(photo: Photo, one: UnlikePhoto, threshold: float) -> str:
    text = f"score {one.score:.2f}"
    shapes = [box_shape(one.box_px, "wrong", text)]
    where = "held out" if one.held_out else "in the memory"
    alarm = '<em class="bad">alarmed</em> ' * (one.score >= threshold)
    return photo_figure(photo, shapes, f"{alarm}{text}, {where}")
