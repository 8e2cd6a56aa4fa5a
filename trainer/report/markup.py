"""The HTML that all pages share. Pages need no script, no font and no network.

A page can be mailed, archived with the order, and printed.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
DASH = "&ndash;"  # for a value that is not known


def document(title: str, styles: Sequence[str], body: str) -> str:
    """Return a whole HTML document.

    Args:
        title: HTML.
        styles: Names of files in ``templates``, written into the page in this order.
        body: HTML.
    """
    style = "".join((TEMPLATES / name).read_text("utf-8") for name in styles)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def panel(title: str, text: str, body: str) -> str:
    """Return a chart or table with its heading; all three are HTML."""
    return f'<div class="panel"><h3>{title}</h3><p>{text}</p>{body}</div>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in a separate panel; all cells are HTML."""
    head = "".join(f"<th>{name}</th>" for name in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        '<div class="panel scroll"><table><thead><tr>'
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
