"""Limits of the page's connections: of one address, of all, and of slow requests.

A connection counts from the moment when it is accepted: before TLS has begun it takes a
file already.

uvicorn has no limit for a client that opens sockets and sends nothing, or a header line
now and then, nor for a body that no handler reads, nor for an answer that the client
does not read. Such clients would take all files that the process may open, and with
them the history's. Loopback addresses count only for the whole: behind a reverse proxy,
all pages come from there.
"""

import asyncio
import errno
import ipaddress
import logging
import resource
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_LIMIT_S = 10.0  # for the head of a request, however slowly it comes
# For the body, whether a handler reads it or not; one that does gives up before.
BODY_LIMIT_S = 30.0
UNREAD_LIMIT_S = 30.0  # for reading an answer: 70 kB in a second for the largest one
# Above, the client has not read all. asyncio's own limit is 64 KiB: an answer below it
# would wait without an end, also after its connection was closed on this side.
UNREAD_BYTES = 1
MAX_PER_ADDRESS = 64  # a browser opens six, and one for live events of each page
# For the history, the broker and the page's files: a query holds three files, and up to
# 72 threads run queries.
KEPT_FILES = 256
MAX_CONNECTIONS = 2048

logger = logging.getLogger(__name__)


class OpenConnections:
    """Counts the open connections.

    Args:
        most: Limit for all addresses together; None = by the limit of open files.
    """

    def __init__(
        self, most: int | None = None, most_per_address: int = MAX_PER_ADDRESS
    ) -> None:
        if most is None:
            files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            most = max(8, min(MAX_CONNECTIONS, files - KEPT_FILES))
        self._most, self._most_per_address = most, most_per_address
        self._counts: Counter[str] = Counter()
        self._is_refusing = False

    def admit(self, address: str) -> bool:
        """Count a connection, unless there are too many."""
        per_address = self._most if is_loopback(address) else self._most_per_address
        if self._counts.total() >= self._most or self._counts[address] >= per_address:
            if not self._is_refusing:
                self._is_refusing = True
                logger.warning("connections_refused address=%s", address)
            return False
        self._counts[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one connection less."""
        self._counts[address] -= 1
        if self._counts[address] <= 0:
            del self._counts[address]
        self._is_refusing = False


def client_of(address: str) -> str:
    """Return what limits count as one client: an IPv4 address, or a network of IPv6.

    One computer has a whole /64 of IPv6 addresses, and may use a new one each time.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address) or parsed.is_loopback:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


def is_loopback(address: str) -> bool:
    """Return whether a client is on this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP protocol with the limits of this module."""

    _deadline: asyncio.TimerHandle | None = None
    _awaited: Any = None  # the state of the client that the deadline is for
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve a new connection."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=UNREAD_BYTES)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that a connection has ended."""
        self._stop_deadline()
        self._stop_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client some time to read what was sent."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_LIMIT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that the client has read what was sent."""
        self._stop_unread()
        super().resume_writing()

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _expect_request(self) -> None:
        """Start the deadline for what of a request is incomplete, its head or body."""
        state = self.conn.their_state
        if state is self._awaited:
            return
        self._stop_deadline()
        self._awaited = state
        limits_s = {h11.IDLE: REQUEST_LIMIT_S, h11.SEND_BODY: BODY_LIMIT_S}
        if state in limits_s:
            self._deadline = self.loop.call_later(limits_s[state], self.transport.abort)

    def _stop_deadline(self) -> None:
        self._awaited = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class LimitedListener(socket.socket):
    """A listening socket that closes connections beyond the limits.

    Args:
        listener: It is taken over.
    """

    def __init__(self, listener: socket.socket, connections: OpenConnections) -> None:
        family, kind, protocol = listener.family, listener.type, listener.proto
        super().__init__(family, kind, protocol, fileno=listener.detach())
        self._connections = connections

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection and its address.

        Raises:
            BlockingIOError: There is none now.
            ConnectionAbortedError: It is beyond the limits, and was closed.
        """
        accepted, peer = super().accept()
        address = client_of(str(peer[0]))
        if not self._connections.admit(address):
            accepted.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "too many connections")
        return _CountedSocket(accepted, lambda: self._connections.leave(address)), peer


class _CountedSocket(socket.socket):
    def __init__(
        self, accepted: socket.socket, when_closed: Callable[[], None]
    ) -> None:
        family, kind, protocol = accepted.family, accepted.type, accepted.proto
        super().__init__(family, kind, protocol, fileno=accepted.detach())
        self._when_closed: Callable[[], None] | None = when_closed

    def close(self) -> None:
        super().close()
        when_closed, self._when_closed = self._when_closed, None
        if when_closed is not None:
            when_closed()
