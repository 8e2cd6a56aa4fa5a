"""The result of a check: grade, cause, and what to do about it."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum

from models.errors import ExitCode, GraftlineError


class Grade(StrEnum):
    """Grade of a result: only ``FAIL`` makes the exit code nonzero."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report."""

    check: str  # name of the check, for example `camera top`
    grade: Grade
    what: str
    why: str = ""  # the cause, unless the grade is `OK`
    fix: str = ""  # the next action, unless the grade is `OK`
    # exit code of the command if this is the first failed check
    exit_code: int = int(ExitCode.OK)
    # measurements; the names end in the unit
    figures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of_error(cls, check: str, error: GraftlineError) -> "CheckResult":
        """Return an expected failure as a failed check."""
        return cls(check, Grade.FAIL, error.what, error.why, error.fix, error.exit_code)

    def document(self) -> dict[str, object]:
        """Return the result as a JSON object."""
        return {**asdict(self), "grade": self.grade.value}


def exit_code_of(results: list[CheckResult]) -> int:
    """Return the exit code of a report: that of its first failed check.

    >>> exit_code_of([CheckResult("clock", Grade.WARN, "not synchronized")])
    0
    """
    failed = [each.exit_code for each in results if each.grade is Grade.FAIL]
    return failed[0] if failed else int(ExitCode.OK)
