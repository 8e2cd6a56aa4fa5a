"""``/metrics``, ``/healthz`` and ``/readyz`` over HTTP, in threads of their own.

The answers only read. A few requests at a time are served, each with a time limit;
further connections are closed, so that no client can fill the daemon with threads.
"""

import json
import logging
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any, ClassVar

from edge.config.monitoring import MetricsSettings
from edge.monitoring.metrics import DaemonMetrics
from models.errors import ConfigError
from models.messages import DaemonState

REQUESTS_MAX = 8
REQUEST_LIMIT_S = 5.0
STOP_LIMIT_S = 2.0
POLL_S = 0.2
TEXT = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"
INSPECTING = {DaemonState.READY, DaemonState.DEGRADED}
logger = logging.getLogger(__name__)


class MetricsServer:
    """Serves the metrics and the health of the daemon over HTTP."""

    def __init__(self, settings: MetricsSettings, metrics: DaemonMetrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start to listen, unless the port is 0.

        Raises:
            ConfigError: Address or port cannot be used.
        """
        settings = self._settings
        if settings.port == 0:
            return
        handler = type("Handler", (_Handler,), {"metrics": self._metrics})
        try:
            self._server = _Server((settings.listen, settings.port), handler)
        except OSError as exc:
            raise ConfigError(
                f"metrics.listen = {settings.listen}, metrics.port = {settings.port} "
                "cannot be used.",
                why=exc.strerror or str(exc),
                fix="Give a free port and an address of this machine, or port = 0.",
            ) from exc
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(POLL_S,),
            name="metrics",
            daemon=True,
        )
        self._thread.start()
        logger.info("metrics_open listen=%s port=%d", settings.listen, settings.port)

    def stop(self) -> None:
        """Stop to listen."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join(STOP_LIMIT_S)
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a slow client does not delay the shutdown

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]
    ) -> None:
        self._free = threading.BoundedSemaphore(REQUESTS_MAX)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind; the library's method would ask a name server, which may hang."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "graftline", self.server_address[1]

    def admit(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (stdlib's)
        """Serve in a thread, or close where too many are served already."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def serve(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (stdlib's)
        """Serve one request, then free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    # The names that the library calls; our own must not start with "process_".
    process_request = admit
    process_request_thread = serve

    def handle_error(self, request: socket | Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 (stdlib's)
        """Log a request that failed; the next one is served."""
        logger.debug(
            "metrics_request_failed client=%s reason=%r",
            *(client_address, sys.exc_info()[1]),
        )


class _Handler(BaseHTTPRequestHandler):
    metrics: ClassVar[DaemonMetrics]
    timeout = REQUEST_LIMIT_S

    def answer(self) -> None:
        """Answer by path."""
        metrics = self.metrics
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(HTTPStatus.OK, TEXT, metrics.render())
            case "/healthz":
                stuck = metrics.stuck()
                self._answer_health(is_healthy=not stuck, details={"stuck": stuck})
            case "/readyz":
                state = metrics.state()
                self._answer_health(
                    is_healthy=state in INSPECTING,
                    details={"state": state.value, "faults": metrics.status.faults},
                )
            case _:
                self._answer(HTTPStatus.NOT_FOUND, TEXT, b"not found\n")

    do_GET = answer  # noqa: N815 (the name that the library calls)

    def _answer_health(
        self, *, is_healthy: bool, details: Mapping[str, object]
    ) -> None:
        status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, JSON, json.dumps(details).encode() + b"\n")

    def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (stdlib's)
        """Log a request, at debug level only."""
        logger.debug("metrics_request %s", format % args)
