"""A web server that takes notifications, and can behave badly."""

import contextlib
import json
import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

POLL_S = 0.02


@dataclass(frozen=True)
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    content: Any


class WebhookServer:
    """Keeps what is posted.

    Attributes:
        posts: All requests, also those that it refuses.
        statuses: Answers to the next requests; none: 202.
        location: Target of a redirect.
        retry_after: Header of each answer; empty = none.
        dribbles_s: Pause between two bytes of the answer; 0 = as fast as it goes.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.posts: list[Posted] = []
        self.statuses: list[int] = []
        self.location, self.retry_after, self.dribbles_s = "", "", 0.0
        self._is_stopped = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                # Clients that refuse the certificate, or end early.
                with contextlib.suppress(OSError):
                    super().handle()

            def finish(self) -> None:
                with contextlib.suppress(OSError):
                    super().finish()

            def do_POST(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                """Write nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), daemon=True
        )
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.posts.append(Posted(handler.path, headers, json.loads(body)))
        if self.dribbles_s:
            self._dribble(handler)
            return
        handler.send_response(self.statuses.pop(0) if self.statuses else 202)
        if self.location:
            handler.send_header("Location", self.location)
        if self.retry_after:
            handler.send_header("Retry-After", self.retry_after)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _dribble(self, handler: BaseHTTPRequestHandler) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X" * 10_000:
            if self._is_stopped.is_set():
                return
            handler.wfile.write(bytes([byte]))
            time.sleep(self.dribbles_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopped.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
