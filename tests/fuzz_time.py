"""Pytest plugin: ``make fuzz`` ends when its time is over.

Every property gets an equal share of the time that is left. Hypothesis has no limit of
time, but passes on the exception with which a test skips itself; it is raised after the
example that ends too late. A failure that was found is still made small and reported.
"""

import functools
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import HypothesisException, StopTest

from tests.examples import FUZZ_PROFILE, NO_LIMIT

MINUTES_VARIABLE = "FUZZ_MINUTES"
MINUTES = 10.0
DATABASE = Path(__file__).resolve().parents[1] / ".hypothesis" / "examples"
"""Examples that failed; each run tries them first. `make clean` keeps them."""

settings.register_profile(
    FUZZ_PROFILE,
    max_examples=NO_LIMIT,
    derandomize=False,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
    database=DirectoryBasedExampleDatabase(DATABASE),
)


class TimeIsUp(pytest.skip.Exception):
    """The share of a property is used up."""


class FuzzTime:
    """Ends each property after its share of the time.

    Args:
        duration_s: For all properties together, from the first one on.
    """

    def __init__(self, duration_s: float) -> None:
        self.duration_s = duration_s
        self.end_s = 0.0
        self.items_left = 0
        self.examples: dict[str, int] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Start the clock."""
        self.end_s = time.monotonic() + self.duration_s
        self.items_left = len(session.items)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(
        self, pyfuncitem: pytest.Function
    ) -> Generator[None, object, object]:
        """Try examples of one property until its share is used up."""
        now_s = time.monotonic()
        share_s = max(0.0, self.end_s - now_s) / max(1, self.items_left)
        self.items_left -= 1
        handle = getattr(pyfuncitem.obj, "hypothesis", None)
        if handle is None:
            return (yield)
        inner = handle.inner_test
        handle.inner_test = self._limited(inner, now_s + share_s, pyfuncitem.nodeid)
        try:
            return (yield)
        except TimeIsUp:
            return True
        finally:
            handle.inner_test = inner

    def _limited(
        self, inner: Callable[..., Any], end_s: float, name: str
    ) -> Callable[..., Any]:
        self.examples[name] = 0
        has_failed = False

        @functools.wraps(inner)
        def limited(*args: Any, **kwargs: Any) -> None:
            nonlocal has_failed
            self.examples[name] += 1
            try:
                inner(*args, **kwargs)
            except (HypothesisException, StopTest):  # not a failure of the test
                raise
            except BaseException:
                has_failed = True
                raise
            if time.monotonic() > end_s and not has_failed:
                raise TimeIsUp

        return limited

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Write how many examples were tried."""
        if not self.examples:
            return
        fewest = min(self.examples, key=lambda name: self.examples[name])
        terminalreporter.section("FUZZ")
        terminalreporter.line(
            f"{sum(self.examples.values())} examples of {len(self.examples)} properties"
        )
        terminalreporter.line(f"the fewest: {self.examples[fewest]} of {fewest}")


def pytest_configure(config: pytest.Config) -> None:
    """Register the limit in a run with the profile of ``make fuzz``."""
    if config.getoption("hypothesis_profile", None) == FUZZ_PROFILE:
        minutes = float(os.environ.get(MINUTES_VARIABLE) or MINUTES)
        config.pluginmanager.register(FuzzTime(60 * minutes), "graftline-fuzz-time")
