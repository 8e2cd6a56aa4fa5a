"""Photos in the report: a small JPEG inside, the boxes drawn over it as SVG.

Photos small enough to be carried inside a page.
"""

import base64
from collections.abc import Sequence
from html import escape

import cv2
import numpy as np

from models.boxes import Boxes
from models.preprocess import Frame
from trainer.data.dataset import Photo, read_photo
from trainer.report.figures import Judged

LONGEST_SIDE_PX = 640
LABEL_HEIGHT = 0.036  # of the picture's longer side


def gallery(judged: Sequence[Judged], labels: Sequence[str]) -> str:
    """Return figures of photos, with what was right and wrong on each.

    Args:
        judged: What to show, in this order.
        labels: Class names.
    """
    figures = "".join(_figure(one, labels) for one in judged)
    return f'<div class="gallery">{figures}</div>'


def _figure(one: Judged, labels: Sequence[str]) -> str:
    """Return one photo with its boxes and a caption."""
    width, height = one.photo.width_px, one.photo.height_px
    shapes = [
        box_shape(box, "truth missed" if missed else "truth", labels[label])
        for box, label, missed in zip(
            one.photo.boxes, one.photo.labels, one.missed, strict=True
        )
    ]
    rows = zip(
        one.found.boxes, one.found.scores, one.found.labels, one.right, strict=True
    )
    for box, score, label, right in rows:
        words = f"{labels[label]} {score:.2f}"
        shapes.append(box_shape(box, "right" if right else "wrong", words))
        if not right:
            shapes.append(words_shape(box, "wrong", words, max(width, height)))
    for box, label, missed in zip(
        one.photo.boxes, one.photo.labels, one.missed, strict=True
    ):
        if missed:
            shapes.append(words_shape(box, "missed", labels[label], max(width, height)))
    return photo_figure(one.photo, shapes, _verdict(one))


def photo_figure(photo: Photo, shapes: Sequence[str], verdict: str) -> str:
    """Return one photo with shapes over it and a caption.

    Args:
        photo: Of the dataset.
        shapes: From ``box_shape`` and ``words_shape``, in this order.
        verdict: HTML below its name.
    """
    picture = data_uri(read_photo(photo), LONGEST_SIDE_PX)
    width, height, name = photo.width_px, photo.height_px, escape(photo.path.name)
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{name}">'
        f'<image href="{picture}" width="{width}" height="{height}"/>'
        f"{''.join(shapes)}</svg><figcaption><b>{name}</b>"
        f"<span>{verdict}</span></figcaption></figure>"
    )


def _verdict(one: Judged) -> str:
    """Return in a few words what went wrong."""
    missed, wrong = int(one.missed.sum()), int((~one.right).sum())
    if one.photo.is_good:
        return f'<em class="bad">alarmed</em> score {one.found.scores.max():.2f}'
    words = [f"{missed} missed"] if missed else []
    words += [f"{wrong} wrong"] if wrong else []
    words += [f"{int(one.right.sum())} right"] if one.right.any() else []
    text = ", ".join(words)
    return f'<em class="bad">escaped</em> {text}' if one.escaped else text


def box_shape(box: Boxes, kind: str, words: str) -> str:
    """Return one rectangle, its words as a tooltip.

    Args:
        box: ``[4]`` float32, xyxy, pixels of the photo.
        kind: Classes of the style sheet.
        words: Plain text.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    return (
        f'<rect class="box {kind}" x="{x1:.1f}" y="{y1:.1f}" '
        f'width="{x2 - x1:.1f}" height="{y2 - y1:.1f}">'
        f"<title>{escape(words)}</title></rect>"
    )


def words_shape(box: Boxes, kind: str, words: str, side_px: int) -> str:
    """Return the words of a box: missed ones above it, others below.

    Args:
        box: ``[4]`` float32, xyxy, pixels of the photo.
        kind: Class of the style sheet.
        words: Plain text.
        side_px: Longer side of the photo.
    """
    size = LABEL_HEIGHT * side_px
    room_above, room_below = box[1] > size * 1.4, box[3] < side_px - size * 1.4
    above = room_above if kind == "missed" else not room_below
    y = float(box[1]) - size * 0.35 if above else float(box[3]) + size
    return (
        f'<text class="words {kind}" x="{float(box[0]):.1f}" y="{y:.1f}" '
        f'font-size="{size:.1f}" stroke-width="{size * 0.22:.1f}">'
        f"{escape(words)}</text>"
    )


JPEG_QUALITY = 78


def data_uri(picture: Frame, longest_side_px: int) -> str:
    """Return a picture as the address of a JPEG inside the page.

    Args:
        picture: ``[H, W, 3]`` uint8, BGR.
        longest_side_px: It is made smaller to this, never larger.
    """
    scale = longest_side_px / max(picture.shape[:2])
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        picture = np.asarray(small, np.uint8)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
