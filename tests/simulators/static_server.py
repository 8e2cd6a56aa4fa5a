"""A static web server with a release, that can behave badly."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

POLL_S = 0.02


class StaticServer:
    """Serves the files of a folder.

    Args:
        folder: What it serves.

    Attributes:
        ignores_range: It sends whole files with 200, as some servers do.
        cut_after: Bytes of each answer before the connection is closed; 0 = no limit.
        is_endless: It goes on sending bytes behind the end of each file.
        dribbles_s: Pause between two bytes; 0 = as fast as it goes.
        dribbles_head_s: The same for the head of an answer.
        status: Sent in the place of the real one; 0 = the real one.
        location: Target of a redirect.
        requests: Path and Range of each request.
        sent_bytes: Of all answers.
    """

    def __init__(self, folder: Path) -> None:
        self.ignores_range = False
        self.cut_after = 0
        self.is_endless = False
        self.dribbles_s = self.dribbles_head_s = 0.0
        self.status, self.location = 0, ""
        self.requests: list[tuple[str, str]] = []
        self.sent_bytes = 0
        self._is_stopped = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    server.answer(self, folder)
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Write nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_S,), daemon=True
        )
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler, folder: Path) -> None:
        """Answer one request."""
        asked = handler.headers.get("Range", "")
        self.requests.append((handler.path, asked))
        path = folder / handler.path.lstrip("/")
        if self.status:
            handler.send_response(self.status)
            if self.location:
                handler.send_header("Location", self.location)
            handler.end_headers()
            return
        if not path.is_file():
            handler.send_error(404)
            return
        content = path.read_bytes()
        offset = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if self.dribbles_head_s:
            self._dribble(handler, b"HTTP/1.0 200 OK\r\n" + b"X" * 10_000)
            return
        if offset and not self.ignores_range:
            if offset >= len(content):
                handler.send_error(416)
                return
            handler.send_response(206)
            end = len(content) - 1
            handler.send_header("Content-Range", f"bytes {offset}-{end}/{end + 1}")
            content = content[offset:]
        else:
            handler.send_response(200)
        if not self.is_endless:
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        self._send(handler, content)

    def _send(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        if self.cut_after:
            content = content[: self.cut_after]
        if self.dribbles_s:
            self._dribble(handler, content)
            return
        self.sent_bytes += len(content)
        handler.wfile.write(content)
        while self.is_endless and not self._is_stopped.is_set():
            self.sent_bytes += 65_536
            handler.wfile.write(b"\0" * 65_536)

    def _dribble(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        for byte in content:
            if self._is_stopped.is_set():
                return
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(self.dribbles_s or self.dribbles_head_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopped.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()
