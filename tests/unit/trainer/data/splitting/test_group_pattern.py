"""A regular expression names groups; it has a limit of length and of time."""

import signal

import pytest

from trainer.data.splitting import group_pattern
from trainer.data.splitting.group_pattern import (
    SlowPatternError,
    compiled,
    group_names,
)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (r"lot(\d)", ["1", None]),
        (r"lot\d", ["lot1", None]),
        (r"lot(\d)?", ["1", None]),
        ("", ["", ""]),
    ],
)
def test_first_group_else_the_match_is_the_name(
    pattern: str, names: list[str | None]
) -> None:
    assert group_names(["images/lot1.png", "images/a.png"], pattern) == names


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(.*)*!", r"(a*)*\1b"])
def test_search_of_exponential_time_ends(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_pattern, "SEARCH_MAX_S", 0.05)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    with pytest.raises(SlowPatternError, match=r"more than 0\.05 s"):
        group_names(["a" * 200 + "?"], pattern)
    # By default a signal that is still on its way would end the process.
    assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_IGN
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_expression_that_takes_long_to_compile_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_pattern, "SEARCH_MAX_S", 0.05)
    with pytest.raises(ValueError, match="it takes more than"):
        compiled("(?i)" + "[\u0100-\U0010fffe]x" * 100)
