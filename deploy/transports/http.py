"""A release on a static web server: ranges, time limits, no redirects.

The bytes are not trusted: ``deploy.trust`` limits size, rate and time of every read,
and checks each file. Any server of static files works; one that ignores ``Range`` sends
the start again, which is dropped.

Source:
    RFC 9110, section 14 (range requests).
"""

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import SplitResult, quote, urlsplit

from deploy.trust.sources import STALL_S
from models.counted import counted
from models.errors import ConfigError
from models.shown_text import without_login

CHUNK_BYTES = 1 << 18
HEAD_S = 30.0  # a server that sends a byte of it now and then is left
ABSENT = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
URL_MAX_CHARS = 2000


@dataclass(frozen=True, slots=True)
class HttpSource:
    """A release below an address.

    Attributes:
        url: ``http`` or ``https``, without a login, a query or a fragment.
        stall_s: Longest wait for the next byte.
        head_s: Longest wait for the head of an answer, as a whole.
    """

    url: str
    stall_s: float = STALL_S
    head_s: float = HEAD_S

    @property
    def name(self) -> str:
        """The address; it holds no login."""
        return self.url

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """Yield the content of one file; see ``ReleaseSource``.

        Raises:
            FileNotFoundError: The server has no such file.
            TimeoutError: No byte came for ``stall_s``.
            OSError: The connection failed or was cut.
        """
        parts = urlsplit(self.url)
        connection = self._connection(parts)
        place = f"{parts.path.rstrip('/')}/{quote(path)}"
        headers = {"Accept-Encoding": "identity", "Connection": "close"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            response = self._response(connection, place, headers)
            yield from self._content(response, place, offset)
        except http.client.HTTPException as exc:
            raise ConnectionError(f"{type(exc).__name__}: {exc}") from exc
        finally:
            connection.close()

    def _response(
        self,
        connection: http.client.HTTPConnection,
        place: str,
        headers: dict[str, str],
    ) -> http.client.HTTPResponse:
        """Return the answer, whose head has come."""
        connection.connect()
        # The time limit of the socket starts again with each byte.
        timer = threading.Timer(self.head_s, _shut_down, (connection.sock,))
        timer.daemon, timer.name = True, "http-head"
        timer.start()
        try:
            connection.request("GET", place, headers=headers)
            return connection.getresponse()
        finally:
            timer.cancel()

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                host, port, timeout=self.stall_s, context=context
            )
        return http.client.HTTPConnection(host, port, timeout=self.stall_s)

    def _content(
        self, response: http.client.HTTPResponse, place: str, offset: int
    ) -> Iterator[bytes]:
        """Yield the body from the wanted byte on."""
        skip = offset
        match response.status:
            case HTTPStatus.OK:
                pass
            case HTTPStatus.PARTIAL_CONTENT:
                skip -= _start_of(response)
                if skip < 0:
                    raise ConnectionError("the server sent another range")
            case HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # everything was received before
            case status if status in ABSENT:
                raise FileNotFoundError(2, f"the server answers {status}", place)
            case status:
                # Redirects too: another server may be less safe than the given one.
                raise ConnectionError(f"the server answers {status}")
        while chunk := response.read1(CHUNK_BYTES):
            if skip >= len(chunk):
                skip -= len(chunk)
                continue
            yield chunk[skip:]
            skip = 0
        if response.length:
            missing = counted(response.length, "byte")
            raise ConnectionError(f"cut {missing} before the end")


def http_source(url: str) -> HttpSource:
    """Return the release below an address.

    Raises:
        ConfigError: It is no plain address of HTTP.
    """
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_plain = not (parts.username or parts.password or parts.query)
        is_plain = is_plain and not parts.fragment and ".." not in parts.path
        is_port = parts.port is None or parts.port > 0
    except ValueError:
        is_valid = is_plain = is_port = False
    is_text = url.isascii() and url.isprintable() and " " not in url
    if not (is_valid and is_plain and is_port and is_text):
        raise ConfigError(
            f"{without_login(url)[:URL_MAX_CHARS]!r} is not the address of a release.",
            why="Expected http:// or https:// with a host and a path, without a "
            "login, a query and '..'.",
            fix="Serve the folder that `graftline flash PACKAGE usb:DIR` wrote.",
        )
    return HttpSource(url.rstrip("/"))


def _shut_down(connection: socket.socket) -> None:
    """End a connection that another thread reads from."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _start_of(response: http.client.HTTPResponse) -> int:
    found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None:
        raise ConnectionError("the server sent a range without its position")
    return int(found[1])
