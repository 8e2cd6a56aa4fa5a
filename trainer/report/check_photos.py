"""A photo on the page of a check: its boxes, those at fault in another colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from models.errors import DatasetError
from trainer.data.checks.boxes import corners
from trainer.data.dataset import Dataset, Photo, read_photo
from trainer.data.findings import Corners, Finding, printable
from trainer.report.photos import data_uri

LONGEST_SIDE_PX = 400
MARGIN = 0.25  # of the photo's longer side, around it where a box lies outside
SLIVER = 0.02  # of the same: so wide is what is left of a box far outside, or empty
TEXTS = 3  # findings of one photo that are told below it


@dataclass(frozen=True, slots=True)
class Shown:
    """A photo with what was found on it.

    Attributes:
        dataset: It belongs to.
        photo: The photo.
        findings: All of one kind.
    """

    dataset: Dataset
    photo: Photo
    findings: Sequence[Finding]


def figure(shown: Shown) -> str | None:
    """Return a photo with its boxes and a caption.

    Args:
        shown: What to draw.

    Returns:
        HTML; None where the photo cannot be read any more.
    """
    photo = shown.photo
    try:
        picture = data_uri(read_photo(photo), LONGEST_SIDE_PX)
    except DatasetError:  # its words are shown all the same
        return None
    faulty = [box for finding in shown.findings for box in finding.boxes]
    frame = _frame(photo, faulty)
    truth = "".join(
        _rectangle(corners(box), "truth", shown.dataset.labels[label])
        for box, label in zip(photo.boxes, photo.labels, strict=True)
        if corners(box) not in faulty
    )
    wrong = "".join(
        _rectangle(_inside(box, frame), "wrong", finding.why)
        for finding in shown.findings
        for box in finding.boxes
    )
    x1, y1, x2, y2 = frame
    name = escape(printable(_name(shown)))
    return (
        f'<figure><svg viewBox="{x1:.0f} {y1:.0f} {x2 - x1:.0f} {y2 - y1:.0f}" '
        f'role="img" aria-label="{name}"><image href="{picture}" '
        f'width="{photo.width_px}" height="{photo.height_px}"/>{truth}{wrong}</svg>'
        f'<figcaption><b title="{name}">{name}</b>{_texts(shown.findings)}'
        "</figcaption></figure>"
    )


def _name(shown: Shown) -> str:
    """Return a photo's path as seen from the dataset."""
    path, root = shown.photo.path, shown.dataset.root
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def _texts(findings: Sequence[Finding]) -> str:
    """Return what was found on one photo, the first few in full."""
    lines = [
        f"<span>{escape(printable(f.place))}{': ' * bool(f.place)}"
        f"{escape(printable(f.why))}</span>"
        for f in findings[:TEXTS]
    ]
    if len(findings) > TEXTS:
        lines.append(f"<span>and {len(findings) - TEXTS} more</span>")
    return "".join(lines)


def _frame(photo: Photo, faulty: Sequence[Corners]) -> Corners:
    """Return what is shown: the photo, with a margin where a box lies outside."""
    width, height = photo.width_px, photo.height_px
    margin = MARGIN * max(width, height)
    least = [min((box[i] for box in faulty), default=0) for i in (0, 1)]
    most = [max((box[i] for box in faulty), default=0) for i in (2, 3)]
    return (
        -margin if least[0] < -1 else 0,
        -margin if least[1] < -1 else 0,
        width + margin if max(most[0], least[0]) > width + 1 else width,
        height + margin if max(most[1], least[1]) > height + 1 else height,
    )


def _inside(box: Corners, frame: Corners) -> Corners:
    """Return a box that can be seen inside a frame, a sliver if it lies outside it."""
    sliver = SLIVER * max(frame[2] - frame[0], frame[3] - frame[1])
    sides = []
    for axis in (0, 1):
        low, high = frame[axis], frame[axis + 2]
        start = min(max(min(box[axis], box[axis + 2]), low), high - sliver)
        end = max(min(max(box[axis], box[axis + 2]), high), start + sliver)
        sides.append((start, end))
    (x1, x2), (y1, y2) = sides
    return x1, y1, x2, y2


def _rectangle(box: Corners, kind: str, words: str) -> str:
    """Return one rectangle, its words as a tooltip."""
    x1, y1, x2, y2 = box
    return (
        f'<rect class="box {kind}" x="{x1:.1f}" y="{y1:.1f}" '
        f'width="{x2 - x1:.1f}" height="{y2 - y1:.1f}">'
        f"<title>{escape(printable(words))}</title></rect>"
    )
