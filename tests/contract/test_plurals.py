"""A number and its noun agree: "1 photo", never "1 photos"."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.command import REPOSITORY

PRODUCT = ("models", "trainer", "edge", "deploy", "dashboard", "demo")
NOUNS = (
    "alerts",
    "attempts",
    "boxes",
    "bytes",
    "cameras",
    "classes",
    "cores",
    "defects",
    "epochs",
    "errors",
    "events",
    "files",
    "findings",
    "folds",
    "frames",
    "groups",
    "inferences",
    "labels",
    "layers",
    "messages",
    "parts",
    "photos",
    "pictures",
    "rows",
    "slots",
    "steps",
    "tensors",
    "times",
    "trainings",
    "variants",
    "warnings",
)
AFTER = re.compile(rf"(?: (?:more|good|labelled|defective))? ({'|'.join(NOUNS)})\b")


def places(path: Path) -> Iterator[str]:
    """Yield each number that is followed by a noun in a fixed form."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for before, value, after in zip(
            [None, *node.values], node.values, node.values[1:], strict=False
        ):
            if isinstance(value, ast.FormattedValue) and isinstance(
                after, ast.Constant
            ):
                noun = AFTER.match(str(after.value))
                if noun and _may_be_one(before, value):
                    yield f"{path.relative_to(REPOSITORY)}:{value.lineno} {noun[1]}"


def _may_be_one(before: ast.expr | None, value: ast.FormattedValue) -> bool:
    # "3 of 9 photos": the noun belongs to a total; a limit is a constant of its module,
    # a share or a rate has digits behind the point, and a joined text is a list.
    is_total = isinstance(before, ast.Constant) and re.search(
        r"\b(?:of|all|and|in|on) $", str(before.value)
    )
    names = [n.id for n in ast.walk(value.value) if isinstance(n, ast.Name)]
    is_limit = bool(names) and all(name.isupper() for name in names)
    is_share = value.format_spec is not None and ast.unparse(value.format_spec).strip(
        "f'\""
    ) not in {",", ""}
    is_list = ".join(" in ast.unparse(value.value)
    return not (is_total or is_limit or is_share or is_list)


def test_numbers_and_nouns_agree() -> None:
    found = [
        place
        for room in PRODUCT
        for path in sorted((REPOSITORY / room).rglob("*.py"))
        for place in places(path)
    ]
    assert found == []
