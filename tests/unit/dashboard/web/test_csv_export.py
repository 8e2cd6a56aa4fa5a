import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.web.csv_export import CHUNK_ROWS, csv_chunks, safe_cell

FORMULAS = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "\u00a0=1",
    "\uff1d1",
)


@pytest.mark.fault(68)
@pytest.mark.parametrize("text", FORMULAS, ids=repr)
def test_text_that_looks_like_a_formula_is_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [(None, ""), (-1, "-1"), (0.5, "0.5"), ("scratch", "scratch"), ("a=b", "a=b")],
)
def test_other_values_are_kept(value: object, cell: str) -> None:
    assert safe_cell(value) == cell


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2)))
def test_table_is_read_again_as_it_was(rows: list[list[str]]) -> None:
    content = b"".join(csv_chunks(("one", "two"), rows)).decode()
    read = list(csv.reader(io.StringIO(content, newline="")))
    assert read[0] == ["one", "two"]
    assert read[1:] == [[safe_cell(each) for each in row] for row in rows]
    assert not any(
        cell.startswith(("=", "+", "-", "@")) for row in read for cell in row
    )


def test_long_table_comes_in_parts() -> None:
    rows = ([str(n)] for n in range(2 * CHUNK_ROWS + 1))
    header, *rest = csv_chunks(("n",), rows)
    assert header == b"n\r\n"  # it does not wait for the first rows
    assert len(rest) == 3


def test_byte_order_mark_is_at_the_start_only() -> None:
    content = b"".join(csv_chunks(("n",), [["1"]], with_bom=True))
    assert content == b"\xef\xbb\xbfn\r\n1\r\n"
