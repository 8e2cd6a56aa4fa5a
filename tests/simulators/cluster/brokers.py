"""Real nats-servers as one MQTT cluster: each message is kept by all of them.

nats-server speaks MQTT 3.1.1. A message with QoS 1 is confirmed to its sender when most
nodes have stored it, and a session with its queue is known to all of them: a client may
connect to another node than before.
"""

import shutil
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Self

import pytest

from tests.simulators.broker import free_port
from tests.waiting import until

NATS_SERVER = shutil.which("nats-server", path="/usr/sbin:/usr/local/bin:/usr/bin")
NODES = 3  # most of them must run, so one may be missing
PORTS_PER_NODE = 4
START_LIMIT_S = 60.0
ANSWER_LIMIT_S = 2.0
END_LIMIT_S = 10.0
# What a killed collector has not acknowledged is sent again after this time.
ACK_WAIT_S = 10


def require_nats_server() -> None:
    """Skip a test where nats-server is not installed."""
    if NATS_SERVER is None:
        pytest.skip("needs nats-server (apt-get install nats-server)")


class NatsNode:
    """One server of a cluster.

    Args:
        folder: Where it keeps its files; created.
        name: In the cluster.
        ports: Free ones, four of them.

    Attributes:
        port: Where it speaks MQTT, on loopback.
        route: Where the other nodes reach it.
    """

    def __init__(self, folder: Path, name: str, ports: Sequence[int]) -> None:
        folder.mkdir(parents=True)
        self.folder, self.name = folder, name
        self.port, self.route, self._clients, self._health = ports
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, routes: Sequence[int]) -> None:
        """Write its configuration.

        Args:
            routes: Of all nodes.
        """
        others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        text = f"""
server_name: "{self.name}"
listen: "127.0.0.1:{self._clients}"
http: "127.0.0.1:{self._health}"
jetstream {{ store_dir: "{self.folder}/store", max_mem: 64M, max_file: 1G }}
mqtt {{
  listen: "127.0.0.1:{self.port}"
  stream_replicas: {NODES}
  ack_wait: "{ACK_WAIT_S}s"
}}
cluster {{
  name: "plant"
  listen: "127.0.0.1:{self.route}"
  routes: [{others}]
}}
"""
        (self.folder / "nats.conf").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start it; ``is_ready`` says when it takes part in the cluster."""
        assert NATS_SERVER is not None
        command = [NATS_SERVER, "--config", str(self.folder / "nats.conf")]
        with (self.folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def is_ready(self) -> bool:
        """Whether it accepts clients and has found the others.

        What it has missed it may still lack: that takes long on a busy machine.
        """
        assert self._process is not None
        assert self._process.poll() is None, self.log_end()
        url = f"http://127.0.0.1:{self._health}/healthz?js-server-only=true"
        try:
            urllib.request.urlopen(url, timeout=ANSWER_LIMIT_S).close()
        except OSError:  # also where the answer is an error of HTTP
            return False
        return True

    def log_end(self) -> str:
        """Return the last lines that it has logged."""
        return (self.folder / "nats.log").read_text(encoding="utf-8")[-2000:]

    def kill(self) -> None:
        """Kill it with SIGKILL and wait for its end."""
        if self._process is not None:
            self._process.send_signal(SIGKILL)
            self._process.wait(timeout=END_LIMIT_S)
            self._process = None


class NatsCluster:
    """Three nodes; each has the files of all others.

    Args:
        folder: For all of them.
    """

    def __init__(self, folder: Path) -> None:
        ports: set[int] = set()
        while len(ports) < NODES * PORTS_PER_NODE:
            ports.add(free_port())
        self.nodes = [
            NatsNode(folder / name, name, [ports.pop() for _ in range(PORTS_PER_NODE)])
            for name in (f"node-{n}" for n in range(1, NODES + 1))
        ]
        for node in self.nodes:
            node.configure([each.route for each in self.nodes])

    def start(self) -> Self:
        """Start all nodes and wait until they are one cluster."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            _wait_ready(node)
        return self

    def restart(self, node: NatsNode) -> None:
        """Start a node that was killed, and wait until it takes part."""
        node.start()
        _wait_ready(node)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()


def _wait_ready(node: NatsNode) -> None:
    until(lambda: node.is_ready, node.log_end, START_LIMIT_S)
