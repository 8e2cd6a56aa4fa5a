"""The page of the faults names the tests that inject them, and no others."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.contract.laws import REPOSITORY
from tests.fault_rows import PAGE, read_page

TESTS = REPOSITORY / "tests"


def rows_in(text: str) -> Iterator[int]:
    """Return the rows of each ``pytest.mark.fault(...)`` in a module."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
            yield from (ast.literal_eval(argument) for argument in node.args)


@pytest.fixture(scope="module")
def carried() -> dict[int, set[str]]:
    """The modules whose tests carry each row."""
    found: dict[int, set[str]] = defaultdict(set)
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text("utf-8")
        if "mark.fault(" in text and path.name != "test_fault_page.py":
            for row in rows_in(text):
                found[row].add(path.relative_to(TESTS).as_posix())
    return found


def test_page_names_the_modules_of_each_row(carried: dict[int, set[str]]) -> None:
    assert carried
    assert read_page() == carried


def test_every_row_is_read_once_and_in_order() -> None:
    lines = re.findall(r"^\| *\d.*", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(lines) == len(read_page())
    assert list(read_page()) == sorted(read_page())


def test_rows_of_decorators_and_of_whole_modules_are_found() -> None:
    text = """
pytestmark = [pytest.mark.e2e, pytest.mark.fault(1)]
@pytest.mark.fault(2, 3)
def test(): ...
"""
    assert sorted(rows_in(text)) == [1, 2, 3]
