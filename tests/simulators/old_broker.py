"""A broker that knows nothing newer than MQTT 3.1.1, in front of a real one."""

import contextlib
import socket
import threading
from typing import Self

CONNECT, LEVEL_AT, LEVEL_5 = 0x10, 6, 5
REFUSED_PROTOCOL = b"\x20\x02\x00\x01"  # CONNACK of MQTT 3.1.1, return code 1
LIMIT_S = 10.0


class OldBroker:
    """Passes MQTT 3.1.1 on to a real broker and refuses MQTT 5.

    Args:
        port: Of the real broker, on the loopback interface.
        says_why: Answers with "unacceptable protocol version"; else hangs up.
    """

    def __init__(self, port: int, *, says_why: bool = True) -> None:
        self._real, self._says_why = ("127.0.0.1", port), says_why
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.refused = 0
        self._sockets: list[socket.socket] = [self._listener]
        self._accepting = threading.Thread(target=self._accept, name="old-broker")

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                self._welcome(client)

    def _welcome(self, client: socket.socket) -> None:
        first = client.recv(4096)
        if not first:  # a client that only tested the port
            client.close()
            return
        start = next(i for i in range(1, 5) if first[i] < 0x80) + 1  # after the length
        if first[0] & 0xF0 == CONNECT and first[start + LEVEL_AT] == LEVEL_5:
            self.refused += 1
            if self._says_why:
                client.sendall(REFUSED_PROTOCOL)
            client.close()
            return
        real = socket.create_connection(self._real, timeout=LIMIT_S)
        real.settimeout(None)
        self._sockets.append(real)
        real.sendall(first)
        for source, sink in ((client, real), (real, client)):
            threading.Thread(
                target=self._pass_on, args=(source, sink), name="old-broker-pass"
            ).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._accepting.join(LIMIT_S)
