"""The demo's MQTT broker: mosquitto where it is installed, else an embedded one.

Both listen on a free port of the loopback interface only: a broker that is in use on
this machine is left alone, and no other machine can reach the demo's.
"""

import asyncio
import contextlib
import logging
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from demo.children import ChildCommand, Children
from models.errors import DeliveryError

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin"  # Debian installs mosquitto there
WARNING = (
    "warning: mosquitto is not installed; the demo uses a small embedded broker "
    "(MQTT 3.1.1, this machine only, not for production).\n"
    "  Fix: sudo apt install mosquitto"
)
STOP_LIMIT_S = 10.0
LIBRARY = "amqtt"


def find_mosquitto() -> str | None:
    """Return the path of mosquitto, if it is installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=SYSTEM_FOLDERS)


def free_port(preferred: int = 0) -> int:
    """Return a port of the loopback interface that is not in use.

    Args:
        preferred: Returned if it is free; 0 = any port.
    """
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise DeliveryError(
        "There is no free port on this machine.",
        why="The system did not assign one either.",
        fix="Stop some programs, and start again.",
    )


def accepts_connections(port: int) -> bool:
    """Return whether a program listens on a loopback port."""
    with contextlib.suppress(OSError):
        socket.create_connection((LOOPBACK, port), timeout=1).close()
        return True
    return False


def start_broker(
    folder: Path, children: Children, show: Callable[[str], None], limit_s: float
) -> int:
    """Start a broker that stops after everything that is started later.

    Args:
        folder: For its configuration.
        children: Stops it at the end.
        limit_s: Longest wait until it accepts connections.

    Returns:
        Its port.

    Raises:
        DeliveryError: It does not start.
    """
    port = free_port()
    program = find_mosquitto()
    if program is None:
        show(WARNING)
        children.enter(EmbeddedBroker(port, children.log_of("broker"), limit_s))
        return port
    config = folder / "mosquitto.conf"
    config.write_text(
        "# The broker of the demo: anonymous, and reachable from this machine only.\n"
        f"listener {port} {LOOPBACK}\nallow_anonymous true\npersistence false\n"
        "set_tcp_nodelay true\n",
        "utf-8",
    )
    command = ChildCommand("broker", (program, "-c", str(config)))
    show(f"\n$ {command} &")
    children.start(command)
    children.wait_until(lambda: accepts_connections(port), "broker", limit_s)
    return port


class EmbeddedBroker:
    """A broker in a thread of this process, for machines without mosquitto.

    Args:
        log: File for the messages of the library, as a child process would have one.
        limit_s: Longest wait for its start.
    """

    def __init__(self, port: int, log: Path, limit_s: float) -> None:
        self._port, self._log, self._limit_s = port, log, limit_s
        self._has_started = threading.Event()  # or has failed to
        self._fault = "no answer in time"
        self._stop: Callable[[], object] | None = None
        self._thread = threading.Thread(
            target=self._run, name="demo-broker", daemon=True
        )
        self._clean_up = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start it and wait until it listens."""
        self._clean_up.enter_context(_logged_to(self._log))
        self._thread.start()
        self._has_started.wait(self._limit_s)
        if self._fault:
            self._clean_up.close()
            raise DeliveryError(
                f"The embedded broker does not start on port {self._port}.",
                why=self._fault,
                fix="sudo apt install mosquitto",
            )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        with contextlib.suppress(RuntimeError):  # its event loop is closed already
            if self._stop is not None:
                self._stop()
        self._thread.join(STOP_LIMIT_S)
        self._clean_up.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        # The top of the thread: the demo reports why there is no broker.
        except Exception as exc:  # noqa: BLE001 - logged below
            self._fault = f"{type(exc).__name__}: {exc}"
            # Without a traceback: it is printed in the terminal of the demo.
            logger.error("small_broker_failed port=%d %s", self._port, self._fault)  # noqa: TRY400
        finally:
            self._has_started.set()

    async def _serve(self) -> None:
        from amqtt.broker import Broker  # noqa: PLC0415 - only without mosquitto

        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        # The daemon and the dashboard connect with MQTT 5 first. amqtt knows 3.1.1
        # only; it closes such a connection and often raises while it does.
        loop.set_exception_handler(_log_exception)
        listener = {"type": "tcp", "bind": f"{LOOPBACK}:{self._port}"}
        login = "amqtt.plugins.authentication.AnonymousAuthPlugin"
        broker = Broker(
            {
                "listeners": {"default": listener},
                "plugins": {login: {"allow_anonymous": True}},
            }
        )
        await broker.start()
        self._stop = lambda: loop.call_soon_threadsafe(stopped.set)
        self._fault = ""
        self._has_started.set()
        try:
            await stopped.wait()
        finally:
            await broker.shutdown()


@contextlib.contextmanager
def _logged_to(log: Path) -> Iterator[None]:
    """Write the library's messages into a file instead of the terminal."""
    library = logging.getLogger(LIBRARY)
    handler = logging.FileHandler(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    propagates = library.propagate
    library.addHandler(handler)
    library.propagate = False
    try:
        yield
    finally:
        library.removeHandler(handler)
        library.propagate = propagates
        handler.close()


def _log_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what the library raised in a callback, with its traceback."""
    logging.getLogger(LIBRARY).warning(
        context["message"], exc_info=context.get("exception")
    )
