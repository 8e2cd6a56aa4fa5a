"""Photos in a page: a small JPEG inside, the boxes drawn over it as SVG.

Loads no training library, because ``check`` draws with it.
"""

import base64
from collections.abc import Iterable, Sequence
from html import escape

import cv2
import numpy as np

from models.boxes import Boxes
from models.preprocess import Frame
from trainer.data.dataset import Photo, read_photo

LONGEST_SIDE_PX = 640
LABEL_HEIGHT = 0.036  # of the photo's longer side
JPEG_QUALITY = 78


def photo_figure(photo: Photo, shapes: Sequence[str], caption: str) -> str:
    """Return one photo with shapes over it and a caption.

    Args:
        shapes: From ``box_shape`` and ``text_shape``, the first one lowest.
        caption: HTML below the photo's name.
    """
    picture = data_uri(read_photo(photo), LONGEST_SIDE_PX)
    width, height, name = photo.width_px, photo.height_px, escape(photo.path.name)
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{name}">'
        f'<image href="{picture}" width="{width}" height="{height}"/>'
        f"{''.join(shapes)}</svg><figcaption><b>{name}</b>"
        f"<span>{caption}</span></figcaption></figure>"
    )


def box_shape(box: Iterable[float], kind: str, text: str) -> str:
    """Return one rectangle, its text as a tooltip.

    Args:
        box: Corners, xyxy, pixels of the photo.
        kind: CSS classes.
        text: Plain text.
    """
    x1, y1, x2, y2 = (float(value) for value in box)
    return (
        f'<rect class="box {kind}" x="{x1:.1f}" y="{y1:.1f}" '
        f'width="{x2 - x1:.1f}" height="{y2 - y1:.1f}">'
        f"<title>{escape(text)}</title></rect>"
    )


def text_shape(box: Boxes, kind: str, text: str, photo: Photo) -> str:
    """Return the text of a box: of missed ones above it, of others below.

    It lies inside the box if there is no space outside, so that texts never overlap.

    Args:
        box: ``[4]`` float32, xyxy, pixels of the photo.
        kind: CSS class.
        text: Plain text.
        photo: Its size sets the height of the letters, and where there is room.
    """
    size = LABEL_HEIGHT * max(photo.width_px, photo.height_px)
    above, below = 0.35 * size, size  # of the baseline, from an edge of the box
    top, bottom = float(box[1]), float(box[3])
    if kind == "missed":
        y = top - above if top > size * 1.4 else top + below
    else:
        y = bottom + below if bottom < photo.height_px - size * 1.4 else bottom - above
    return (
        f'<text class="note {kind}" x="{float(box[0]):.1f}" y="{y:.1f}" '
        f'font-size="{size:.1f}" stroke-width="{size * 0.22:.1f}">'
        f"{escape(text)}</text>"
    )


def data_uri(picture: Frame, longest_side_px: int) -> str:
    """Return a picture, at most so large, as the address of a JPEG in the page."""
    scale = longest_side_px / max(picture.shape[:2])
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        picture = np.asarray(small, np.uint8)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
