"""The log of one entry: its steps, then exactly one result, each a line of JSON.

The process that installs appends; every other process may read along.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.results import FlashReport
from deploy.trust.refusals import SourceUnavailableError
from models.errors import GraftlineError
from models.inbox_files import (
    TEXT_MAX_CHARS,
    ResultLine,
    StepLine,
    parse_log_line,
)
from models.shown_text import printable

LOG_MAX_BYTES = 4 << 20
LOGS_KEPT = 50

AnyLine = StepLine | ResultLine
LineListener = Callable[[AnyLine], None]


@dataclass(frozen=True, slots=True)
class StepLog:
    """The log of one entry; its folder exists."""

    path: Path

    def append(self, line: AnyLine) -> None:
        """Write one line; whole, so that a reader never sees a part as a line.

        Raises:
            OSError: It cannot be written.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o644)
        try:
            os.write(descriptor, line.model_dump_json().encode() + b"\n")
            if isinstance(line, ResultLine):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, offset: int = 0) -> tuple[list[AnyLine], int]:
        """Return the complete lines from a byte on, and where the next one starts.

        A line that a power cut has left incomplete is skipped.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return [], offset
        try:
            content = os.pread(descriptor, LOG_MAX_BYTES, offset)
        finally:
            os.close(descriptor)
        complete = content[: content.rfind(b"\n") + 1]
        lines = [parse_log_line(line) for line in complete.splitlines()]
        return [line for line in lines if line is not None], offset + len(complete)

    def result(self) -> ResultLine | None:
        """Return the result; None where the entry is still waiting or running."""
        lines, _ = self.read()
        results = [line for line in lines if isinstance(line, ResultLine)]
        return results[-1] if results else None

    def attempts(self) -> int:
        """Return how often the entry was taken."""
        lines, _ = self.read()
        steps = [line.attempt for line in lines if isinstance(line, StepLine)]
        return max(steps, default=0)


def step_line(text: str, attempt: int = 0) -> StepLine:
    """Return a step that happens now."""
    return StepLine(at=datetime.now(UTC), text=_short(text), attempt=attempt)


def success_line(report: FlashReport) -> ResultLine:
    """Return the result of an installation that succeeded."""
    return ResultLine(
        at=datetime.now(UTC),
        exit_code=0,
        message=f"{report.outcome}: {_short(str(report.package))}",
        report=report.model_dump(mode="json"),
    )


def failure_line(error: GraftlineError, *, is_rolled_back: bool = False) -> ResultLine:
    """Return the result of an installation that failed.

    Args:
        is_rolled_back: The self-test or the trial refused the package.
    """
    return ResultLine(
        at=datetime.now(UTC),
        exit_code=error.exit_code,
        message=_short(error.what),
        why=_short(error.why),
        fix=_short(error.fix),
        refusal=str(getattr(error, "refusal", "")),
        is_unavailable=isinstance(error, SourceUnavailableError),
        is_rolled_back=is_rolled_back,
    )


def prune_logs(inbox: Path) -> None:
    """Remove the oldest logs of entries that are done."""
    logs = sorted(inbox.glob("*.log"), key=_modified_ns, reverse=True)
    for log in logs[LOGS_KEPT:]:
        if not log.with_suffix("").exists():
            with suppress(OSError):
                log.unlink()


def _modified_ns(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0


def _short(text: str) -> str:
    return printable(text)[:TEXT_MAX_CHARS]
