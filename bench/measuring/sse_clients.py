"""Clients of live events, in a process of their own.

``sse_clients.py URL TOKEN CLIENTS``: opens the connections, prints a line when all of
them have got the state, and prints the delays of all alerts when a line comes in.
"""

import json
import re
import selectors
import socket
import sys
import time
from urllib.parse import urlsplit

RECEIVE_BYTES = 1 << 18
DECIDED = re.compile(rb'"decided_ns": ?(\d+)')
STATE = b"event: state"
ALERT = b"event: alert"


def connect(url: str, token: str) -> socket.socket:
    """Return a connection that asks for live events without cameras."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), 10)
    request = (
        f"GET /api/events?cameras=0 HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"authorization: Bearer {token}\r\naccept: text/event-stream\r\n\r\n"
    )
    connection.sendall(request.encode())
    connection.settimeout(0.0)
    return connection


class Clients:
    """Reads all connections, and notes how old each alert is when it arrives."""

    def __init__(self, connections: list[socket.socket]) -> None:
        self._selector = selectors.DefaultSelector()
        self._rest = dict.fromkeys(connections, b"")
        self.started: set[socket.socket] = set()
        self.delays_ms: list[float] = []
        self.closed = 0
        for each in connections:
            self._selector.register(each, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def run(self) -> None:
        """Read until a line comes in."""
        is_said = False
        while True:
            for key, _ in self._selector.select(1.0):
                if key.fileobj is sys.stdin:
                    return
                self._read(key.fileobj)  # type: ignore[arg-type]
            if not is_said and len(self.started) == len(self._rest):
                is_said = True
                print("ready", flush=True)

    def _read(self, connection: socket.socket) -> None:
        data = connection.recv(RECEIVE_BYTES)
        now_ns = time.monotonic_ns()
        if not data:
            self.closed += 1
            self._selector.unregister(connection)
            return
        *events, self._rest[connection] = (self._rest[connection] + data).split(
            b"\r\n\r\n"
        )
        for event in events:
            if STATE in event:
                self.started.add(connection)
            elif ALERT in event and (decided := DECIDED.search(event)):
                self.delays_ms.append((now_ns - int(decided[1])) / 1e6)


def main() -> int:
    """Connect, read, and print the result."""
    url, token, count = sys.argv[1:]
    clients = Clients([connect(url, token) for _ in range(int(count))])
    clients.run()
    print(json.dumps({"closed": clients.closed, "delays_ms": clients.delays_ms}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
