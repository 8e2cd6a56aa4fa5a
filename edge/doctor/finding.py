"""What a check found: fine, doubtful or broken, and what to do about it."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum

from models.errors import ExitCode, GraftlineError


class Grade(StrEnum):
    """How it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report.

    Attributes:
        check: What was looked at, for example ``camera top``.
        grade: How it is.
        what: What was seen.
        why: The cause, where it is not well.
        fix: The next action, where it is not well.
        exit_code: Of the command, where it is broken.
        figures: What was measured, by name and unit.
    """

    check: str
    grade: Grade
    what: str
    why: str = ""
    fix: str = ""
    exit_code: int = int(ExitCode.OK)
    figures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of_error(cls, check: str, error: GraftlineError) -> "CheckResult":
        """Return an expected failure as a finding.

        Args:
            check: What was looked at.
            error: What came of it.
        """
        return cls(check, Grade.FAIL, error.what, error.why, error.fix, error.exit_code)

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return {**asdict(self), "grade": self.grade.value}


def exit_code_of(findings: list[CheckResult]) -> int:
    """Return the exit code of a report: that of its first broken part.

    Args:
        findings: In the order of the report, what matters most first.

    >>> exit_code_of([Finding("clock", Grade.WARN, "not synchronized")])
    0
    """
    broken = [each.exit_code for each in findings if each.grade is Grade.FAIL]
    return broken[0] if broken else int(ExitCode.OK)
