"""When systemd's watchdog is notified, and what systemd receives."""

import socket
from pathlib import Path

import pytest

from edge.monitoring.systemd import SystemdNotifier, Watchdog

SECOND_NS = 1_000_000_000


def test_slow_loop_is_not_stuck_after_one_iteration() -> None:
    watchdog = Watchdog()
    assert watchdog.check({"a": 1, "b": 1}, (), 0).is_well
    for seconds in range(1, 15):
        result = watchdog.check({"a": 1 + seconds, "b": 1}, (), seconds * SECOND_NS)
        assert result.stuck == ("b",)
        assert result.since_ms == seconds * 1000
    assert watchdog.check({"a": 15, "b": 2}, (), 15 * SECOND_NS).is_well


def test_loops_that_iterate_one_after_the_other_are_well_together() -> None:
    watchdog = Watchdog()
    watchdog.check({"a": 1, "b": 1}, (), 0)
    assert not watchdog.check({"a": 2, "b": 1}, (), 1).is_well
    assert watchdog.check({"a": 2, "b": 2}, (), 2).is_well


def test_ended_thread_is_stuck_for_good() -> None:
    watchdog = Watchdog()
    for turn in range(3):
        assert watchdog.check({"a": turn}, ("health",), turn).stuck == ("health",)


def received(receiver: socket.socket) -> str:
    return receiver.recv(4096).decode()


@pytest.mark.parametrize("is_abstract", [False, True])
def test_notifications_reach_the_socket_of_systemd(
    tmp_path: Path, is_abstract: bool
) -> None:
    address = f"@graftline-{tmp_path.name}" if is_abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0"))
        receiver.settimeout(5)
        variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000"}
        notifier = SystemdNotifier.from_environment(variables)
        assert notifier.watchdog_s == 20
        notifier.notify_ready()
        notifier.notify_watchdog()
        notifier.notify_status("ready | 2\nlines")
        notifier.notify_stopping()
        messages = [received(receiver) for _ in range(4)]
    assert messages == ["READY=1", "WATCHDOG=1", "STATUS=ready | 2 lines", "STOPPING=1"]


def test_without_systemd_nothing_is_sent_and_nothing_fails() -> None:
    notifier = SystemdNotifier.from_environment({})
    notifier.notify_ready()
    assert notifier.watchdog_s == 0


def test_watchdog_of_another_process_is_ignored() -> None:
    variables = {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}
    assert SystemdNotifier.from_environment(variables).watchdog_s == 0


def test_socket_that_is_gone_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = SystemdNotifier(str(tmp_path / "gone"))
    notifier.notify_watchdog()
    notifier.notify_watchdog()
    assert caplog.text.count("notify_failed") == 1
