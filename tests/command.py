"""The real command, as a person types it: in a process of its own, or in this one."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from graftline import main

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


def graftline(*arguments: object, cwd: Path, timeout_s: float = 110) -> Answer:
    """Run ``graftline`` to its end.

    Args:
        arguments: Verb, options and files.
        cwd: Where it is typed.
        timeout_s: Longest time.
    """
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
