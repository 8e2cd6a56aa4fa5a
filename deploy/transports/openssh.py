"""The system's ``ssh`` and ``sftp``: the one module that starts them.

Keys, agents, jump hosts and known hosts are those of the user's own OpenSSH; nothing
is asked at the terminal (``BatchMode``). The host key must be known: the setting of the
user's configuration holds, and without one an unknown host is refused.
"""

import os
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploy.target import SshTarget
from deploy.transports.ssh_errors import (
    NO_PROGRAM,
    SSH_FAILED,
    TargetError,
    TargetProblem,
    explain_sftp,
    explain_ssh,
    no_graftline,
    old_graftline,
)
from models.errors import ExitCode
from models.inbox_files import LINE_MAX_BYTES

CONNECT_S, ALIVE_S, ALIVE_COUNT = 10, 5, 3
# A silent network is noticed after 15 s: ServerAliveInterval times ServerAliveCountMax.
OPTIONS = (
    *("-o", "BatchMode=yes"),
    *("-o", f"ConnectTimeout={CONNECT_S}"),
    *("-o", f"ServerAliveInterval={ALIVE_S}"),
    *("-o", f"ServerAliveCountMax={ALIVE_COUNT}"),
)
ERRORS_MAX_BYTES = 1 << 16
OUTPUT_MAX_BYTES = 32 << 20
READ_BYTES = 1 << 16
END_S = 10  # for a child that was ended
# A service account has no login shell that knows more folders.
FIND_GRAFTLINE = (
    'PATH="$PATH:/opt/graftline/bin:/usr/local/bin:$HOME/.local/bin"; '
    'exec graftline "$@"'
)

LineCallback = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class SshAnswer:
    """What a program on the line PC answered.

    Attributes:
        code: Its exit code.
        errors: Its stderr, and that of OpenSSH.
    """

    code: int
    output: bytes
    errors: str


def run_graftline(
    target: SshTarget,
    arguments: Sequence[str],
    *,
    stdin: bytes = b"",
    limit_s: float,
    on_line: LineCallback | None = None,
) -> SshAnswer:
    """Run ``graftline`` on the line PC.

    Args:
        arguments: Verb and options; quoted for the shell of the line PC.
        limit_s: Longest time; with ``on_line`` the longest time without a line.
        on_line: Called with each line of stdout as it comes.

    Raises:
        TargetError: The line PC cannot be reached, or has no such command.
    """
    command = ("sh", "-c", FIND_GRAFTLINE, "graftline", *arguments)
    answer = run_ssh(target, command, stdin=stdin, limit_s=limit_s, on_line=on_line)
    if answer.code in NO_PROGRAM:
        raise no_graftline(target.name, answer.errors)
    if answer.code == ExitCode.USAGE:
        raise old_graftline(target.name, answer.errors)
    return answer


def run_ssh(
    target: SshTarget,
    command: Sequence[str],
    *,
    stdin: bytes = b"",
    limit_s: float,
    on_line: LineCallback | None = None,
) -> SshAnswer:
    """Run a program on the line PC, and return its answer whatever its exit code.

    Args:
        command: Program and arguments; quoted for the shell of the line PC.
        limit_s: Longest time; with ``on_line`` the longest time without a line.
        on_line: Called with each line of stdout as it comes.

    Raises:
        TargetError: The line PC cannot be reached, or the connection was cut.
    """
    arguments = [_program("ssh"), *OPTIONS, "-T", *_address(target)]
    arguments += ["--", target.host, shlex.join(command)]
    answer = _run(target, arguments, stdin, limit_s, on_line=on_line)
    if answer.code == SSH_FAILED:
        raise explain_ssh(target, answer.errors)
    return answer


def run_sftp(target: SshTarget, batch: str, *, folder: Path, limit_s: float) -> None:
    """Run the commands of a batch, up to the first one that fails.

    Args:
        folder: Names of local files are relative to it.

    Raises:
        TargetError: A command failed, or the connection.
    """
    host = f"[{target.host}]" if ":" in target.host else target.host
    arguments = [_program("sftp"), "-q", *OPTIONS, *_address(target), "-b", "-"]
    answer = _run(target, [*arguments, host], batch.encode(), limit_s, folder=folder)
    if answer.code != ExitCode.OK:
        raise explain_sftp(target, answer.errors)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise TargetError(
            f"{name} is not installed on this machine.",
            why="Targets with ssh:// are reached with the system's OpenSSH.",
            fix="apt install openssh-client",
            problem=TargetProblem.NO_OPENSSH,
        )
    return path


def _address(target: SshTarget) -> list[str]:
    user = ["-o", f"User={target.user}"] if target.user else []
    return [*user, *(["-o", f"Port={target.port}"] if target.port else [])]


def _run(
    target: SshTarget,
    arguments: Sequence[str],
    stdin: bytes,
    limit_s: float,
    *,
    on_line: LineCallback | None = None,
    folder: Path | None = None,
) -> SshAnswer:
    """Run a program of OpenSSH to its end."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
        given.write(stdin)
        given.seek(0)
        with _started(arguments, given, errors, folder) as child:
            output = _read_output(target, child, limit_s, on_line)
            try:
                child.wait(END_S)
            except subprocess.TimeoutExpired:
                raise _too_slow(target, limit_s) from None
        errors.seek(0)
        text = errors.read(ERRORS_MAX_BYTES).decode(errors="replace")
        return SshAnswer(child.returncode, output, text)


@contextmanager
def _started(
    arguments: Sequence[str], given: IO[bytes], errors: IO[bytes], folder: Path | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the child; it does not outlive the block."""
    child = subprocess.Popen(
        arguments,
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        start_new_session=True,  # sftp starts ssh: both are ended
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(END_S)
        if child.stdout:
            child.stdout.close()


def _read_output(
    target: SshTarget,
    child: subprocess.Popen[bytes],
    limit_s: float,
    on_line: LineCallback | None,
) -> bytes:
    """Return all of stdout; lines are given to the callback as they come."""
    output, rest = b"", b""
    deadline_s = time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector:
        if child.stdout is None:
            return b""
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline_s - time.monotonic())):
                raise _too_slow(target, limit_s)
            chunk = os.read(child.stdout.fileno(), READ_BYTES)
            if not chunk:
                return output
            output = (output + chunk)[-OUTPUT_MAX_BYTES:]
            if on_line is not None:
                deadline_s = time.monotonic() + limit_s
                *lines, rest = (rest + chunk)[-LINE_MAX_BYTES:].split(b"\n")
                for line in lines:
                    on_line(line)


def _too_slow(target: SshTarget, limit_s: float) -> TargetError:
    return TargetError(
        f"{target.name}: the line PC does not answer.",
        why=f"Nothing came for {limit_s:.0f} s.",
        fix="Run the same command again; what was sent before is not sent again.",
        problem=TargetProblem.CUT,
    )
