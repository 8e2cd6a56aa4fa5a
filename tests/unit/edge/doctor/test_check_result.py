from edge.doctor.check_result import CheckResult, Grade, exit_code_of
from models.errors import CameraError, DeliveryError


def failed(check: str, exit_code: int) -> CheckResult:
    return CheckResult(check, Grade.FAIL, "broken", exit_code=exit_code)


def test_exit_code_is_that_of_the_first_failed_check() -> None:
    warning = CheckResult("clock", Grade.WARN, "not synchronized")
    assert exit_code_of([warning, failed("broker", 7), failed("camera", 6)]) == 7


def test_warnings_do_not_fail() -> None:
    results = [CheckResult("a", Grade.OK, ""), CheckResult("b", Grade.WARN, "")]
    assert exit_code_of(results) == 0


def test_error_is_a_failed_check_with_its_parts_and_exit_code() -> None:
    error = CameraError("top: no frame.", why="The cable.", fix="Check it.")
    result = CheckResult.of_error("camera top", error)
    assert result.document() == {
        "check": "camera top",
        "grade": "fail",
        "what": "top: no frame.",
        "why": "The cable.",
        "fix": "Check it.",
        "exit_code": CameraError.exit_code,
        "figures": {},
    }
    assert result.exit_code != DeliveryError.exit_code
