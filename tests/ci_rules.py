"""Pytest plugin: nothing is left out in silence.

Every run ends with the list of what was skipped and why. With ``CI=true`` a
skip whose reason is not in ``tests/allowed_skips.txt`` fails the run.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

ALLOWED_SKIPS_FILE = Path(__file__).with_name("allowed_skips.txt")


def read_allowed_skips(file: Path) -> list[str]:
    """Return the beginnings of the allowed reasons; ``#`` starts a comment."""
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why a test or a module was skipped."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


class SkipRules:
    """Collects the reasons of all skips and checks them at the end.

    Args:
        allowed: Beginnings of reasons that may be skipped in CI.
        strict: Whether a skip that is not allowed fails the run.
    """

    def __init__(self, allowed: list[str], *, strict: bool) -> None:
        self.allowed = allowed
        self.strict = strict
        self.reasons: Counter[str] = Counter()

    def note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Keep the reason if the report is a skip; an xfail is not one."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self.reasons[skip_reason(report)] += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Check each phase of each test."""
        self.note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Check modules that skip themselves as a whole."""
        self.note(report)

    def refused(self) -> list[str]:
        """Return the reasons that are not on the list, if that matters here."""
        if not self.strict:
            return []
        return [r for r in self.reasons if not r.startswith(tuple(self.allowed))]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a green run with a refused skip into a red one."""
        if self.refused() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Report what was skipped, and fail on skips that are not allowed."""
        if not self.reasons:
            return
        terminalreporter.section("LEFT OUT", yellow=True)
        for reason, count in sorted(self.reasons.items()):
            terminalreporter.line(f"{count:4d} x {reason}")
        for reason in self.refused():
            terminalreporter.line(
                f"FAILED: with CI=true this skip is not allowed: {reason!r}. "
                f"Fix: provide what it needs, or list it in {ALLOWED_SKIPS_FILE.name}.",
                red=True,
            )


def pytest_configure(config: pytest.Config) -> None:
    """Register the rules for this run."""
    strict = os.environ.get("CI") == "true"
    rules = SkipRules(read_allowed_skips(ALLOWED_SKIPS_FILE), strict=strict)
    config.pluginmanager.register(rules, "graftline-skip-rules")
