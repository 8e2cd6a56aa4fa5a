"""A daemon that was suspended or stopped says so; a busy machine is no standstill."""

from datetime import UTC, datetime

import pytest

from edge.monitoring.standstill import StandstillMonitor

AT = datetime(2026, 5, 4, 12, 30, 5, tzinfo=UTC)


def checked(*times_s: float) -> StandstillMonitor:
    monitor = StandstillMonitor()
    for now_s in times_s:
        monitor.check(now_s, AT)
    return monitor


@pytest.mark.fault(88)
def test_gap_is_a_fault_with_its_length_for_ten_minutes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    monitor = checked(0, 0.2, 120.2)
    assert "stood still for 120 s until 12:30:05 UTC" in monitor.fault
    for now_s in (*range(121, 720, 5), 720.1):
        monitor.check(now_s, AT)
        assert monitor.fault
    monitor.check(720.3, AT)
    assert monitor.fault == ""
    assert caplog.text.count("daemon_stood_still gap_s=120") == 1


@pytest.mark.parametrize("times_s", [(5000.0,), (0, 0.2, 0.4), (0, 9.9, 19.8)])
def test_start_and_short_delays_are_no_standstill(times_s: tuple[float, ...]) -> None:
    assert checked(*times_s).fault == ""
