"""What one sender or one browser may do to the dashboard of all: nothing."""

import http.client
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from dashboard.web.connections import REQUEST_LIMIT_S
from tests.simulators.broker import Broker
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.station import SimStation
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


STATUS = {"state": "up", "since": "2026-01-01T00:00:00Z"}
UNKNOWN_KEYS = {f"key-{number}": "x" * 100 for number in range(100)}


@dataclass(frozen=True)
class Plant:
    """A dashboard and its broker."""

    broker: Broker
    dashboard: DashboardProcess

    def get(self, path: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.dashboard.port, timeout=10
        )
        try:
            bearer = f"Bearer {self.dashboard.token}"
            headers = {"Host": host, "Authorization": bearer}
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> dict[str, object]:
        document = json.loads(self.get(path)[1])
        assert isinstance(document, dict)
        return document


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("plant")
    with (
        Broker(folder) as broker,
        DashboardProcess(folder, broker.port) as dashboard,
    ):
        dashboard.wait_connected()
        yield Plant(broker, dashboard)


@pytest.mark.fault(78)
def test_station_with_hundreds_of_cameras_keeps_no_alert_of_another_away(
    plant: Plant,
) -> None:
    with SimStation(plant.broker.port, "press-2") as flood:
        for number in range(200):
            topic = flood.topics.camera(f"camera-{number}", "status")
            flood.publish(topic, json.dumps(STATUS | UNKNOWN_KEYS))
        until(lambda: "limits of a sender" in str(plant.json("/healthz")["alarm"]))
    with SimStation(plant.broker.port, "press-1") as station:
        station.say()
        station.alert()
        until(lambda: len(plant.json("/api/alerts")["alerts"]) == 1)
    assert plant.json("/healthz")["status"] == "degraded"
    status, cameras = plant.get("/api/cameras")
    assert status == 200
    assert len(cameras) < 100_000  # unknown keys are not kept


def test_silent_clients_are_closed_and_leave_files_for_the_history(
    tmp_path: Path,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Broker(tmp_path) as broker, ExitStack() as clean_up:
        dashboard = DashboardProcess(tmp_path, broker.port)
        resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
        try:
            clean_up.enter_context(dashboard)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        address = "127.0.0.1", dashboard.port
        silent = [
            clean_up.enter_context(socket.create_connection(address)) for _ in range(30)
        ]
        slow = clean_up.enter_context(socket.create_connection(address))
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert answers(dashboard)
        for _ in range(600):  # a burst, of which most are refused
            client = clean_up.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        until(lambda: "connections_refused" in dashboard.log, "there are too many")
        for client in silent:
            client.settimeout(REQUEST_LIMIT_S + 60)
            assert is_closed(client)
        slow.settimeout(0.1)
        # A header line now and then does not keep a connection open.
        until(lambda: is_closed(slow, b"x: y\r\n"), limit_s=REQUEST_LIMIT_S + 60)
        until(lambda: answers(dashboard), "silent clients are closed", 60)
        assert "Too many open files" not in dashboard.log


def answers(dashboard: DashboardProcess) -> bool:
    try:
        return bool(dashboard.get("/healthz"))
    except OSError:
        return False


def is_closed(client: socket.socket, sent: bytes = b"") -> bool:
    """Send something; return whether the other side has closed the connection."""
    try:
        client.sendall(sent)
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_host_of_another_site_is_not_answered(plant: Plant) -> None:
    assert plant.get("/api/alerts", host="evil.example")[0] == 421
