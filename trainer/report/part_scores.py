"""A picture of the highest score of each part, and the thresholds between them.

Every dot is one part; a dot to the right of the line is reported. Good parts should lie
on its left, defective ones on its right.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from models.boxes import FloatArray
from models.detections import Detections
from trainer.data.dataset import Photo
from trainer.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    axis_below,
    mark,
    series,
    x_place,
)

COLUMNS = 100  # of the axis of scores: dots in one column are stacked
RADIUS_PX = 2.6
STACK_PX = 5.6  # between two dots of a column, less where the lane is too low
LABEL = 'aria-label="highest score of each good and each defective part"'
GOOD_COLOR, DEFECTIVE_COLOR, LINE_COLOR = 0, 1, 4


@dataclass(frozen=True, slots=True)
class PartScores:
    """The highest score on each photo; 0 = no detection."""

    good: tuple[tuple[float, str], ...]  # score and name of the photo
    defective: tuple[tuple[float, str], ...]


def part_scores(found: Sequence[Detections], photos: Sequence[Photo]) -> PartScores:
    """Return the highest score on each photo.

    Args:
        found: One for each photo, down to a low score.
    """
    rows = [
        (float(one.scores.max(initial=0)), photo.path.name, photo.is_good)
        for one, photo in zip(found, photos, strict=True)
    ]
    return PartScores(
        tuple((score, name) for score, name, is_good in rows if is_good),
        tuple((score, name) for score, name, is_good in rows if not is_good),
    )


def score_panel(
    scores: PartScores, thresholds: FloatArray, labels: Sequence[str]
) -> tuple[str, str, str]:
    """Return title, text and chart.

    Args:
        thresholds: ``[C]`` in use.
        labels: ``[C]`` class names.
    """
    text = (
        "Each dot is one photo, at the highest score on it; names are in the tooltips. "
        "The dotted line is the score threshold: right of it a part is reported."
    )
    if len(set(thresholds.tolist())) > 1:
        text += " Each class has its own: a part right of a line may still pass."
    return (
        "Scores of good and defective parts",
        text,
        _chart(scores, thresholds, labels),
    )


def _chart(scores: PartScores, thresholds: FloatArray, labels: Sequence[str]) -> str:
    axis = Axis("highest score on the photo", percent=False)
    middle = (TOP + HEIGHT - BOTTOM) / 2
    lanes = (
        ("good parts", scores.good, middle, GOOD_COLOR),
        ("defective parts", scores.defective, HEIGHT - BOTTOM, DEFECTIVE_COLOR),
    )
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" {LABEL}>',
        f'<path class="grid" d="M{LEFT} {middle:.1f}H{WIDTH - RIGHT}"/>',
        *axis_below(axis),
    ]
    for name, values, floor, color in lanes:
        parts.append(
            f'<text class="name" transform="translate(34 {floor - middle / 2:.0f}) '
            f'rotate(-90)" text-anchor="middle">{name}</text>'
        )
        parts += _dots(values, axis, floor - 6, middle - TOP - 12, color)
    for score in sorted(set(thresholds.tolist())):
        names = [n for n, t in zip(labels, thresholds, strict=True) if t == score]
        of = "" if len(names) == len(labels) else f" of {', '.join(names)}"
        parts.append(mark(axis, score, f"threshold{of}: {score:.3f}", LINE_COLOR))
    return "".join([*parts, "</svg>"])


def _dots(
    values: Sequence[tuple[float, str]],
    axis: Axis,
    floor: float,
    height: float,
    color: int,
) -> Iterator[str]:
    """Yield the dots of one lane, stacked from its floor.

    Args:
        height: Height of the lane, px.
    """
    columns: dict[int, list[tuple[float, str]]] = {}
    for score, name in sorted(values):
        columns.setdefault(int(np.floor(score * COLUMNS)), []).append((score, name))
    for stack in columns.values():
        step = min(STACK_PX, height / len(stack))
        for number, (score, name) in enumerate(stack):
            yield (
                f'<circle class="dot {series(color)}" cx="{x_place(axis, score):.1f}" '
                f'cy="{floor - number * step:.1f}" r="{RADIUS_PX}">'
                f"<title>{escape(name)} {score:.3f}</title></circle>"
            )
