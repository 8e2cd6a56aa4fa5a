"""A bad network: a TCP proxy on loopback that swallows, cuts, delays and throttles."""

import contextlib
import random
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Self

CHUNK_BYTES = 4096
LIMIT_S = 10.0
POLL_S = 0.02


@dataclass
class Weather:
    """What the network does to what passes; may be changed at any time.

    Attributes:
        swallows: Takes what comes from both sides, passes nothing on, closes nothing.
        cut_after_bytes: So many more pass to the server, then the connection that
            carried the last one is reset, once.
        connection_max_bytes: Each connection that has carried so many to the server is
            reset; 0 = no limit.
        delay_s: Each way.
        bytes_per_s: To the broker; 0 = as fast as it goes.
        reset_chance: Of each piece to reset the connection.
    """

    swallows: bool = False
    cut_after_bytes: int | None = None
    connection_max_bytes: int = 0
    delay_s: float = 0.0
    bytes_per_s: float = 0.0
    reset_chance: float = 0.0


class Proxy:
    """Stands between a client and a server on loopback.

    Args:
        port: Of the server.
        seed: Of its dice.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self.weather = Weather()
        self.connections = 0
        self.resets = 0
        self.passed_bytes = 0  # to the server
        self._server = ("127.0.0.1", port)
        self._dice = random.Random(seed)
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(POLL_S * 5)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, name="proxy")

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            try:
                server = socket.create_connection(self._server, timeout=LIMIT_S)
            except OSError:
                client.close()
                continue
            self.connections += 1
            _Pair(self, client, server, self._threads)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._accepting.join(LIMIT_S)
        for thread in self._threads:
            thread.join(LIMIT_S)
        self._listener.close()

    @property
    def is_over(self) -> bool:
        """Whether the proxy ends."""
        return self._stop.is_set()

    def falls(self) -> bool:
        """Throw the dice for one piece: whether it resets the connection."""
        chance = self.weather.reset_chance
        return chance > 0 and self._dice.random() < chance


class _Pair:
    """One connection through the proxy: a thread for each way and end of it."""

    def __init__(
        self,
        proxy: Proxy,
        client: socket.socket,
        server: socket.socket,
        threads: list[threading.Thread],
    ) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._is_closed = threading.Event()
        self._open_ways, self._passed_bytes = 2, 0
        self._lock = threading.Lock()
        for way in ((client, server), (server, client)):
            for end in (client, server):
                end.settimeout(POLL_S)
            thread = threading.Thread(target=self._carry, args=way, name="proxy-way")
            threads.append(thread)
            thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        """Carry pieces one way until one end closes."""
        waiting: deque[tuple[float, bytes]] = deque()
        waiting_bytes = 0
        with contextlib.suppress(OSError):
            while not (self._proxy.is_over or self._is_closed.is_set()):
                # A line holds little: what it cannot carry stays with the sender.
                if waiting_bytes < CHUNK_BYTES * 4 or self._proxy.weather.delay_s:
                    try:
                        piece = source.recv(CHUNK_BYTES)
                        if not piece:
                            break
                        due_s = time.monotonic() + self._proxy.weather.delay_s
                        waiting.append((due_s, piece))
                        waiting_bytes += len(piece)
                    except TimeoutError:
                        pass
                while waiting and time.monotonic() >= waiting[0][0]:
                    piece = waiting.popleft()[1]
                    waiting_bytes -= len(piece)
                    self._pass_on(piece, sink)
        self._is_closed.set()
        with self._lock:
            self._open_ways -= 1
            if self._open_ways == 0:
                self._client.close()
                self._server.close()

    def _pass_on(self, piece: bytes, sink: socket.socket) -> None:
        """Do to a piece what the weather does.

        Raises:
            OSError: The connection was reset.
        """
        weather = self._proxy.weather
        if weather.swallows:
            return
        is_upward = sink is self._server
        left = weather.cut_after_bytes
        if is_upward and left is not None:
            if len(piece) >= left:
                weather.cut_after_bytes = None
                self._send(piece[:left], sink)
                self._reset()
            weather.cut_after_bytes = left - len(piece)
        if is_upward:
            self._passed_bytes += len(piece)
        if 0 < weather.connection_max_bytes < self._passed_bytes:
            self._reset()
        if self._proxy.falls():
            self._reset()
        self._send(piece, sink)
        if is_upward:
            self._proxy.passed_bytes += len(piece)
            if weather.bytes_per_s:
                self._is_closed.wait(len(piece) / weather.bytes_per_s)

    def _send(self, piece: bytes, sink: socket.socket) -> None:
        """Send all of a piece, however slow the other end is."""
        while piece and not (self._proxy.is_over or self._is_closed.is_set()):
            try:
                piece = piece[sink.send(piece) :]
            except TimeoutError:
                continue

    def _reset(self) -> None:
        """Close both ends so that they see a reset, not an end.

        Raises:
            ConnectionResetError: Always.
        """
        self._proxy.resets += 1
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                # Linger for no time at all: the kernel sends RST instead of FIN.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._is_closed.set()
        raise ConnectionResetError
