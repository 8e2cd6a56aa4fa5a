"""One HTML file with everything that ``check`` found, the photos beside the words.

Self-contained like the report of a run: no script, no font, no network.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from models.errors import DatasetError
from models.files import write_atomically
from trainer.data.checks.check import CheckReport
from trainer.data.dataset import Dataset, Photo
from trainer.data.findings import Finding, FindingKind, Level, printable
from trainer.report.check_photos import Shown, figure

TEMPLATES = Path(__file__).parent / "templates"
STYLES = ("report.css", "check.css")
PHOTOS_OF_A_KIND = 24
LINES_OF_A_KIND = 200


def write_check_page(path: Path, report: CheckReport) -> None:
    """Write the page of one check.

    Args:
        path: HTML file to write; its folder is made if needed.
        report: From ``check_dataset``.

    Raises:
        DatasetError: The file cannot be written.
    """
    page = _page(report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page.encode("utf-8", "backslashreplace"))
    except OSError as exc:
        raise DatasetError(
            f"{path}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Free space there, or choose another file with --html.",
        ) from exc


def _page(report: CheckReport) -> str:
    """Return the whole document."""
    name = escape(printable(report.dataset.root.resolve().name))
    style = "".join((TEMPLATES / name).read_text("utf-8") for name in STYLES)
    photos = {photo.path: photo for photo in report.dataset.photos}
    sections = "".join(
        _section(report.dataset, kind, findings, photos)
        for kind, findings in report.by_kind.items()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} - Graftline check</title><style>{style}</style></head>\n"
        f"<body><main>{_head(report, name)}{_contents(report)}{_splits(report)}"
        f"{sections}</main></body></html>\n"
    )


def _head(report: CheckReport, name: str) -> str:
    """Return title and the one sentence that matters most."""
    errors, all_ = len(report.errors), len(report.findings)
    if errors:
        lead = f"{_many(errors, 'error')} to mend before training."
    elif all_:
        lead = f"Can be trained on. {_many(all_, 'warning')} to look at."
    else:
        lead = "Nothing to mend."
    facts = f"{_many(all_ - errors, 'warning')} besides. " if errors else ""
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
    """Return a list of the kinds that were found, each a link."""
    links = "".join(
        f'<li><a href="#{kind.value}"><b class="{_level(findings)}">{len(findings):,}'
        f"</b>{escape(kind.heading)}</a></li>"
        for kind, findings in report.by_kind.items()
    )
    return f'<nav><ul class="contents">{links}</ul></nav>' if links else ""


def _splits(report: CheckReport) -> str:
    """Return what the dataset holds, as a table."""
    rows = "".join(
        f"<tr><td>{escape(printable(name))}</td><td>{len(photos):,}</td>"
        f"<td>{sum(photo.is_good for photo in photos):,}</td>"
        f"<td>{sum(len(photo.labels) for photo in photos):,}</td></tr>"
        for name, photos in report.dataset.splits.items()
    )
    quoted = ", ".join(f"\u201c{label}\u201d" for label in report.dataset.labels)
    labels = escape(printable(quoted))
    return (
        f"<h2>What it holds</h2><p>Classes: {labels}.</p>"
        '<div class="panel scroll"><table><thead><tr><th>split</th><th>photos</th>'
        "<th>without a defect</th><th>boxes</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _section(
    dataset: Dataset,
    kind: FindingKind,
    findings: Sequence[Finding],
    photos: dict[Path, Photo],
) -> str:
    """Return one kind of finding: photos first, then what has no photo."""
    by_photo: dict[Path, list[Finding]] = {}
    others: list[Finding] = []
    for finding in findings:
        path = finding.photo or finding.file
        if path in photos:
            by_photo.setdefault(path, []).append(finding)
        else:
            others.append(finding)
    figures: list[str] = []
    told = others
    for path, them in by_photo.items():
        shown = None
        if len(figures) < PHOTOS_OF_A_KIND:
            shown = figure(Shown(dataset, photos[path], them))
        if shown:
            figures.append(shown)
        else:
            told = [*told, *them]
    level = _level(findings)
    gallery = f'<div class="gallery">{"".join(figures)}</div>' if figures else ""
    return (
        f'<section id="{kind.value}"><h2>{escape(kind.heading)} '
        f'<b class="{level}">{_many(len(findings), level)}</b></h2>'
        f"<p>{' '.join(_fixes(findings))}</p>{gallery}"
        f"{_lines(dataset, told, folded=bool(figures))}</section>"
    )


def _level(findings: Iterable[Finding]) -> str:
    """Return the worst level of some findings."""
    return min((finding.level for finding in findings), key=list(Level).index).value


def _fixes(findings: Iterable[Finding]) -> list[str]:
    """Return what to do about a kind of finding; nothing where it differs a lot."""
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
    table = (
        f'<div class="panel"><table class="lines"><tbody>{rows}</tbody></table>'
        f"{more}</div>"
    )
    if not folded:
        return table
    return f"<details><summary>{len(findings):,} more</summary>{table}</details>"


def _where(dataset: Dataset, finding: Finding) -> str:
    """Return file and place of a finding, as seen from the dataset."""
    path = finding.photo or finding.file
    inside = path.is_relative_to(dataset.root)
    name = str(path.relative_to(dataset.root) if inside else path)
    return ", ".join(part for part in (name.removeprefix("."), finding.place) if part)
