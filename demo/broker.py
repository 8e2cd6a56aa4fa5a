"""The demo's MQTT broker: mosquitto where it is installed, else a small one inside.

Both listen on a free port of the loopback interface only, so that a broker that is in
use on this machine is left alone and nobody else can reach the demo's.
"""

import asyncio
import contextlib
import logging
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from demo.children import ChildCommand, Children
from models.errors import DeliveryError

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin"  # Debian installs mosquitto there
WARNING = (
    "warning: mosquitto is not installed; a small broker inside the demo takes its "
    "place (MQTT 3.1.1, this machine only, never for production).\n"
    "  Fix: sudo apt install mosquitto"
)
ENDS_WITHIN_S = 10.0


def find_mosquitto() -> str | None:
    """Return the path of mosquitto, if it is installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=SYSTEM_FOLDERS)


def free_port(wanted: int = 0) -> int:
    """Return a port of the loopback interface that nobody listens on.

    Args:
        wanted: Port to prefer; 0 = none.
    """
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise DeliveryError(
        "There is no free port on this machine.",
        why="Not even the system could name one.",
        fix="End some programs, and start again.",
    )


def accepts_connections(port: int) -> bool:
    """Return whether somebody listens on a loopback port.

    Args:
        port: TCP port.
    """
    with contextlib.suppress(OSError):
        socket.create_connection((LOOPBACK, port), timeout=1).close()
        return True
    return False


def start_broker(
    folder: Path, children: Children, tell: Callable[[str], None], limit_s: float
) -> int:
    """Start a broker that ends after everything that is started later.

    Args:
        folder: For its configuration.
        children: Keeps it.
        tell: Shows a line to the person.
        limit_s: Longest wait for it.

    Returns:
        Its port.

    Raises:
        DeliveryError: It does not start.
    """
    port = free_port()
    program = find_mosquitto()
    if program is None:
        tell(WARNING)
        children.keep(SmallBroker(port, limit_s))
        return port
    config = folder / "mosquitto.conf"
    config.write_text(
        "# The broker of the demo: anybody on this machine, and nobody else.\n"
        f"listener {port} {LOOPBACK}\nallow_anonymous true\npersistence false\n"
        "set_tcp_nodelay true\n",
        "utf-8",
    )
    command = ChildCommand("broker", (program, "-c", str(config)))
    tell(f"\n$ {command} &")
    children.start(command)
    children.wait_until(lambda: accepts_connections(port), "broker", limit_s)
    return port


class SmallBroker:
    """A broker in a thread of this process, for machines without mosquitto.

    Args:
        port: Loopback port.
        limit_s: Longest wait for its start.
    """

    def __init__(self, port: int, limit_s: float) -> None:
        self._port, self._limit_s = port, limit_s
        self._is_known = threading.Event()  # whether it serves
        self._fault = "no answer in time"
        self._end: Callable[[], object] | None = None
        self._thread = threading.Thread(
            target=self._run, name="demo-broker", daemon=True
        )

    def __enter__(self) -> Self:
        """Start it and wait until it listens."""
        self._thread.start()
        self._is_known.wait(self._limit_s)
        if self._fault:
            raise DeliveryError(
                f"The broker inside the demo does not start on port {self._port}.",
                why=self._fault,
                fix="sudo apt install mosquitto",
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        with contextlib.suppress(RuntimeError):  # its loop has ended before
            if self._end is not None:
                self._end()
        self._thread.join(ENDS_WITHIN_S)

    def _run(self) -> None:
        """Serve until told to end."""
        try:
            asyncio.run(self._serve())
        # The top of the thread: the demo must hear why there is no broker.
        except Exception as exc:  # noqa: BLE001 - logged below
            self._fault = f"{type(exc).__name__}: {exc}"
            # Without a traceback: a person who starts the demo reads this.
            logger.error("small_broker_failed port=%d %s", self._port, self._fault)  # noqa: TRY400
        finally:
            self._is_known.set()

    async def _serve(self) -> None:
        from amqtt.broker import Broker  # noqa: PLC0415 - only without mosquitto

        listener = {"type": "tcp", "bind": f"{LOOPBACK}:{self._port}"}
        login = "amqtt.plugins.authentication.AnonymousAuthPlugin"
        broker = Broker(
            {
                "listeners": {"default": listener},
                "plugins": {login: {"allow_anonymous": True}},
            }
        )
        await broker.start()
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        self._end = lambda: loop.call_soon_threadsafe(end.set)
        self._fault = ""
        self._is_known.set()
        try:
            await end.wait()
        finally:
            await broker.shutdown()
