"""Writes everything that ``check`` found as one HTML file, with the photos.

A box at fault has another colour than the other boxes of its photo.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from models.errors import DatasetError
from models.files import write_atomically
from models.shown_text import printable
from trainer.data.checks.boxes import corners
from trainer.data.checks.check import CheckReport
from trainer.data.checks.good_parts import good_parts
from trainer.data.dataset import Dataset, Photo, read_photo
from trainer.data.findings import Corners, Finding, FindingKind, Level
from trainer.report.markup import document, table
from trainer.report.photos import box_shape, data_uri

PHOTOS_OF_A_KIND = 24
LINES_OF_A_KIND = 200
LONGEST_SIDE_PX = 400
MARGIN = 0.25  # of the photo's longer side, around it where a box lies outside
SLIVER = 0.02  # of the same: the width of what is left of a box far outside, or empty
TEXTS = 3  # findings of one photo that are written out below it


def write_check_page(path: Path, report: CheckReport) -> None:
    """Write the page of one check.

    Args:
        path: HTML file to write; its folder is made if needed.

    Raises:
        DatasetError: The file cannot be written.
    """
    page = _page(report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # names of files may hold bytes that are not UTF-8
        write_atomically(path, page.encode("utf-8", "backslashreplace"))
    except OSError as exc:
        raise DatasetError(
            f"{path}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Free space there, or choose another file with --html.",
        ) from exc


def _page(report: CheckReport) -> str:
    name = escape(printable(report.dataset.root.resolve().name))
    photos = {photo.path: photo for photo in report.dataset.photos}
    sections = "".join(
        _section(report.dataset, kind, findings, photos)
        for kind, findings in report.by_kind.items()
    )
    body = f"{_head(report, name)}{_contents(report)}{_splits(report)}{sections}"
    return document(f"{name} - Graftline check", ["report.css", "check.css"], body)


def _head(report: CheckReport, name: str) -> str:
    errors, total = len(report.errors), len(report.findings)
    warnings = _many(total - errors, "warning")
    facts = ""
    if errors:
        lead = f"{_many(errors, 'error')} to fix before training."
        facts = f"Also {warnings}. "
    elif total:
        lead = f"Can be trained on. {warnings} to check."
    else:
        lead = "Can be trained on. No error, no warning."
    where = escape(printable(str(report.dataset.root.resolve())))
    return (
        f'<header><p class="kind">Graftline check</p><h1>{name}</h1>'
        f'<p class="lead">{lead}</p><p class="facts">{facts}{where}</p></header>'
    )


def _many(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> _many(1, "error"), _many(2, "error")
    ('1 error', '2 errors')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _contents(report: CheckReport) -> str:
    links = "".join(
        f'<li><a href="#{kind.value}"><b class="{_level(findings)}">{len(findings):,}'
        f"</b>{escape(kind.heading)}</a></li>"
        for kind, findings in report.by_kind.items()
    )
    return f'<nav><ul class="contents">{links}</ul></nav>' if links else ""


def _splits(report: CheckReport) -> str:
    rows = [
        (
            escape(printable(name)),
            f"{len(photos):,}",
            f"{sum(photo.is_good for photo in photos):,}",
            f"{sum(len(photo.labels) for photo in photos):,}",
        )
        for name, photos in report.dataset.splits.items()
    ]
    if report.dataset.unlabelled:
        count = len(report.dataset.unlabelled)
        rows.append(("unlabelled, left out", f"{count:,}", "", ""))
    quoted = ", ".join(f"\u201c{label}\u201d" for label in report.dataset.labels)
    named = printable(quoted) or "none is labelled"
    good = good_parts(report.dataset)
    enough = f" {escape(str(good))}." if good else ""
    return (
        f"<h2>Photos and classes</h2><p>Classes: {escape(named)}.{enough}"
        "</p>"
        f"{table(('split', 'photos', 'without a defect', 'boxes'), rows)}"
    )


def _section(
    dataset: Dataset,
    kind: FindingKind,
    findings: Sequence[Finding],
    photos: dict[Path, Photo],
) -> str:
    """Return one kind of finding: photos first, then findings without a photo."""
    by_photo: dict[Path, list[Finding]] = {}
    lines: list[Finding] = []
    for finding in findings:
        path = finding.photo or finding.file
        if path in photos:
            by_photo.setdefault(path, []).append(finding)
        else:
            lines.append(finding)
    figures: list[str] = []
    for path, of_photo in by_photo.items():
        figure = None
        if len(figures) < PHOTOS_OF_A_KIND:
            figure = _figure(dataset, photos[path], of_photo)
        if figure:
            figures.append(figure)
        else:
            lines += of_photo
    level = _level(findings)
    gallery = f'<div class="gallery">{"".join(figures)}</div>' if figures else ""
    return (
        f'<section id="{kind.value}"><h2>{escape(kind.heading)} '
        f'<b class="{level}">{_many(len(findings), level)}</b></h2>'
        f"<p>{' '.join(_fixes(findings))}</p>{gallery}"
        f"{_lines(dataset, lines, folded=bool(figures))}</section>"
    )


def _level(findings: Iterable[Finding]) -> str:
    return min((finding.level for finding in findings), key=list(Level).index).value


def _fixes(findings: Iterable[Finding]) -> list[str]:
    """Return what to do about a kind of finding; empty where it differs a lot."""
    fixes = list(dict.fromkeys(escape(printable(f.fix)) for f in findings))
    return fixes if len(fixes) <= 2 else []


def _lines(dataset: Dataset, findings: Sequence[Finding], *, folded: bool) -> str:
    """Return findings without their photo as a table."""
    if not findings:
        return ""
    rows = "".join(
        f"<tr><td>{escape(printable(_where(dataset, f)))}</td>"
        f"<td>{escape(printable(f'{f.why} {f.fix}'))}</td></tr>"
        for f in findings[:LINES_OF_A_KIND]
    )
    left = len(findings) - LINES_OF_A_KIND
    more = (
        f'<p class="more">And {left:,} more: graftline check --json lists all.</p>'
        if left > 0
        else ""
    )
    shown = (
        f'<div class="panel"><table class="lines"><tbody>{rows}</tbody></table>'
        f"{more}</div>"
    )
    if not folded:
        return shown
    return f"<details><summary>{len(findings):,} more</summary>{shown}</details>"


def _where(dataset: Dataset, finding: Finding) -> str:
    """Return file and place of a finding, relative to the dataset."""
    name = dataset.relative(finding.photo or finding.file)
    return ", ".join(part for part in (name.removeprefix("."), finding.place) if part)


def _figure(dataset: Dataset, photo: Photo, findings: Sequence[Finding]) -> str | None:
    """Return a photo with its boxes; None where it can no longer be read."""
    try:
        picture = data_uri(read_photo(photo), LONGEST_SIDE_PX)
    except DatasetError:  # its findings are listed without a photo
        return None
    faulty = [box for finding in findings for box in finding.boxes]
    frame = _frame(photo, faulty)
    truth = "".join(
        box_shape(corners(box), "truth", printable(dataset.labels[label]))
        for box, label in zip(photo.boxes, photo.labels, strict=True)
        if corners(box) not in faulty
    )
    wrong = "".join(
        box_shape(_inside(box, frame), "wrong", printable(finding.why))
        for finding in findings
        for box in finding.boxes
    )
    x1, y1, x2, y2 = frame
    name = escape(printable(dataset.relative(photo.path)))
    return (
        f'<figure><svg viewBox="{x1:.0f} {y1:.0f} {x2 - x1:.0f} {y2 - y1:.0f}" '
        f'role="img" aria-label="{name}"><image href="{picture}" '
        f'width="{photo.width_px}" height="{photo.height_px}"/>{truth}{wrong}</svg>'
        f'<figcaption><b title="{name}">{name}</b>{_texts(findings)}'
        "</figcaption></figure>"
    )


def _texts(findings: Sequence[Finding]) -> str:
    """Return the findings of one photo, the first few written out."""
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
    return (  # a pixel beyond the edge is rounding
        -margin if least[0] < -1 else 0,
        -margin if least[1] < -1 else 0,
        width + margin if max(most[0], least[0]) > width + 1 else width,
        height + margin if max(most[1], least[1]) > height + 1 else height,
    )


def _inside(box: Corners, frame: Corners) -> Corners:
    """Return the visible part of a box, a sliver if it lies outside the frame."""
    sliver = SLIVER * max(frame[2] - frame[0], frame[3] - frame[1])
    sides = []
    for axis in (0, 1):
        low, high = frame[axis], frame[axis + 2]
        start = min(max(min(box[axis], box[axis + 2]), low), high - sliver)
        end = max(min(max(box[axis], box[axis + 2]), high), start + sliver)
        sides.append((start, end))
    (x1, x2), (y1, y2) = sides
    return x1, y1, x2, y2
