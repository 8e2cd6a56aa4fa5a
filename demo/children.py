"""The processes of the demo: each has a log, and none outlives the demo.

A command runs in a separate session, so that Ctrl-C reaches the demo alone, which then
stops every command. Its output is written directly into its log, and the demo reads it
from there: there is no pipe that could fill up, and the log is complete even if the
demo is killed. Signals only set a flag, which every wait here checks:
no child can be lost between its start and the moment when it is registered.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

from models.errors import DeliveryError, GraftlineError
from models.files import make_private

POLL_S = 0.05
STOP_LIMIT_S = 15.0  # the daemon may take 10 s to deliver its queued events
LAST_LINES = 12
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Whether Ctrl-C, SIGTERM or the end of the terminal asks the demo to stop."""

    def __init__(self) -> None:
        self._is_set = False

    @contextlib.contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Note the signals inside the block instead of dying from them."""
        before = {number: signal.signal(number, self._set) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def sleep(self, seconds: float = POLL_S) -> None:
        """Sleep, then check the flag.

        Args:
            seconds: Short, because a signal is noticed afterwards only.

        Raises:
            KeyboardInterrupt: A signal has arrived.
        """
        time.sleep(seconds)
        if self._is_set:
            raise KeyboardInterrupt

    def _set(self, _number: int, _frame: FrameType | None) -> None:
        self._is_set = True


def _own_keys(log: Path) -> dict[str, str]:
    """Return the variable that keeps the keys of the demo beside its logs.

    Those of the person who runs it may need a passphrase.
    """
    return {"GRAFTLINE_KEYS": str(log.absolute().parents[1] / "keys")}


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """A command as a person would type it.

    Attributes:
        name: Names its log.
        typed: Program and arguments; ``graftline`` is this installation's.
        output: File for its stdout; None = into the log.
    """

    name: str
    typed: tuple[str, ...]
    output: Path | None = None

    def __str__(self) -> str:
        """Return the line to type."""
        line = shlex.join(self.typed)
        return f"{line} > {shlex.quote(str(self.output))}" if self.output else line

    @property
    def argv(self) -> list[str]:
        """What is started: this Python, not one from PATH."""
        program, *rest = self.typed
        if program == "graftline":
            # -P: never a file of that name in the current folder.
            return [sys.executable, "-P", "-m", "graftline", *rest]
        return [program, *rest]


class Child:
    """A started command.

    Args:
        log: File for stderr, and for stdout unless the command redirects it.
    """

    def __init__(self, command: ChildCommand, log: Path) -> None:
        self.command, self.log = command, log
        with contextlib.ExitStack() as files:
            stderr = files.enter_context(log.open("ab"))
            make_private(log)  # the dashboard prints what opens its page
            stdout = stderr
            if command.output:
                stdout = files.enter_context(command.output.open("wb"))
            self._process = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **_own_keys(log)},
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        """Whether it has ended.

        It stays a zombie: as long as it is not reaped, its process group id is not
        given to another process.
        """
        if self._process.returncode is not None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def stop(self) -> int:
        """Stop it with all processes it has started, and return its exit code."""
        if self._process.returncode is not None:
            return self._process.returncode
        if not self.has_ended:
            self._send(signal.SIGTERM)
        deadline = time.monotonic() + STOP_LIMIT_S
        while not self.has_ended and time.monotonic() < deadline:
            time.sleep(POLL_S)
        self._send(signal.SIGKILL)  # also to its children, which are in its group
        return self._process.wait(timeout=STOP_LIMIT_S)

    def error(self, what: str) -> GraftlineError:
        """Return the error that names the command and shows the end of its log.

        Args:
            what: What happened to it.
        """
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        kind = _error_of(self._process.returncode or 0)
        return kind(
            f"{self.command}: {what}.",
            why="\n".join(["Last lines of its log:", *lines[-LAST_LINES:]]),
            fix=f"See the message above; the whole log is {self.log}.",
        )

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _error_of(code: int) -> type[GraftlineError]:
    """Return the error class of an exit code, so that the demo ends with the same."""
    known = {kind.exit_code: kind for kind in GraftlineError.__subclasses__()}
    known[0] = DeliveryError  # a service that ended in order, or was never ready
    return known.get(code, GraftlineError)


class Children:
    """Starts commands and stops them all at the end of the block.

    Args:
        logs: Folder of their logs.
        stop: Checked in every wait.
    """

    def __init__(
        self, logs: Path, stop: StopRequest, show: Callable[[str], None]
    ) -> None:
        self._logs, self._stop, self._show = logs, stop, show
        self._services: list[Child] = []
        self._clean_up = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what still runs, in reverse order of the starts."""
        self._clean_up.close()

    def log_of(self, name: str) -> Path:
        """Return the path of a command's log."""
        return self._logs / f"{name}.log"

    def start(self, command: ChildCommand) -> Child:
        """Start a service: a command that runs beside the others until the end."""
        child = Child(command, self.log_of(command.name))
        self._clean_up.callback(child.stop)
        self._services.append(child)
        return child

    def enter(self, context: contextlib.AbstractContextManager[object]) -> None:
        """Enter a context that is left at the end, in reverse order of the starts."""
        self._clean_up.enter_context(context)

    def run(self, command: ChildCommand, limit_s: float) -> None:
        """Run a command to its end and print its output as it comes.

        Args:
            limit_s: Longest time.

        Raises:
            GraftlineError: It failed, or a service ended meanwhile. The class is
                that of the exit code.
            KeyboardInterrupt: A signal has arrived.
        """
        child = Child(command, self.log_of(command.name))
        try:
            self._follow(child, time.monotonic() + limit_s)
        finally:
            code = child.stop()
        if code < 0:
            raise child.error(f"ended by {signal.Signals(-code).name}")
        if code:
            raise child.error(f"exit code {code}")

    def wait_until(
        self, condition: Callable[[], bool], what: str, limit_s: float
    ) -> None:
        """Wait until a condition holds, while all services run.

        Args:
            condition: Checked again and again.
            what: What is waited for, for the message.
            limit_s: Longest wait.

        Raises:
            GraftlineError: A service ended, or the wait was too long.
            KeyboardInterrupt: A signal has arrived.
        """
        deadline = time.monotonic() + limit_s
        while not condition():
            self.check_services()
            if time.monotonic() > deadline:
                latest = self._services[-1]
                raise latest.error(f"no {what} after {limit_s:g} s")
            self._stop.sleep()

    def check_services(self) -> None:
        """Raise the error of a service that has ended.

        Raises:
            GraftlineError: A service has ended.
        """
        for child in self._services:
            if child.has_ended:
                raise child.error(f"ended by itself with exit code {child.stop()}")

    def _follow(self, child: Child, deadline: float) -> None:
        """Print the log as it grows, until the child has ended."""
        with child.log.open("rb") as log:
            rest = b""
            has_ended = False
            while not has_ended:
                self._stop.sleep()
                self.check_services()
                # Before the log is read: what is written until then is the end of it.
                has_ended = child.has_ended
                *lines, rest = (rest + log.read()).split(b"\n")
                for line in [*lines, rest] if has_ended and rest else lines:
                    self._show(line.decode("utf-8", errors="replace"))
                if time.monotonic() > deadline:
                    raise child.error("not finished in time")
