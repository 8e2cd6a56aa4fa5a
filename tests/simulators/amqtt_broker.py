"""A broker of the library amqtt, which knows MQTT 3.1.1 only.

``python -m tests.simulators.amqtt_broker PORT LOG`` runs it until its input ends. It is
a process of its own because amqtt leaves the sockets of refused clients unclosed.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.broker import EmbeddedBroker
from tests.command import REPOSITORY, environment
from tests.simulators.broker import free_port

START_LIMIT_S = 30.0
STARTED = "started\n"


@contextmanager
def amqtt_broker(folder: Path) -> Iterator[int]:
    """Run it with its log in a folder; yield its port."""
    port = free_port()
    module, log = "tests.simulators.amqtt_broker", folder / "amqtt.log"
    with subprocess.Popen(
        [sys.executable, "-m", module, str(port), str(log)],
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            assert process.stdout.readline() == STARTED
            yield port
            process.stdin.close()
            assert process.wait(15) == 0
        finally:
            process.kill()


def main() -> None:
    with EmbeddedBroker(int(sys.argv[1]), Path(sys.argv[2]), START_LIMIT_S):
        sys.stdout.write(STARTED)
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
