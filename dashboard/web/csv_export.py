"""Tables as CSV: streamed, and without cells that a spreadsheet would run.

Source:
    RFC 4180; CSV injection: OWASP, "CSV Injection".
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

BOM = "\ufeff"
# What Excel, LibreOffice and Google Sheets take for the start of a formula; also in the
# full-width forms that they convert.
FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
CHUNK_ROWS = 500


def safe_cell(value: object) -> str:
    """Return a value as text that no spreadsheet takes for a formula.

    A text that looks like one gets an apostrophe, which spreadsheets show as text.
    Numbers stay numbers.

    >>> safe_cell("=cmd|' /C calc'!A0")
    "'=cmd|' /C calc'!A0"
    >>> safe_cell(-1.5)
    '-1.5'
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
    is_formula = text.lstrip(" \u00a0\ufeff").startswith(FORMULA_STARTS)
    return f"'{text}" if is_formula or text.startswith(FORMULA_STARTS) else text


def csv_chunks(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, with_bom: bool = False
) -> Iterator[bytes]:
    """Yield a table as CSV in UTF-8: its header, then some hundred rows at a time.

    Args:
        header: Names of the columns.
        with_bom: Excel reads UTF-8 only with a byte order mark.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    if with_bom:
        buffer.write(BOM)
    writer.writerow(header)
    yield _taken(buffer)  # the first rows may take a while
    for count, row in enumerate(rows, 1):
        writer.writerow([safe_cell(value) for value in row])
        if count % CHUNK_ROWS == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    content = buffer.getvalue().encode()
    buffer.seek(0)
    buffer.truncate()
    return content
