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
    handler: Any = type("Handler", (_Handler,), {"metrics": metrics})
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        handler(theirs, ("client", 0), None)
        theirs.shutdown(socket.SHUT_WR)
        ours.settimeout(5)
        answer = b"".join(iter(lambda: ours.recv(4096), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


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
