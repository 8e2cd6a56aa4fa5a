"""The corners of labelled boxes in pixels of the photo, and what is wrong with them."""

import numpy as np

from models.picture_header import UPRIGHT, read_header
from trainer.data.findings import Corners, Finding, FindingKind, Level
from trainer.data.formats.rows import PhotoRows, Row

SWAPPED_SIDES = range(5, 9)  # EXIF orientations that swap width and height
SMALLEST_BOX_PX = 1.0  # a side of less has no pixel to learn from
EDGE_TOLERANCE_PX = 1.0  # rounding of annotation tools; no finding below


def turned_findings(
    rows: PhotoRows, content: bytes, width: int, height: int
) -> list[Finding]:
    """Return a finding where boxes may be drawn on the picture as it is stored.

    Where EXIF swaps sides of different lengths, and the labels state the size, the
    size decides.
    """
    orientation = read_header(content).orientation if rows.rows else UPRIGHT
    swaps = orientation in SWAPPED_SIDES and width != height
    if orientation == UPRIGHT or (swaps and rows.stated_size_px):
        return []
    why = (
        f"EXIF turns the photo (orientation {orientation}), and nothing shows whether "
        "its boxes were drawn before or after; they are taken as drawn after."
    )
    fix = (
        "Look at the boxes with --html. If they lie elsewhere, turn the pixels, remove "
        "the orientation, and label again."
    )
    kind = FindingKind.TURNED_PHOTO
    return [Finding(Level.WARNING, rows.path, "", why, fix, kind)]


def wrong_size_findings(
    rows: PhotoRows, content: bytes, width: int, height: int
) -> list[Finding]:
    """Return a finding where a label file states another size than the picture has."""
    if rows.stated_size_px is None:
        return []
    # A side that is not stated contradicts nothing.
    stated = rows.stated_size_px[0] or width, rows.stated_size_px[1] or height
    if stated == (width, height):
        return []
    if not rows.rows and stated == (height, width):
        return []  # turned by EXIF: without a box it is the same picture
    # Within a pixel of the same shape.
    is_scaled = abs(width * stated[1] - height * stated[0]) <= max(stated)
    if rows.rows and is_scaled and all(row.normalized for row in rows.rows):
        return []  # shares are right in a larger or smaller copy, but for a pixel
    why = (
        f"the photo has {width} x {height} pixels, {rows.source.name} gives "
        f"{stated[0]} x {stated[1]}: "
        + ("its boxes lie elsewhere." if rows.rows else "it may be another photo.")
    )
    fix = "Export photos and labels together again."
    if stated == (height, width):
        why += " The sides are swapped: "
        if read_header(content).orientation in SWAPPED_SIDES:
            why += "the labels ignore the photo's EXIF orientation."
            fix = (
                "Turn the photo's pixels and remove its EXIF orientation, or label "
                "again."
            )
        else:
            why += "the photo was turned after it was labelled."
            fix = "Use the photo that was labelled, or label this one again."
    return [Finding(Level.ERROR, rows.path, "", why, fix, FindingKind.WRONG_SIZE)]


def corners_of(
    rows: PhotoRows, row: Row, width: int, height: int
) -> tuple[Corners | None, Finding | None]:
    """Return a box in pixels inside the photo, with what was found."""
    scale_x, scale_y = (width, height) if row.normalized else (1, 1)
    x1, y1 = row.box[0] * scale_x, row.box[1] * scale_y
    x2, y2 = row.box[2] * scale_x, row.box[3] * scale_y
    if not all(np.isfinite((x1, y1, x2, y2))):
        return None, _bad_box(rows, row, "is not finite.", FindingKind.EMPTY_BOX)
    drawn: Corners = (x1, y1, x2, y2)
    inside = (max(0.0, x1), max(0.0, y1), min(width, x2), min(height, y2))
    shown = f"{row.label} [{x1:.0f}, {y1:.0f}, {x2:.0f}, {y2:.0f}]"
    if min(x2 - x1, y2 - y1) < SMALLEST_BOX_PX:
        return None, _bad_box(
            rows, row, f"{shown} is empty.", FindingKind.EMPTY_BOX, drawn
        )
    if min(inside[2] - inside[0], inside[3] - inside[1]) < SMALLEST_BOX_PX:
        why = f"{shown} is outside the photo of {width} x {height} pixels."
        return None, _bad_box(rows, row, why, FindingKind.OUTSIDE_BOX, drawn)
    if max(-x1, -y1, x2 - width, y2 - height) <= EDGE_TOLERANCE_PX:
        return inside, None
    why = f"box {shown} reaches outside the photo of {width} x {height} pixels."
    fix, kind = "It is clipped; redraw it.", FindingKind.CLIPPED_BOX
    return inside, Finding(
        Level.WARNING, rows.path, row.place, why, fix, kind, (drawn,)
    )


def _bad_box(
    rows: PhotoRows, row: Row, why: str, kind: FindingKind, *drawn: Corners
) -> Finding:
    why, fix = f"box {why}", "Redraw or delete it."
    return Finding(Level.ERROR, rows.path, row.place, why, fix, kind, drawn)
