"""Pytest plugin: which rows of the fault list were tried, and how they went.

A test names the rows that it proves: ``@pytest.mark.fault(2, 3)``. The run ends with
one line a row. ``make fault`` fails where a row of ``DAEMON_ROWS`` has no test.
"""

from collections import defaultdict

import pytest

DAEMON_ROWS = frozenset({*range(1, 8), *range(12, 44), 57, *range(59, 68)})
"""Rows of the fault list that are the daemon's; the others come with their rooms."""


class FaultRows:
    """Collects the outcomes of tests by the rows that they prove."""

    def __init__(self) -> None:
        self.outcomes: dict[int, list[str]] = defaultdict(list)
        self._rows: dict[str, tuple[int, ...]] = {}
        self._is_whole = False

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Remember which test proves which rows."""
        for item in items:
            marks = item.iter_markers("fault")
            rows = tuple(row for mark in marks for row in mark.args)
            if rows:
                self._rows[item.nodeid] = rows
        is_narrowed = config.getoption("keyword") or config.args_source.name == "ARGS"
        self._is_whole = config.getoption("markexpr") == "fault" and not is_narrowed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test went; a set-up that failed or skipped counts too."""
        if report.when == "call" or report.outcome != "passed":
            for row in self._rows.get(report.nodeid, ()):
                self.outcomes[row].append(report.outcome)

    def missing(self) -> list[int]:
        """Return the rows that have no test, in a run of everything."""
        return sorted(DAEMON_ROWS - set(self.outcomes)) if self._is_whole else []

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a green whole run with a row left out into a red one."""
        is_ended = session.exitstatus == pytest.ExitCode.OK
        if is_ended and not session.config.option.collectonly and self.missing():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Say how each row went."""
        if not self.outcomes:
            return
        terminalreporter.section("FAULT ROWS")
        for row, outcomes in sorted(self.outcomes.items()):
            worst = min(outcomes, key=("failed", "skipped", "passed").index)
            terminalreporter.line(f"{row:4d} {worst} ({len(outcomes)} tests)")
        if self.missing():
            text = ", ".join(map(str, self.missing()))
            terminalreporter.line(f"FAILED: no test for the rows {text}.", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Register the collector for this run."""
    config.pluginmanager.register(FaultRows(), "graftline-fault-rows")
