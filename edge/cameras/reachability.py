"""Whether a lost camera is back, asked cheaply while its next start is still far off.

A camera that was away for long would wait out a pause of half a minute. A question
costs next to nothing, so it is asked again and again; the pause ends early when a
camera that did not answer answers now. One that answers all the time, and still gives
no picture, is left to the pause: otherwise nothing would slow the attempts down.

The question is as deep as it can be without opening the camera: a device is looked
for, an HTTP camera must send the first byte of its picture, an RTSP camera must answer
``OPTIONS``. It carries no login: a camera that asks for one is there.
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
REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class Probe:
    """Asks one lost camera from time to time, in a thread while it is needed.

    Args:
        source: The camera.
        name: Its name, for the thread's.
    """

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self._name = f"probe-{name}"
        self._stop: threading.Event | None = None
        self._answered = False  # at the last question, also that of a pause before
        self._is_back = threading.Event()

    @property
    def is_back(self) -> bool:
        """Whether it answers now and did not before."""
        return self._is_back.is_set()

    def start(self) -> None:
        """Begin to ask, if this kind of source can be asked."""
        self.stop()
        if self._source.kind in {SourceKind.STREAM, SourceKind.USB}:
            stop = self._stop = threading.Event()
            threading.Thread(
                target=self._run, args=(stop,), name=self._name, daemon=True
            ).start()

    def stop(self) -> None:
        """Ask no more; returns at once, a question that is under way is forgotten."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None
        self._is_back.clear()

    def forget(self) -> None:
        """Note that there were pictures: whatever comes next is a new absence."""
        self._answered = False

    def _run(self, stop: threading.Event) -> None:
        """Ask until it is back."""
        while not stop.wait(INTERVAL_S):
            answers = does_answer(self._source)
            if stop.is_set():
                return
            before, self._answered = self._answered, answers
            if answers and not before:
                self._is_back.set()
                return


def does_answer(source: Source) -> bool:
    """Return whether a camera is there, as far as a cheap question can tell.

    Args:
        source: A network or USB camera.
    """
    if source.kind is SourceKind.USB:
        return Path(source.address).exists()
    try:
        url = urlsplit(source.address)
        if url.scheme in {"http", "https"}:
            return _does_http_flow(url)
        return _does_rtsp_answer(url)
    except (OSError, HTTPException, ValueError):
        return False


def _does_http_flow(url: SplitResult) -> bool:
    """Return whether an HTTP camera sends the first byte of its picture."""
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    connection = (
        HTTPSConnection(host, port, timeout=ANSWER_LIMIT_S, context=_any_certificate())
        if url.scheme == "https"
        else HTTPConnection(host, port, timeout=ANSWER_LIMIT_S)
    )
    with contextlib.closing(connection):
        query = f"?{url.query}" if url.query else ""
        connection.request("GET", (url.path or "/") + query)
        answer = connection.getresponse()
        if answer.status in REFUSED:
            return True
        return answer.status == HTTPStatus.OK and bool(answer.read(1))


def _does_rtsp_answer(url: SplitResult) -> bool:
    """Return whether an RTSP camera answers a question that needs no login."""
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    with contextlib.ExitStack() as open_ends:
        end = socket.create_connection((host, port), ANSWER_LIMIT_S)
        open_ends.enter_context(end)
        if url.scheme == "rtsps":
            end = _any_certificate().wrap_socket(end, server_hostname=host)
            open_ends.enter_context(end)
        address = f"{url.scheme}://{host}:{port}{url.path}"
        end.sendall(f"OPTIONS {address} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        return end.recv(5) == b"RTSP/"


def _any_certificate() -> ssl.SSLContext:
    """Return the way to ask whoever is there: nothing is told and nothing believed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
