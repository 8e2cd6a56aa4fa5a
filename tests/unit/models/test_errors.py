import re

import pytest

from models import errors
from models.errors import ExitCode, GraftlineError, PackageError

CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, GraftlineError)
]


def test_message_has_what_why_and_fix_on_one_line() -> None:
    error = PackageError("a.json: bad.", why="Got 1, expected 2.", fix="Pack again.")
    assert str(error) == "a.json: bad. Got 1, expected 2. Fix: Pack again."


def test_parts_that_are_empty_are_left_out() -> None:
    assert str(PackageError("a.json: bad.")) == "a.json: bad."


def test_every_class_has_an_exit_code_of_its_own() -> None:
    codes = [each.exit_code for each in CLASSES] + [ExitCode.OK, ExitCode.USAGE]
    assert len(set(codes)) == len(CLASSES) + 2


@pytest.mark.parametrize("each", CLASSES[1:], ids=lambda each: each.__name__)
def test_class_is_listed_with_its_code_in_the_docstring(
    each: type[GraftlineError],
) -> None:
    assert re.search(rf"{each.__name__} +{each.exit_code} - ", errors.__doc__ or "")
