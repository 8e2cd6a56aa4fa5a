"""What a daemon answers to Prometheus and to a health check."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.simulators.broker import Broker, free_port
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.videos import defect_between, write_video
from tests.waiting import until

if TYPE_CHECKING:
    import subprocess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

Samples = dict[tuple[str, str], float]


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def metrics_of(port: int) -> Samples:
    """Return every sample by its name and the values of its labels."""
    code, text = get(port, "/metrics")
    assert code == 200
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def pc(tmp_path: Path, port: int) -> DaemonPc:
    pc = DaemonPc(tmp_path, free_port())
    pc.tables = f"[metrics]\nport = {port}\n"
    write_video(pc.folder / "a.avi", 900, 20, defect_between(5, 899))
    return pc


@pytest.fixture
def process(pc: DaemonPc) -> Iterator["subprocess.Popen[str]"]:
    cameras = camera_table("a", "a.avi"), camera_table("gone", "file:nowhere.mp4")
    process = pc.start(*cameras, at_end=False)
    pc.wait_until_inspecting(10)
    yield process
    process.kill()
    process.communicate(timeout=10)


def test_figures_are_those_of_the_daemon(
    pc: DaemonPc, process: "subprocess.Popen[str]", port: int
) -> None:
    until(lambda: metrics_of(port)["edge_alerts_total", "a"] == 1)
    until(lambda: metrics_of(port)["edge_camera_state", "gone lost"] == 1)
    found = metrics_of(port)
    assert found["edge_frames_total", "a"] >= 10
    assert found["edge_frames_inspected_total", "a"] >= 10
    assert found["edge_frames_total", "gone"] == 0
    assert found["edge_camera_state", "a up"] == 1
    assert found["edge_camera_state", "a lost"] == 0
    assert found["edge_state", "degraded"] == 1
    assert found["edge_outbox_rows", ""] == 1
    assert found["edge_outbox_bytes", ""] > 4096
    assert 0 < found["edge_outbox_oldest_seconds", ""] < 120
    assert found["edge_mqtt_connected", ""] == 0
    assert found["process_open_fds", ""] > 5
    age, infer = "edge_frame_age_seconds", "edge_infer_seconds"
    assert found[f"{age}_bucket", "a +Inf"] == found[f"{age}_count", "a"] >= 10
    assert found[f"{infer}_count", ""] >= 10
    assert 0 < found[f"{infer}_sum", ""] < found[f"{age}_sum", "a"]
    rises = [n for (name, _), n in found.items() if name == f"{infer}_bucket"]
    assert rises == sorted(rises)
    assert any(name == "edge_model_info" for name, _ in found)
    del pc, process


def test_broker_that_starts_later_is_counted_as_connected(
    pc: DaemonPc, process: "subprocess.Popen[str]", port: int, tmp_path: Path
) -> None:
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker", port=pc.port) as broker:
        until(lambda: metrics_of(port)["edge_mqtt_connected", ""] == 1)
        assert metrics_of(port)["edge_mqtt_reconnects_total", ""] == 0
        broker.kill()
        broker.start()
        until(lambda: metrics_of(port)["edge_mqtt_reconnects_total", ""] == 1)
    del process


def test_probes_report_alive_ready_and_the_faults(
    process: "subprocess.Popen[str]", port: int
) -> None:
    until(lambda: get(port, "/readyz")[0] == 200)
    state = json.loads(get(port, "/readyz")[1])
    assert state == {"state": "degraded", "faults": ["camera gone lost"]}
    assert get(port, "/healthz") == (200, '{"stuck": []}\n')
    assert get(port, "/etc/passwd")[0] == 404
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    with pytest.raises(ConnectionRefusedError):
        get(port, "/healthz")


def test_daemon_that_is_not_ready_is_reported_as_such(pc: DaemonPc, port: int) -> None:
    # A server that accepts and is silent: the camera stays in its opening.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/video"
        process = pc.start(
            camera_table("slow", url, open_timeout_ms=60_000), at_end=False
        )
        try:
            until(lambda: "inspecting cameras" in pc.stderr)
            until(lambda: is_listening(port))  # a thread of its own opens the port
            code, text = get(port, "/readyz")
            assert (code, json.loads(text)["state"]) == (503, "init")
        finally:
            process.kill()
            process.communicate(timeout=10)


def test_clients_that_never_ask_do_not_hold_anything_up(
    pc: DaemonPc, process: "subprocess.Popen[str]", port: int
) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    before = pc.health.frames_inspected if pc.health else 0
    until(lambda: bool(pc.health and pc.health.frames_inspected > before + 5))
    threads = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
    for connection in silent:
        connection.close()
    until(lambda: _answers(port))
    # Those 30 clients never had more than a bounded number of threads.
    assert threads - len(list(Path(f"/proc/{process.pid}/task").iterdir())) <= 8


def test_clients_that_hold_every_place_do_not_shut_others_out(
    process: "subprocess.Popen[str]", port: int
) -> None:
    assert process.poll() is None
    until(lambda: _answers(port))
    held = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
    for client in held:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
    time.sleep(0.3)  # all of them have their places
    answers = [_answers(port) for _ in range(5)]
    for client in held:
        client.close()
    assert answers == [True] * 5


def _answers(port: int) -> bool:
    try:
        return get(port, "/healthz")[0] == 200
    except (ConnectionError, http.client.HTTPException):
        return False


@pytest.mark.fault(77)
def test_port_in_use_never_stops_the_inspection(pc: DaemonPc, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        process = pc.start(camera_table("a", "a.avi"), at_end=False)
        until(lambda: bool(pc.health and pc.health.state == "degraded"))
        assert pc.health
        assert f"metrics port {port} cannot be used" in pc.health.reason
    try:  # tried again once it is free
        until(lambda: _answers(port))
        until(lambda: bool(pc.health and "metrics" not in pc.health.reason))
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


@pytest.mark.fault(77)
def test_connections_of_a_killed_daemon_do_not_hold_the_port(
    pc: DaemonPc, port: int
) -> None:
    """A client that is connected while the daemon dies leaves TIME_WAIT behind."""
    for _ in range(2):
        process = pc.start(camera_table("a", "a.avi"), at_end=False)
        until(lambda: _answers(port))
        with socket.create_connection(("127.0.0.1", port)) as client:
            time.sleep(0.5)  # until it is accepted
            process.kill()
            process.communicate(timeout=10)
            assert client.recv(1) == b""  # the daemon's side was closed first
    assert pc.stderr.count("metrics_open") == 2
    assert "metrics_unavailable" not in pc.stderr


def test_request_that_comes_byte_by_byte_is_cut_off(
    pc: DaemonPc, process: "subprocess.Popen[str]", port: int
) -> None:
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
    for client in slow:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
    started_s = time.monotonic()
    open_ones = list(slow)
    while open_ones and time.monotonic() - started_s < 30:
        open_ones = [client for client in open_ones if _drips(client)]
        time.sleep(0.5)
    for client in slow:
        client.close()
    assert not open_ones
    assert _answers(port)


def _drips(client: socket.socket) -> bool:
    """Send one more header; return whether the connection is still open."""
    try:
        client.sendall(b"x: y\r\n")
        client.settimeout(0.05)
        return bool(client.recv(1000))
    except TimeoutError:
        return True
    except OSError:
        return False
