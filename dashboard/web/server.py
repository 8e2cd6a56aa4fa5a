"""Runs the web application until a signal stops it."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from dashboard.config import ServerSettings
from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.connections import (
    REQUEST_LIMIT_S,
    LimitedListener,
    LimitedProtocol,
    OpenConnections,
)
from dashboard.web.event_stream import Hub
from models.errors import ConfigError

SHUTDOWN_LIMIT_S = 3
# asyncio accepts so many connections in one turn, and those beyond the limit are closed
# some turns later: their files must be fewer than KEPT_FILES.
BACKLOG = 32

logger = logging.getLogger(__name__)


class _QuietServer(uvicorn.Server):
    """Leaves signals to ``serve``: uvicorn would end the process on a signal."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; as uvicorn does, but a client that is slow with TLS is closed."""
        await self.lifespan.startup()
        loop = asyncio.get_running_loop()
        limit_s = REQUEST_LIMIT_S if self.config.ssl else None

        def protocol() -> asyncio.Protocol:
            return LimitedProtocol(self.config, self.server_state, self.lifespan.state)

        self.servers = [
            await loop.create_server(
                protocol,
                sock=listener,
                ssl=self.config.ssl,
                backlog=self.config.backlog,
                ssl_handshake_timeout=limit_s,
            )
            for listener in sockets or []
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def open_socket(settings: ServerSettings) -> socket.socket:
    """Return a socket that listens at the page's address and port.

    Raises:
        ConfigError: The port is in use, or the address is not of this machine.
    """
    where = f"[server] host = {settings.host}, port = {settings.port}"
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise ConfigError(
            f"{where}: no such address.",
            why=str(exc),
            fix="Give an address of this machine, or 127.0.0.1.",
        ) from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        in_use = exc.errno == errno.EADDRINUSE
        raise ConfigError(
            f"{where}: cannot listen there.",
            why="Another program uses this port." if in_use else str(exc),
            fix="Stop that program (is a dashboard running already?), or give "
            "another [server] port."
            if in_use
            else "Give an address of this machine and a port that may be used.",
        ) from exc
    return listener


def make_server_tls(settings: ServerSettings) -> ssl.SSLContext | None:
    """Return the TLS context of the page; None = without TLS.

    Raises:
        ConfigError: A file cannot be read, or holds no certificate or key.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # The empty password keeps OpenSSL from asking at the terminal.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"[server] tls_certificate = {settings.tls_certificate}, "
            f"tls_key = {settings.tls_key}: cannot be used.",
            why=str(exc),
            fix="Give the certificate with its chain and its key without a password, "
            "both PEM, as files that this user may read.",
        ) from exc
    return context


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    hub: Hub,
    broadcaster: EventBroadcaster,
    when_up: Callable[[], None] = lambda: None,
    tls: ssl.SSLContext | None = None,
) -> signal.Signals | None:
    """Serve until SIGTERM or SIGINT, then close the connection of every page.

    Args:
        listener: From ``open_socket``.
        when_up: Called when the page can be opened.
        tls: From ``make_server_tls``.

    Returns:
        The signal that ended it.
    """
    config = uvicorn.Config(
        app,
        backlog=BACKLOG,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_LIMIT_S,
    )
    config.load()
    config.ssl = tls
    server = _QuietServer(config)
    received: list[signal.Signals] = []
    loop = asyncio.get_running_loop()
    hub.attach(loop)

    def stop(number: signal.Signals) -> None:
        received.append(number)
        hub.close()  # or the server would wait for pages that never end
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    ticker = asyncio.create_task(broadcaster.run(), name="broadcaster")
    ticker.add_done_callback(_log_death)
    loop.call_soon(when_up)  # the socket listens already
    try:
        await server.serve(sockets=[LimitedListener(listener, OpenConnections())])
    finally:
        ticker.cancel()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    return received[0] if received else None


def _log_death(ticker: asyncio.Task[None]) -> None:
    """Log why the ticker ended, unless it was cancelled."""
    if not ticker.cancelled() and ticker.exception() is not None:
        logger.error("announcer_died", exc_info=ticker.exception())
