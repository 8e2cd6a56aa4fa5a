"""Checks whether a lost camera can be reached, while its next start is still far off.

After many failures the pause before the next start is long. A probe costs next to
nothing, so it is repeated; the pause ends early when a camera that did not answer
answers now. One that always answers and still delivers no picture is left to
the pause: otherwise nothing would slow the attempts down.

The probe goes as deep as is possible without opening the camera: a device node must
exist, an HTTP camera must send the first byte of its picture, an RTSP camera must
answer ``OPTIONS``. It sends no login: a camera that requires one is there.
"""

import contextlib
import socket
import ssl
import threading
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from edge.cameras.source import Source, SourceKind

INTERVAL_S = 0.5
ANSWER_LIMIT_S = 1.0
PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
LOGIN_REQUIRED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class ReachabilityProbe:
    """Probes one lost camera at intervals, in a thread that exists only then."""

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self._name = f"probe-{name}"
        self._stop: threading.Event | None = None
        # Kept over stop and start: a camera that answered in the previous pause, and
        # then delivered no picture, must not end the next pause early.
        self._was_reachable = False
        self._returned = threading.Event()

    @property
    def has_returned(self) -> bool:
        """Whether the camera answers now and did not before."""
        return self._returned.is_set()

    def start(self) -> None:
        """Start to probe, if this kind of source can be probed."""
        self.stop()
        if self._source.kind in {SourceKind.STREAM, SourceKind.USB}:
            stop = self._stop = threading.Event()
            threading.Thread(
                target=self._run, args=(stop,), name=self._name, daemon=True
            ).start()

    def stop(self) -> None:
        """Stop to probe; returns at once, the result of a running probe is dropped."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None
        self._returned.clear()

    def reset(self) -> None:
        """Forget earlier answers: the camera has delivered a picture."""
        self._was_reachable = False

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(INTERVAL_S):
            reachable = is_reachable(self._source)
            if stop.is_set():
                return
            before, self._was_reachable = self._was_reachable, reachable
            if reachable and not before:
                self._returned.set()
                return


def is_reachable(source: Source) -> bool:
    """Return whether a network or USB camera answers, without opening it."""
    if source.kind is SourceKind.USB:
        return Path(source.address).exists()
    try:
        url = urlsplit(source.address)
        if url.scheme in {"http", "https"}:
            return _sends_http_body(url)
        return _answers_rtsp_options(url)
    except (OSError, HTTPException, ValueError):
        return False


def _sends_http_body(url: SplitResult) -> bool:
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    connection = (
        HTTPSConnection(host, port, timeout=ANSWER_LIMIT_S, context=_unverified_tls())
        if url.scheme == "https"
        else HTTPConnection(host, port, timeout=ANSWER_LIMIT_S)
    )
    with contextlib.closing(connection):
        query = f"?{url.query}" if url.query else ""
        connection.request("GET", (url.path or "/") + query)
        response = connection.getresponse()
        if response.status in LOGIN_REQUIRED:
            return True
        return response.status == HTTPStatus.OK and bool(response.read(1))


def _answers_rtsp_options(url: SplitResult) -> bool:
    """Send ``OPTIONS``, which needs no login, and return whether RTSP answers."""
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    with contextlib.ExitStack() as sockets:
        connection = socket.create_connection((host, port), ANSWER_LIMIT_S)
        sockets.enter_context(connection)
        if url.scheme == "rtsps":
            connection = _unverified_tls().wrap_socket(connection, server_hostname=host)
            sockets.enter_context(connection)
        address = f"{url.scheme}://{host}:{port}{url.path}"
        connection.sendall(f"OPTIONS {address} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        return connection.recv(5) == b"RTSP/"


def _unverified_tls() -> ssl.SSLContext:
    """Return a context that accepts any certificate: no login or picture is at risk."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
