from datetime import datetime

import pytest

from dashboard.notify.schedule import LONGEST_WAIT_S, is_quiet_time, wait_s


@pytest.mark.parametrize(
    ("time", "span", "is_quiet"),
    [
        ("21:59", "22:00-06:00", False),
        ("22:00", "22:00-06:00", True),
        ("05:59", "22:00-06:00", True),
        ("06:00", "22:00-06:00", False),
        ("12:30", "12:00-13:00", True),
        ("23:59", "20:00-24:00", True),
        ("00:00", "20:00-24:00", False),
        ("03:00", "00:00-00:00", True),
    ],
)
def test_quiet_hours_include_their_start(time: str, span: str, is_quiet: bool) -> None:
    local = datetime.strptime(f"2026-01-01 {time}", "%Y-%m-%d %H:%M")  # noqa: DTZ007
    assert is_quiet_time(local, [span]) == is_quiet


def test_no_quiet_hours_are_never_quiet() -> None:
    assert not is_quiet_time(datetime(2026, 1, 1), [])  # noqa: DTZ001


def test_wait_doubles_up_to_a_limit() -> None:
    assert [wait_s(n) for n in (1, 2, 3)] == [5, 10, 20]
    assert wait_s(1000) == LONGEST_WAIT_S
    assert wait_s(1, asked_s=120) == 120
    assert wait_s(1, asked_s=1e9) == LONGEST_WAIT_S
