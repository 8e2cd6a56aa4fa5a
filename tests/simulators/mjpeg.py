"""A network camera: MJPEG over HTTP, which a test can stall, cut and restore."""

import contextlib
import itertools
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import cv2

from tests.simulators.videos import numbered

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.preprocess import Frame

BOUNDARY = b"frame"
HUFFMAN_TABLE = b"\xff\xc4"  # marker of a JPEG segment; without it nothing decodes


class MjpegCamera:
    """Serves numbered frames to each client.

    Args:
        fps: Frames per second.
        port: Loopback port; 0 = a free one.

    Attributes:
        is_stalled: It keeps connections open and sends nothing.
        is_cut: It closes connections.
        frames_each: Frames per connection before it is closed; 0 = no limit.
        picture_of: Frame number to picture.
        damages: One of so many frames is damaged; 0 = no frame.
        cuts: They lack their last third; else they cannot be decoded at all.
        connections: Number of requests.
        sent: Number of the frame that was sent last.
    """

    def __init__(self, fps: float = 25, port: int = 0) -> None:
        self.is_stalled = False
        self.is_cut = False
        self.frames_each = 0
        self.picture_of: Callable[[int], Frame] = lambda at: numbered(at % 256)
        self.damages, self.cuts = 0, False
        self.connections = 0
        self._numbers = itertools.count()
        self.sent = -1
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.connections += 1
                camera.serve(self)

            def log_message(self, *_: object) -> None:
                """Write nothing on stderr."""

        self._fps = fps
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/stream.mjpg"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Send frames until the camera is cut or the client disconnects."""
        if self.is_cut:
            return
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}"
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        number = 0
        with contextlib.suppress(ConnectionError):
            while not self.is_cut and number != (self.frames_each or -1):
                if not self.is_stalled:
                    at = next(self._numbers)
                    handler.wfile.write(self._part(at))
                    self.sent = at
                    number += 1
                time.sleep(1 / self._fps)

    def _part(self, number: int) -> bytes:
        _, coded = cv2.imencode(".jpg", self.picture_of(number))
        jpeg = bytearray(coded.tobytes())
        if self.damages and number % self.damages == self.damages - 1:
            if self.cuts:
                del jpeg[len(jpeg) * 2 // 3 :]
            else:
                table = jpeg.find(HUFFMAN_TABLE)
                jpeg[table + 4 : table + 30] = b"\xff" * 26
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        return b"--" + BOUNDARY + b"\r\n" + head.encode() + bytes(jpeg) + b"\r\n"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_cut = True
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class BlackHole:
    """A port that accepts connections and never sends a byte."""

    def __enter__(self) -> Self:
        self._server = socketserver.TCPServer(
            ("127.0.0.1", 0), socketserver.BaseRequestHandler, bind_and_activate=True
        )
        self.url = f"rtsp://127.0.0.1:{self._server.server_address[1]}/stream"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.server_close()
