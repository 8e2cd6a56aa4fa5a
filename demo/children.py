"""The processes of the demo: each has a log, and none outlives the demo.

A command runs in a session of its own, so that Ctrl-C reaches the demo alone, which
then stops everything in order. Its words go straight into its log, and what a person
sees is read from there: no pipe that could fill up, and the log is whole whatever
happens. Signals only set a flag, which every wait here looks at: a child cannot be lost
between its start and the moment when it is remembered.
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

LOOK_S = 0.05
STOP_LIMIT_S = 15.0  # the daemon may take 10 s to deliver what it has
LAST_LINES = 12
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CtrlC:
    """A wish to end, from Ctrl-C, SIGTERM or a closed terminal."""

    def __init__(self) -> None:
        self._is_wanted = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Note the signals inside the block instead of dying from them."""
        before = {number: signal.signal(number, self._note) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pause(self, seconds: float = LOOK_S) -> None:
        """Wait a moment.

        Args:
            seconds: How long; short, the wish is looked at afterwards.

        Raises:
            KeyboardInterrupt: There is a wish to end.
        """
        time.sleep(seconds)
        if self._is_wanted:
            raise KeyboardInterrupt

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._is_wanted = True


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """A command as a person would type it.

    Attributes:
        name: Names its log.
        words: Program and arguments; ``graftline`` is this installation's.
        output: File for its stdout; None = into the log.
    """

    name: str
    words: tuple[str, ...]
    output: Path | None = None

    def __str__(self) -> str:
        """Return the line to type."""
        line = shlex.join(self.words)
        return f"{line} > {shlex.quote(str(self.output))}" if self.output else line

    @property
    def argv(self) -> list[str]:
        """What is started: the same Python, whatever is on PATH."""
        program, *rest = self.words
        if program == "graftline":
            # -P: never a file of that name in the current folder.
            return [sys.executable, "-P", "-m", "graftline", *rest]
        return [program, *rest]


class Child:
    """A started command.

    Args:
        command: What to start.
        log: File for its words.
    """

    def __init__(self, command: ChildCommand, log: Path) -> None:
        self.command, self.log = command, log
        with contextlib.ExitStack() as files:
            words = files.enter_context(log.open("ab"))
            output = words
            if command.output:
                output = files.enter_context(command.output.open("wb"))
            self._process = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=words,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    @property
    def has_ended(self) -> bool:
        """Whether it has ended; it stays a zombie, so that its group is still its."""
        if self._process.returncode is not None:
            return True
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def stop(self) -> int:
        """End it and whatever it has started; return its exit code."""
        if self._process.returncode is not None:
            return self._process.returncode
        if not self.has_ended:
            self._send(signal.SIGTERM)
        deadline = time.monotonic() + STOP_LIMIT_S
        while not self.has_ended and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        self._send(signal.SIGKILL)  # and its children, whose group it still is
        return self._process.wait(timeout=STOP_LIMIT_S)

    def failure(self, what: str) -> GraftlineError:
        """Return the error that shows its last words.

        Args:
            what: What happened to it.
        """
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        kind = _error_of(self._process.returncode or 0)
        return kind(
            f"{self.command}: {what}.",
            why="\n".join(["Its last words:", *lines[-LAST_LINES:]]),
            fix=f"See the message above; the whole log is {self.log}.",
        )

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def _error_of(code: int) -> type[GraftlineError]:
    """Return the error class of an exit code, so that the demo ends with the same."""
    known = {kind.exit_code: kind for kind in GraftlineError.__subclasses__()}
    known[0] = DeliveryError  # a service that ended in order, or never got ready
    return known.get(code, GraftlineError)


class Children:
    """Starts commands and stops them all at the end of the block.

    Args:
        logs: Folder of their logs.
        stop: Looked at while waiting.
        tell: Shows a line to the person.
    """

    def __init__(self, logs: Path, stop: CtrlC, tell: Callable[[str], None]) -> None:
        self._logs, self._stop, self._tell = logs, stop, tell
        self._services: list[Child] = []
        self._kept = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what still runs, the last one first."""
        self._kept.close()

    def start(self, command: ChildCommand) -> Child:
        """Start a command that goes on beside the others.

        Args:
            command: What to start.
        """
        child = self._begin(command)
        self._kept.callback(child.stop)
        self._services.append(child)
        return child

    def keep(self, context: contextlib.AbstractContextManager[object]) -> None:
        """Enter something that is left in its turn at the end of the block.

        Args:
            context: What to enter.
        """
        self._kept.enter_context(context)

    def run(self, command: ChildCommand, limit_s: float) -> None:
        """Run a command to its end and show its words as they come.

        Args:
            command: What to run.
            limit_s: Longest time.

        Raises:
            GraftlineError: It failed, or a service ended meanwhile. The class is
                that of the exit code.
            KeyboardInterrupt: There is a wish to end.
        """
        child = self._begin(command)
        try:
            self._watch(child, time.monotonic() + limit_s)
        finally:
            code = child.stop()
        if code < 0:
            raise child.failure(f"ended by {signal.Signals(-code).name}")
        if code:
            raise child.failure(f"exit code {code}")

    def wait_until(self, is_so: Callable[[], bool], what: str, limit_s: float) -> None:
        """Wait until something is so, while all services run.

        Args:
            is_so: Asked again and again.
            what: What is waited for, for the message.
            limit_s: Longest wait.

        Raises:
            GraftlineError: A service ended, or the wait was too long.
            KeyboardInterrupt: There is a wish to end.
        """
        deadline = time.monotonic() + limit_s
        while not is_so():
            self.look_at_services()
            if time.monotonic() > deadline:
                latest = self._services[-1]
                raise latest.failure(f"no {what} after {limit_s:g} s")
            self._stop.pause()

    def look_at_services(self) -> None:
        """Raise the error of a service that has ended.

        Raises:
            GraftlineError: A service has ended.
        """
        for child in self._services:
            if child.has_ended:
                raise child.failure(f"ended by itself with exit code {child.stop()}")

    def _begin(self, command: ChildCommand) -> Child:
        return Child(command, self._logs / f"{command.name}.log")

    def _watch(self, child: Child, deadline: float) -> None:
        """Show the log as it grows, until the child has ended."""
        with child.log.open("rb") as log:
            rest = b""
            has_ended = False
            while not has_ended:
                self._stop.pause()
                self.look_at_services()
                has_ended = child.has_ended  # asked first: what comes then is the end
                *lines, rest = (rest + log.read()).split(b"\n")
                for line in [*lines, rest] if has_ended and rest else lines:
                    self._tell(line.decode("utf-8", errors="replace"))
                if time.monotonic() > deadline:
                    raise child.failure("not finished in time")
