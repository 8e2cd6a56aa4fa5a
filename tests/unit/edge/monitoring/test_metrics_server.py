"""The answers of the metrics server, without a network."""

import json
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from edge.config.monitoring import MetricsSettings
from edge.monitoring.metrics_server import MetricsServer, _Handler
from models.messages import DaemonState


class SimMetrics:
    """Metrics whose state a test sets."""

    def __init__(self) -> None:
        self.current, self.hanging = DaemonState.READY, ()
        self.status = SimpleNamespace(faults=("camera top lost",))

    def render(self) -> bytes:
        return b"edge_state 1\n"

    def state(self) -> DaemonState:
        return self.current

    def stuck(self) -> tuple[str, ...]:
        return self.hanging


@pytest.fixture
def metrics() -> SimMetrics:
    return SimMetrics()


def get(metrics: SimMetrics, path: str) -> tuple[int, str]:
    """Return status and body of the answer to a request."""
    head, body = ask(metrics, f"GET {path} HTTP/1.0\r\n\r\n")
    return int(head.split()[1]), body


def ask(metrics: SimMetrics, request: str) -> tuple[str, str]:
    """Return head and body of the answer to a request."""
    handler: Any = type("Handler", (_Handler,), {"metrics": metrics})
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(request.encode())
        handler(theirs, ("client", 0), None)
        theirs.shutdown(socket.SHUT_WR)
        ours.settimeout(5)
        answer = b"".join(iter(lambda: ours.recv(4096), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return head, body


def test_metrics_are_rendered_for_each_request(metrics: SimMetrics) -> None:
    assert get(metrics, "/metrics?x=1") == (200, "edge_state 1\n")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (DaemonState.INIT, 503),
        (DaemonState.READY, 200),
        (DaemonState.DEGRADED, 200),
        (DaemonState.DISCONNECTED, 503),
    ],
)
def test_daemon_is_ready_while_it_inspects(
    metrics: SimMetrics, state: DaemonState, status: int
) -> None:
    metrics.current = state
    code, body = get(metrics, "/readyz")
    assert code == status
    assert json.loads(body) == {"state": state.value, "faults": ["camera top lost"]}


def test_daemon_with_a_hanging_loop_is_not_healthy(metrics: SimMetrics) -> None:
    assert get(metrics, "/healthz") == (200, '{"stuck": []}\n')
    metrics.hanging = ("outbox",)
    assert get(metrics, "/healthz") == (503, '{"stuck": ["outbox"]}\n')


def test_unknown_path_is_not_found(metrics: SimMetrics) -> None:
    assert get(metrics, "/etc/passwd")[0] == 404


def test_server_without_a_port_does_not_listen(metrics: SimMetrics) -> None:
    server = MetricsServer(MetricsSettings(), metrics)  # type: ignore[arg-type]
    server.start()
    assert "metrics" not in [thread.name for thread in threading.enumerate()]
    server.stop()


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:9100", 200), ("[::1]", 200), ("evil.example", 421), ("", 421)],
)
def test_only_hosts_of_this_machine_are_answered(
    metrics: SimMetrics, host: str, status: int
) -> None:
    head, _ = ask(metrics, f"GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n")
    assert int(head.split()[1]) == status


@pytest.mark.parametrize(
    "lines", ["", "Host: localhost\r\nHost: evil.example\r\n", " Host: evil\r\n"]
)
def test_request_without_one_host_is_not_answered(
    metrics: SimMetrics, lines: str
) -> None:
    head, _ = ask(metrics, f"GET /metrics HTTP/1.1\r\n{lines}\r\n")
    assert " 421 " in head


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_no_answer_names_the_server_and_its_version(
    metrics: SimMetrics, method: str
) -> None:
    head, _ = ask(metrics, f"{method} /metrics HTTP/1.0\r\n\r\n")
    assert "server:" not in head.lower()


def test_head_is_answered_without_content(metrics: SimMetrics) -> None:
    head, body = ask(metrics, "HEAD /metrics HTTP/1.0\r\n\r\n")
    assert " 200 " in head
    assert "Content-Length: 13" in head
    assert body == ""


@pytest.mark.fault(77)
def test_port_in_use_is_a_fault_and_no_error(metrics: SimMetrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = MetricsSettings(port=port)
        server = MetricsServer(settings, metrics)  # type: ignore[arg-type]
        server.start()
    assert server.fault == f"metrics port {port} cannot be used: Address already in use"
    server.stop()


@pytest.mark.parametrize("listen", ["a" * 300, "\u00fc..x", "256.1.1.1"])
def test_name_that_cannot_be_one_is_a_fault_and_no_error(
    metrics: SimMetrics, listen: str
) -> None:
    settings = MetricsSettings(port=9, listen=listen)
    server = MetricsServer(settings, metrics)  # type: ignore[arg-type]
    server.start()
    assert server.fault.startswith("metrics port 9 cannot be used: ")
    server.stop()
