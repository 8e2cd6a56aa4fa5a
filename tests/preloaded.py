"""Runs ``graftline`` in processes that have the training libraries already.

To import them takes as long as many a test: a process that has done it forks for each
command. Run by ``tests.command``: reads one JSON object for each command on stdin, and
answers with the exit code on stdout; an empty line is the answer after a timeout.
"""

import json
import os
import signal
import sys
import time
from typing import Any, NoReturn

import trainer.cli.work.evaluate
import trainer.cli.work.pack
import trainer.cli.work.train  # noqa: F401
from graftline import main

POLL_S = 0.01


def serve() -> None:
    """Answer commands until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _run(request)
        sys.stdout.write(f"{_code_of(child, request['timeout_s'])}\n")
        sys.stdout.flush()


def _code_of(child: int, timeout_s: float) -> str:
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return str(os.waitstatus_to_exitcode(status))
        time.sleep(POLL_S)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return ""


def _run(request: dict[str, Any]) -> NoReturn:
    """Be the process that a person would have started."""
    code = 1
    try:
        os.setsid()
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for name, descriptor in (("output", 1), ("errors", 2)):
            os.dup2(os.open(request[name], os.O_WRONLY), descriptor)
        sys.argv = ["graftline", *request["arguments"]]
        code = main()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
