"""A broker that can be frozen, a slow connection to it, and a timing subscriber."""

import contextlib
import json
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin")
START_LIMIT_S = 10.0
SLICE_BYTES, SLICE_S = 512, 0.05  # 10 kB/s: slower than alerts with pictures come


class Broker:
    """A running mosquitto."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.port = port
        self._process = process

    def freeze(self) -> None:
        """Stop it in the middle of its work."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it continue."""
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def start_broker(folder: Path) -> Iterator[Broker]:
    """Run mosquitto inside the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", "utf-8")
    if MOSQUITTO is None:
        raise RuntimeError("this part needs mosquitto (apt-get install mosquitto)")
    with (folder / "mosquitto.log").open("wb") as log:
        command = [MOSQUITTO, "-c", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(port)
        yield Broker(process, port)
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1),
        ):
            return
        time.sleep(0.02)
    raise RuntimeError("mosquitto did not start")


class AlertClock:
    """Records how long after its decision each alert is received from the broker.

    The broker acknowledges a message before it delivers it, so this is an upper bound
    of the time to the acknowledgement.
    """

    def __init__(self, port: int) -> None:
        self._delays_ms: list[float] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("graftline/+/+/+/camera/+/alert", 1)

    def _note(self, _: Client, __: object, message: MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        data = json.loads(message.payload)["data"]
        self._delays_ms.append((now_ns - data["decided_ns"]) / 1e6)

    def summary(self) -> dict[str, Any]:
        """Return count and percentiles."""
        if not self._delays_ms:
            return {"alerts": 0}
        p50, p99 = np.percentile(self._delays_ms, (50, 99))
        return {"alerts": len(self._delays_ms), "p50": float(p50), "p99": float(p99)}

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class SlowWire:
    """Forwards bytes to a broker, a few at a time."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._stop = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="slow-wire", daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(SLICE_S):
            for key, _ in self._selector.select(SLICE_S):
                if key.data is None:
                    self._connect()
                else:
                    self._move(key.fileobj, key.data)

    def _connect(self) -> None:
        client, _ = self._listener.accept()
        broker = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        self._selector.register(client, selectors.EVENT_READ, broker)
        self._selector.register(broker, selectors.EVENT_READ, client)

    def _move(self, source: Any, target: socket.socket) -> None:  # noqa: ANN401 (selectors' own type)
        try:
            piece = source.recv(SLICE_BYTES)
            if piece:
                target.sendall(piece)
                return
        except OSError:  # one end is closed: close the other one too
            piece = b""
        for end in (source, target):
            self._selector.unregister(end)
            end.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self._listener.close()
