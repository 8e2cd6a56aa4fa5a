"""SIGTERM while there is much to do: a good-bye in ten seconds, and no last will."""

import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import TYPE_CHECKING

import pytest

from edge.delivery.outbox.outbox import EventKind, Outbox
from tests.simulators.broker import Broker, free_port
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import (
    DaemonPc,
    camera_processes_of,
    camera_table,
)
from tests.simulators.station import alert_event
from tests.simulators.videos import defect_between, write_video
from tests.waiting import until

if TYPE_CHECKING:
    import subprocess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180), pytest.mark.fault(66)]

DRAIN_LIMIT_S = 10.0
STOP_LIMIT_S = 15.0  # TimeoutStopSec= of the unit: then systemd kills
FROZEN_S = 2.0  # less than the daemon gives to its good-bye
WAITING = 5000
"""Events that an outage has left."""


def fill_outbox(pc: DaemonPc, events: int) -> None:
    outbox = Outbox(pc.folder / "outbox.sqlite", pc.topics, 256 << 20)
    outbox.start()
    data = alert_event(pc.topics, 1).data.model_copy(
        update={"captured_at": datetime.now(UTC)}
    )
    topic = pc.topics.camera("a", "alert")
    last = [outbox.put(EventKind.ALERT, topic, data) for _ in range(events)][-1]
    assert last.result(timeout=30) == events
    outbox.close()


def start(pc: DaemonPc) -> "subprocess.Popen[str]":
    write_video(pc.folder / "a.avi", 1200, 20, defect_between(5, 1199))
    process = pc.start(camera_table("a", "a.avi"), at_end=False)
    pc.wait_until_inspecting(10)
    return process


def stop(pc: DaemonPc, process: "subprocess.Popen[str]") -> tuple[float, int]:
    """Send SIGTERM; return how long the end took, and what was not delivered."""
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    code, figures = pc.end_of(process)
    took_s = time.monotonic() - began_s
    assert code == 0, pc.stderr
    assert "Traceback" not in pc.stderr
    assert figures["state"] == "disconnected"
    undelivered = figures["outbox"]["undelivered"]
    assert (
        figures["outbox"]["delivered"] + undelivered == figures["outbox"]["committed"]
    )
    return took_s, undelivered


def states_of(collector: SimCollector, pc: DaemonPc) -> list[str]:
    return [status["state"] for status in collector.states.get(pc.topics.status, [])]


@pytest.mark.long
def test_stop_with_thousands_undelivered_delivers_some_and_keeps_the_rest(
    tmp_path: Path,
) -> None:
    (tmp_path / "broker").mkdir()
    pc = DaemonPc(tmp_path, free_port())
    fill_outbox(pc, WAITING)
    process = start(pc)
    with (
        Broker(tmp_path / "broker", port=pc.port),
        SimCollector(tmp_path, pc.port) as collector,
    ):
        until(lambda: bool(states_of(collector, pc)))
        took_s, undelivered = stop(pc, process)
        assert took_s < STOP_LIMIT_S
        until(lambda: states_of(collector, pc)[-1] == "disconnected")
        assert "lost" not in states_of(collector, pc)
        stored = len(collector.history("alert"))
        assert stored >= WAITING + 1 - undelivered
        assert pc.run(camera_table("a", "folder:none"))[0] != 0  # no such camera
        until(lambda: len(collector.history("alert")) >= WAITING + 1)


def test_stop_with_a_broker_that_resumes_in_time_publishes_disconnected(
    tmp_path: Path,
) -> None:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker:
        pc = DaemonPc(tmp_path, broker.port)
        fill_outbox(pc, WAITING)
        with SimCollector(tmp_path, broker.port) as collector:
            process = start(pc)
            until(lambda: "ready" in states_of(collector, pc))
            broker.signal(SIGSTOP)
            thaw = threading.Timer(FROZEN_S, broker.signal, (SIGCONT,))
            thaw.start()
            took_s, _ = stop(pc, process)
            thaw.join(FROZEN_S)
            assert took_s < STOP_LIMIT_S
            until(lambda: states_of(collector, pc)[-1] == "disconnected")
            assert "lost" not in states_of(collector, pc)


@pytest.mark.long
def test_stop_with_a_broker_that_stays_frozen_keeps_every_event(tmp_path: Path) -> None:
    """The frozen broker reads its last status only after the daemon has ended."""
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker:
        pc = DaemonPc(tmp_path, broker.port)
        with SimCollector(tmp_path, broker.port) as collector:
            process = start(pc)
            until(lambda: "ready" in states_of(collector, pc))
            broker.signal(SIGSTOP)
            try:
                took_s, _ = stop(pc, process)
            finally:
                broker.signal(SIGCONT)
            assert took_s < STOP_LIMIT_S
            pc.run(camera_table("a", "folder:none"))
            until(lambda: len(collector.history("alert")) >= 1)


def freeze_camera(process: "subprocess.Popen[str]") -> Callable[[], None]:
    (camera,) = camera_processes_of(process.pid)
    os.kill(camera, SIGSTOP)
    return lambda: os.kill(camera, 0)  # fails where it is gone


def test_stop_with_a_hanging_camera_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker") as broker:
        pc = DaemonPc(tmp_path, broker.port)
        with SimCollector(tmp_path, broker.port) as collector:
            process = start(pc)
            ask_for_camera = freeze_camera(process)
            took_s, undelivered = stop(pc, process)
            assert took_s < DRAIN_LIMIT_S
            assert undelivered == 0
            with pytest.raises(ProcessLookupError):
                ask_for_camera()
            assert states_of(collector, pc)[-1] == "disconnected"
            assert "lost" not in states_of(collector, pc)
