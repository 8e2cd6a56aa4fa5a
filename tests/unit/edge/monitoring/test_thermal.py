"""When the processor counts as throttled, and when no longer."""

from pathlib import Path

import pytest

from edge.monitoring.thermal import (
    ThermalReading,
    ThermalRule,
    ThermalZone,
    read_sensors,
)
from tests.simulators.sysfs import SimSysfs

SECOND_NS = 1_000_000_000
CALM_S = 30


@pytest.fixture
def rule() -> ThermalRule:
    return ThermalRule(CALM_S * SECOND_NS)


def reading(temperature_c: float, throttles: int = 0) -> ThermalReading:
    return ThermalReading(
        (ThermalZone("cpu", temperature_c, 95),), throttles, 1.2e9, 3.4e9
    )


def test_sensors_are_read_as_the_kernel_shows_them(tmp_path: Path) -> None:
    sysfs = SimSysfs(tmp_path / "sys")
    sysfs.heat(97.5)
    sysfs.throttle(12)
    assert read_sensors(sysfs.root) == ThermalReading(
        (ThermalZone("x86_pkg_temp", 97.5, 95),), 12, 1.2e9, 3.4e9
    )


def test_machine_without_sensors_is_never_throttled(
    rule: ThermalRule, tmp_path: Path
) -> None:
    nothing = read_sensors(tmp_path)
    assert nothing == ThermalReading((), 0, 0, 0)
    assert not rule.update(nothing, 0)


def test_sensor_that_does_not_answer_is_left_out(tmp_path: Path) -> None:
    sysfs = SimSysfs(tmp_path / "sys")
    for text in ("", "warm\n"):
        (sysfs.zone / "temp").write_text(text)
        assert read_sensors(sysfs.root).zones == ()
    (sysfs.zone / "temp").unlink()
    assert read_sensors(sysfs.root).zones == ()


def test_zone_without_a_slowing_trip_point_is_never_too_hot(
    rule: ThermalRule, tmp_path: Path
) -> None:
    sysfs = SimSysfs(tmp_path / "sys")
    (sysfs.zone / "trip_point_1_type").write_text("active\n")
    sysfs.heat(99)
    assert not rule.update(read_sensors(sysfs.root), 0)


def test_reason_holds_the_figures_of_the_moment_it_began(rule: ThermalRule) -> None:
    assert not rule.update(reading(94.9), 0)
    assert rule.update(reading(97), SECOND_NS)
    assert rule.reason == "cpu 97 of 95 C, 1.2 of 3.4 GHz"
    assert rule.update(reading(99), 2 * SECOND_NS)
    assert rule.reason == "cpu 97 of 95 C, 1.2 of 3.4 GHz"


def test_rising_throttle_count_is_reported_and_a_constant_one_is_not(
    rule: ThermalRule,
) -> None:
    assert not rule.update(reading(60, throttles=500), 0)  # of last week
    assert rule.update(reading(60, throttles=503), SECOND_NS)
    assert "slowed down 3 times" in rule.reason
    assert not rule.update(reading(60, throttles=503), (1 + CALM_S) * SECOND_NS)


def test_it_is_over_only_after_a_calm_while_below_the_trip_point(
    rule: ThermalRule,
) -> None:
    assert rule.update(reading(95), 0)
    assert rule.update(reading(91), 40 * SECOND_NS)  # not cool enough
    assert rule.update(reading(89), 69 * SECOND_NS)  # not calm for long enough
    assert not rule.update(reading(89), 70 * SECOND_NS)
    assert not rule.update(reading(91), 71 * SECOND_NS)  # not hot again
