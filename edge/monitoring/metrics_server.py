"""``/metrics``, ``/healthz`` and ``/readyz`` over HTTP, in threads of their own.

The answers only read. A few requests at a time are served, each with a time limit; a
further one takes the place of the oldest, so that no client can fill the daemon with
threads, or shut others out.
"""

import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import itemgetter
from socket import SHUT_RDWR, SO_REUSEADDR, SOL_SOCKET, socket
from typing import Any, ClassVar

from edge.config.monitoring import MetricsSettings
from edge.monitoring.metrics import DaemonMetrics
from models.http_hosts import is_served
from models.messages import DaemonState

REQUESTS_MAX = 8
REQUEST_LIMIT_S = 5.0  # for the whole request, however slowly it comes
CUT_OFF_LIMIT_S = 0.1  # until the place of a request that was cut off is free
RETRY_S = 5.0  # until a port that was in use is tried again
STOP_LIMIT_S = 2.0
POLL_S = 0.2
TEXT = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"
INSPECTING = {DaemonState.READY, DaemonState.DEGRADED}
logger = logging.getLogger(__name__)


class MetricsServer:
    """Serves the metrics and the health of the daemon over HTTP.

    A port that cannot be opened never stops the inspection: the daemon is degraded, and
    the port is tried again.

    Attributes:
        fault: Why nothing is served now; empty where it is, or is not configured.
    """

    def __init__(self, settings: MetricsSettings, metrics: DaemonMetrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._server: _Server | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self.fault = ""

    def start(self) -> None:
        """Start to listen, unless the port is 0."""
        if self._settings.port == 0:
            return
        self._server = self._opened()  # at once, where it can be
        self._thread.start()

    def _opened(self) -> "_Server | None":
        """Return a server that listens; None where that fails now."""
        settings = self._settings
        where = f"listen={settings.listen} port={settings.port}"
        handler = type(
            "Handler",
            (_Handler,),
            {"metrics": self._metrics, "allowed_hosts": settings.allowed_hosts},
        )
        try:
            server = _Server((settings.listen, settings.port), handler)
        # The others: a host name that cannot be one.
        except (OSError, OverflowError, UnicodeError, TypeError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            if not self.fault:
                logger.warning("metrics_unavailable %s reason=%s", where, reason)
            self.fault = f"metrics port {settings.port} cannot be used: {reason}"
            return None
        self.fault = ""
        logger.info("metrics_open %s", where)
        return server

    def _run(self) -> None:
        while self._server is None:
            if self._stop.wait(RETRY_S):
                return
            self._server = self._opened()
        while not self._stop.is_set():
            self._server.handle_request()  # waits for ``POLL_S``
            self._server.cut_off_late_requests()
        self._server.server_close()

    def stop(self) -> None:
        """Stop to listen."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)


class _Server(ThreadingHTTPServer):
    timeout = POLL_S
    daemon_threads = True
    block_on_close = False  # a slow client does not delay the shutdown

    def __init__(
        self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]
    ) -> None:
        self._free = threading.BoundedSemaphore(REQUESTS_MAX)
        self._deadlines_s: dict[socket, float] = {}  # of the requests that are served
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind; the library's method would ask a name server, which may hang."""
        # Without it, connections of a daemon that was killed keep the port for a
        # minute (TIME_WAIT), and systemd gives up.
        self.socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "graftline", self.server_address[1]

    def admit(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (stdlib's)
        """Serve in a thread; where too many are served, the oldest one is cut off.

        So clients that keep their connections open do not shut others out.
        """
        if not self._free.acquire(blocking=False):
            oldest = min(
                self._deadlines_s.copy().items(), key=itemgetter(1), default=None
            )
            if oldest is not None:
                _cut_off(oldest[0])
            if not self._free.acquire(timeout=CUT_OFF_LIMIT_S):
                self.shutdown_request(request)
                return
        self._deadlines_s[request] = time.monotonic() + REQUEST_LIMIT_S
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._forget(request)
            raise

    def serve(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (stdlib's)
        """Serve one request, then free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def _forget(self, request: socket) -> None:
        self._deadlines_s.pop(request, None)
        self._free.release()

    def cut_off_late_requests(self) -> None:
        """Disconnect the clients that exceed the time for one request.

        The handler's own limit is one for each read: a client that sends a byte now and
        then would keep its place for ever.
        """
        now_s = time.monotonic()
        for request, deadline_s in self._deadlines_s.copy().items():
            if now_s > deadline_s:
                _cut_off(request)

    # The names that the library calls; our own must not start with "process_".
    process_request = admit
    process_request_thread = serve

    def handle_error(self, request: socket | Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 (stdlib's)
        """Log a request that failed; the next one is served."""
        logger.debug(
            "metrics_request_failed client=%s reason=%r",
            *(client_address, sys.exc_info()[1]),
        )


def _cut_off(request: socket) -> None:
    with contextlib.suppress(OSError):  # it has ended by itself
        request.shutdown(SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    metrics: ClassVar[DaemonMetrics]
    allowed_hosts: ClassVar[tuple[str, ...]] = ()
    timeout = REQUEST_LIMIT_S

    def answer(self) -> None:
        """Answer by path."""
        metrics = self.metrics
        hosts = self.headers.get_all("Host", [])
        # Only a request of HTTP/1.0 may have none; no browser sends one.
        is_wrong = len(hosts) > 1 or (not hosts and self.request_version > "HTTP/1.0")
        if is_wrong or not all(is_served(host, self.allowed_hosts) for host in hosts):
            message = b"not a host of this machine; see [metrics] allowed_hosts\n"
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, TEXT, message)
            return
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

    # The names that the library calls.
    do_GET = answer  # noqa: N815
    do_HEAD = answer  # noqa: N815

    def _answer_health(
        self, *, is_healthy: bool, details: Mapping[str, object]
    ) -> None:
        status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, JSON, json.dumps(details).encode() + b"\n")

    def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Send the status line, without the name and version of the server."""
        self.log_request(code)
        self.send_response_only(code, message)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (stdlib's)
        """Log a request, at debug level only."""
        logger.debug("metrics_request %s", format % args)
