"""The real command, as a person types it: in a process of its own, or in this one."""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graftline import main

PRELOADED_VERBS = {"train", "evaluate", "pack"}
REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Answer:
    """The output and the exit code of a command."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON on stdout."""
        document = json.loads(self.output)
        assert isinstance(document, dict)
        return document


def environment() -> dict[str, str]:
    """Return the variables with which this checkout is found from any folder."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


class _Preloaded:
    """A process of ``tests.preloaded``, which ends with this one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.preloaded"],
            cwd=REPOSITORY,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._process.communicate)

    def run(self, arguments: list[str], cwd: Path, timeout_s: float) -> Answer:
        """Run a command to its end.

        Raises:
            subprocess.TimeoutExpired: It did not end in time, and was killed.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            files = {name: Path(folder) / name for name in ("output", "errors")}
            for file in files.values():
                file.touch()
            request = {
                **{name: str(file) for name, file in files.items()},
                "arguments": arguments,
                "cwd": str(cwd),
                "environment": environment(),
                "timeout_s": timeout_s,
            }
            print(json.dumps(request), file=stdin, flush=True)
            code = stdout.readline().strip()
            if not code:
                raise subprocess.TimeoutExpired(arguments, timeout_s)
            output, errors = (
                file.read_text(encoding="utf-8") for file in files.values()
            )
        return Answer(int(code), output, errors)


@functools.cache
def _preloaded() -> _Preloaded:
    return _Preloaded()


def graftline(*arguments: object, cwd: Path, timeout_s: float = 110) -> Answer:
    """Run ``graftline`` to its end.

    Args:
        arguments: Verb, options and files.
        cwd: Where it is typed.
        timeout_s: Longest time.
    """
    if str(arguments[0]) in PRELOADED_VERBS:
        return _preloaded().run([str(each) for each in arguments], cwd, timeout_s)
    done = subprocess.run(
        [sys.executable, "-m", "graftline", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def graftline_here(capsys: pytest.CaptureFixture[str], *arguments: object) -> Answer:
    """Run ``graftline`` in this process: it takes a second less than ``graftline``.

    Args:
        capsys: Has its output.
        arguments: Verb, options and files, as typed in the present folder.
    """
    capsys.readouterr()
    code = main(list(map(str, arguments)))
    printed = capsys.readouterr()
    return Answer(code, printed.out, printed.err)
