"""systemd restarts a daemon that makes no progress, and only such a one."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.simulators.broker import Broker, free_port
from tests.simulators.daemon import ROOT, DaemonPc, camera_table
from tests.simulators.systemd import SimSystemd
from tests.simulators.videos import defect_between, write_video
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

RESTART_LIMIT_S = 20.0  # WatchdogSec= of the unit
SHORT_WATCHDOG_S = 2.0  # the same rule, sooner
STARVED_S = 25.0  # longer than the watchdog waits
BREAKABLE = ROOT / "tests" / "simulators" / "breakable_daemon.py"


@pytest.fixture
def pc(tmp_path: Path) -> DaemonPc:
    pc = DaemonPc(tmp_path, free_port())  # no broker: no reason to restart
    write_video(pc.folder / "a.avi", 1200, 20, defect_between(5, 10))
    pc.program = [sys.executable, str(BREAKABLE), str(tmp_path / "break")]
    return pc


@contextmanager
def running(pc: DaemonPc, systemd: SimSystemd) -> Iterator["subprocess.Popen[str]"]:
    """A daemon that is ready; killed at the end."""
    pc.environment = systemd.environment
    with pc.running(camera_table("a", "a.avi")) as process:
        until(lambda: len(systemd.times_of("WATCHDOG=1")) >= 2)
        yield process


def break_loop(pc: DaemonPc, what: str) -> None:
    (pc.folder / "break").write_text(what, encoding="utf-8")


@pytest.mark.fault(63)
@pytest.mark.parametrize(
    "what",
    [
        *("kill outbox", "kill recorder", "kill publisher", "kill health"),
        *("kill model-watch", "kill service", "hang cameras", "hang inference"),
    ],
)
def test_daemon_with_a_broken_loop_is_not_fed(
    pc: DaemonPc, tmp_path: Path, what: str
) -> None:
    with SimSystemd(tmp_path, SHORT_WATCHDOG_S) as systemd, running(pc, systemd):
        assert not systemd.would_restart
        break_loop(pc, what)
        until(lambda: systemd.would_restart, limit_s=RESTART_LIMIT_S)
    loop = what.split()[1]
    is_logged = loop != "service"  # the service loop is the one that logs it
    logged = re.search(rf"watchdog_not_fed stuck=\S*{loop}", pc.stderr)
    assert (logged is not None) == is_logged
    assert "watchdog_fed_again" not in pc.stderr


@pytest.mark.fault(63)
@pytest.mark.parametrize("loop", ["cameras", "inference"])
def test_daemon_whose_main_loop_fails_ends_with_a_bug(
    pc: DaemonPc, tmp_path: Path, loop: str
) -> None:
    with SimSystemd(tmp_path, SHORT_WATCHDOG_S) as systemd, running(pc, systemd) as run:
        break_loop(pc, f"raise {loop}")
        code = run.wait(RESTART_LIMIT_S)
    assert code == 1, pc.stderr  # and systemd's Restart=always
    assert "this is a bug in Graftline (BrokenError" in pc.stderr


def test_daemon_is_ready_when_its_cameras_are_and_reports_its_status(
    pc: DaemonPc, tmp_path: Path
) -> None:
    (tmp_path / "broker").mkdir()
    with SimSystemd(tmp_path, RESTART_LIMIT_S) as systemd:
        with running(pc, systemd) as run:
            until(lambda: bool(systemd.times_of("READY=1")))
            # Not before: the model is loaded and the camera is up by then.
            assert "inspecting cameras=1" in pc.stderr
            until(lambda: bool(systemd.statuses))
            assert "| outbox " in systemd.statuses[-1]
            run.send_signal(signal.SIGTERM)
            run.communicate(timeout=15)
        assert len(systemd.times_of("READY=1")) == 1
        assert len(systemd.times_of("STOPPING=1")) == 1
        assert systemd.received[-1][1] == "STOPPING=1"


@pytest.mark.long
@pytest.mark.fault(60)
@pytest.mark.slow
def test_starved_daemon_is_not_restarted(pc: DaemonPc, tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    pc.program = ["nice", "-n", "19", *pc.program]
    burn = f"import time\nend = time.monotonic() + {STARVED_S}\n"
    burn += "while time.monotonic() < end: pass"
    with (
        Broker(tmp_path / "broker", port=pc.port),
        SimSystemd(tmp_path, RESTART_LIMIT_S) as systemd,
        running(pc, systemd) as run,
    ):
        before = pc.health.frames_inspected if pc.health else 0
        burners = [
            subprocess.Popen(["nice", "-n", "3", sys.executable, "-c", burn])
            for _ in range(4)
        ]
        for burner in burners:
            burner.wait(STARVED_S * 3)
        assert systemd.longest_gap_s() < RESTART_LIMIT_S
        assert run.poll() is None
        until(lambda: bool(pc.health and pc.health.frames_inspected > before))
        assert pc.health is not None
        assert pc.health.state in {"ready", "degraded"}
