import threading
import time
from pathlib import Path

import pytest

from edge.config.station import load_edge_config
from edge.doctor import checks
from edge.doctor.check_result import CheckResult, Grade
from edge.doctor.checks import Check, check_clock, run_checks
from models.errors import ConfigError, DeliveryError, ExitCode
from tests.simulators.edge_config import MINIMAL


def fine(name: str) -> Check:
    return Check(name, 3, lambda: CheckResult(name, Grade.OK, "fine"))


def test_results_are_in_the_order_of_the_checks() -> None:
    first_may_end = threading.Event()

    def last() -> CheckResult:
        first_may_end.set()
        return CheckResult("last", Grade.OK, "fine")

    def first() -> CheckResult:
        assert first_may_end.wait(5)
        return CheckResult("first", Grade.OK, "fine")

    results = run_checks(
        [Check("first", 3, first), Check("last", 3, last)], time.monotonic() + 5
    )
    assert [each.check for each in results] == ["first", "last"]


def test_check_that_does_not_return_has_failed_in_time() -> None:
    never = threading.Event()

    def hang() -> CheckResult:
        never.wait(10)
        return CheckResult("disk", Grade.OK, "too late")

    results = run_checks(
        [Check("disk", 7, hang), fine("clock")], time.monotonic() + 0.2
    )
    never.set()
    assert [each.grade for each in results] == [Grade.FAIL, Grade.OK]
    assert (results[0].what, results[0].exit_code) == ("no answer in time.", 7)


def test_expected_error_and_bug_are_failed_checks() -> None:
    def refuse() -> CheckResult:
        raise DeliveryError("broker: refused.", fix="Check it.")

    def break_down() -> CheckResult:
        raise ZeroDivisionError("a bug")

    results = run_checks(
        [Check("broker", 7, refuse), Check("model", 5, break_down)],
        time.monotonic() + 5,
    )
    assert [each.exit_code for each in results] == [
        DeliveryError.exit_code,
        ExitCode.BUG,
    ]
    assert "ZeroDivisionError: a bug" in results[1].what


@pytest.mark.parametrize(
    ("is_synchronized", "grade"), [(True, Grade.OK), (False, Grade.WARN)]
)
def test_clock_that_is_not_synchronized_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, is_synchronized: bool, grade: Grade
) -> None:
    monkeypatch.setattr(checks, "is_clock_synchronized", lambda: is_synchronized)
    assert check_clock().grade is grade


def test_clock_that_was_never_set_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    far = checks.CLOCK_MIN.replace(year=9999)
    monkeypatch.setattr(checks, "CLOCK_MIN", far)
    with pytest.raises(ConfigError, match="the clock shows"):
        check_clock()


def test_rules_are_compared_at_the_size_of_the_frames_that_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "edge.toml"
    polygon = "polygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\nmin_size_px = 500\n"
    region = f'[[camera.region]]\nname = "body"\n{polygon}'
    path.write_text(MINIMAL + region, "utf-8")
    figures = {"width_px": 320, "height_px": 240}
    camera = CheckResult("camera top", Grade.OK, "fine", figures=figures)
    monkeypatch.setattr(
        checks, "_checks", lambda *_: [Check("camera top", 6, lambda: camera)]
    )
    *_, rules = checks.run_doctor_checks(load_edge_config(path), path)
    assert (rules.check, rules.grade) == ("rules top", Grade.WARN)
    assert rules.what == (
        "degraded: region body has min_size_px = 500, more than its frames: "
        "320 x 240 px"
    )
