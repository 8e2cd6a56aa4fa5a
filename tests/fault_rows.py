"""Pytest plugin: which rows of the fault list were tried, and how they went.

A test names the rows that it proves: ``@pytest.mark.fault(2, 3)``. The run ends with
one line a row. ``make fault`` fails where a row of ``docs/reference/faults.md`` has no
test.
"""

import re
from collections import defaultdict
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "faults.md"
ROWS_PROPERTY = "fault_rows"


def read_page() -> dict[int, set[str]]:
    """Return the test modules of each row of the fault list."""
    rows = re.findall(
        r"^\| (\d+) \|.*\| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE
    )
    return {int(row): set(re.findall(r"`(.+?)`", modules)) for row, modules in rows}


class FaultRows:
    """Collects the outcomes of tests by the rows that they prove.

    With ``-n`` the tests run in other processes; their rows come with the reports.

    Args:
        config: Of this run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.outcomes: dict[int, list[str]] = defaultdict(list)
        is_narrowed = config.getoption("keyword") or config.args_source.name == "ARGS"
        is_worker = hasattr(config, "workerinput")
        is_whole = config.getoption("markexpr") == "fault" and not is_narrowed
        self._is_whole = is_whole and not is_worker

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Write the rows of a test into its reports."""
        for item in items:
            rows = [row for mark in item.iter_markers("fault") for row in mark.args]
            if rows:
                item.user_properties.append((ROWS_PROPERTY, rows))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record the outcome of a test; a set-up that failed or skipped counts too."""
        if report.when == "call" or report.outcome != "passed":
            for row in dict(report.user_properties).get(ROWS_PROPERTY, ()):
                self.outcomes[row].append(report.outcome)

    def missing(self) -> list[int]:
        """Return the rows that have no test, in a run of everything."""
        return (
            sorted(read_page().keys() - self.outcomes.keys()) if self._is_whole else []
        )

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a green whole run with a row left out into a red one."""
        is_ended = session.exitstatus == pytest.ExitCode.OK
        if is_ended and not session.config.option.collectonly and self.missing():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Write one line for each row."""
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
    config.pluginmanager.register(FaultRows(config), "graftline-fault-rows")
