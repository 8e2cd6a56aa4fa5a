"""When systemd's watchdog is notified, and what systemd receives."""

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.monitoring import systemd
from edge.monitoring.systemd import (
    Heartbeats,
    SystemdNotifier,
    Watchdog,
    WatchdogReporter,
)
from models.messages import DaemonState

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


def test_missing_socket_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = SystemdNotifier(str(tmp_path / "gone"))
    notifier.notify_watchdog()
    notifier.notify_watchdog()
    assert caplog.text.count("notify_failed") == 1


class SimNotifier(SystemdNotifier):
    """Keeps what systemd would receive."""

    def __init__(self, watchdog_s: float = 0) -> None:
        super().__init__("", watchdog_s)
        self.messages: list[str] = []

    def _send(self, message: str) -> None:
        self.messages.append(message)


def reporter(
    notifier: SystemdNotifier,
    heartbeats: Heartbeats,
    *threads: str,
    state: DaemonState = DaemonState.READY,
) -> WatchdogReporter:
    return WatchdogReporter(
        notifier, heartbeats, threads, lambda: state, lambda: "a line"
    )


def test_heartbeats_join_beats_and_counters_of_loops() -> None:
    heartbeats = Heartbeats({"outbox": lambda: 5})
    heartbeats.beat("cameras")
    heartbeats.beat("cameras")
    assert heartbeats.counts() == {"cameras": 2, "outbox": 5}


def test_daemon_that_makes_progress_is_ready_once_and_notified_each_time() -> None:
    notifier, heartbeats = SimNotifier(), Heartbeats({})
    report = reporter(notifier, heartbeats)
    for _ in range(3):
        heartbeats.beat("cameras")
        report.check()
    assert notifier.messages == ["READY=1", *["WATCHDOG=1"] * 3]


def test_daemon_in_its_start_is_not_ready_but_notified() -> None:
    notifier = SimNotifier()
    reporter(notifier, Heartbeats({}), state=DaemonState.INIT).check()
    assert notifier.messages == ["WATCHDOG=1"]


def test_watchdog_is_not_notified_while_a_loop_hangs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, now_s = 1, 0
    clock = SimpleNamespace(monotonic_ns=lambda: now_s * SECOND_NS)
    monkeypatch.setattr(systemd, "time", clock)
    notifier = SimNotifier(watchdog_s=8)
    report = reporter(notifier, Heartbeats({"outbox": lambda: count}))
    stuck = []
    while now_s < 7:
        report.check()
        stuck.append(report.stuck)
        now_s += 1
    # Reported after half of systemd's period.
    assert stuck == [()] * 5 + [("outbox",)] * 2
    assert notifier.messages.count("WATCHDOG=1") == 1
    assert caplog.text.count("watchdog_not_fed") == 1
    assert report.fault == "no progress in outbox. Fix: restart the daemon"
    count = 2
    report.check()
    assert report.fault == ""
    assert notifier.messages.count("WATCHDOG=1") == 2
    assert report.stuck == ()
    assert "watchdog_fed_again" in caplog.text


def test_thread_that_is_not_running_stops_the_notifications() -> None:
    notifier = SimNotifier()
    reporter(notifier, Heartbeats({}), "no such thread").check()
    assert notifier.messages == ["READY=1"]
