"""The real command, in which one thread or loop breaks on the request of a file.

Usage: ``python breakable_daemon.py FILE run --config …``. FILE is made by the test and
holds what is to break: ``kill NAME`` ends the thread of that name, ``hang LOOP`` lets a
loop of the main thread never return, ``raise LOOP`` lets it fail.
"""

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge.cameras.supervisor import CameraProcess
from edge.inspection.pipeline import Pipeline
from graftline import main

HANG_LIMIT_S = 60.0  # nothing outlives the test by much


class BrokenError(Exception):
    """What a loop fails with."""


def order(file: Path) -> tuple[str, str]:
    """Return what is to break now: nothing, or how and which."""
    fields = file.read_text("utf-8").split() if file.exists() else []
    return (fields[0], fields[1]) if len(fields) == 2 else ("", "")


def breakable(loop: str, method: Callable[..., Any], file: Path) -> Callable[..., Any]:
    """Return a method that hangs or fails on request."""

    def run_or_break(*args: Any) -> Any:
        how, which = order(file)
        if which == loop and how == "hang":
            time.sleep(HANG_LIMIT_S)
        if which == loop and how == "raise":
            raise BrokenError(loop)
        return method(*args)

    return run_or_break


def kill_thread_on_request(file: Path) -> None:
    """End a thread from within, as an uncaught error would."""
    while order(file)[0] != "kill":
        time.sleep(0.05)
    (victim,) = [t for t in threading.enumerate() if t.name == order(file)[1]]
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(victim.ident or 0), ctypes.py_object(SystemExit)
    )


if __name__ == "__main__":
    order_file = Path(sys.argv[1])
    Pipeline.run_once = breakable(  # type: ignore[method-assign]
        "inference", Pipeline.run_once, order_file
    )
    CameraProcess.supervise = breakable(  # type: ignore[method-assign]
        "cameras", CameraProcess.supervise, order_file
    )
    threading.Thread(
        target=kill_thread_on_request, args=(order_file,), name="breaker", daemon=True
    ).start()
    del sys.argv[1]
    sys.exit(main())
