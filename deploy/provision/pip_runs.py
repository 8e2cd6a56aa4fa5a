"""The one place that starts pip and the installer of a wheelhouse."""

import subprocess
import sys
from pathlib import Path

from models.errors import InstallError

TIMEOUT_S = 1800  # hundreds of megabytes on a slow line
SHOWN_CHARACTERS = 600


def run_pip(arguments: list[str], failure: str, fix: str) -> None:
    """Run pip of this installation.

    Args:
        arguments: After ``pip``.
        failure: What failed, if it fails.
        fix: What to do then.

    Raises:
        InstallError: pip is missing, or failed; the end of its output is in it.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    answer = _run(command)
    if answer.returncode:
        raise InstallError(failure, why=_end_of(answer.stdout + answer.stderr), fix=fix)


def run_installer(script: Path, arguments: list[str]) -> tuple[int, str, str]:
    """Run the installer of a wheelhouse; return its exit code and its two outputs."""
    answer = _run(["sh", str(script), *arguments])
    return answer.returncode, answer.stdout, answer.stderr


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as exc:
        raise InstallError(
            f"{' '.join(command[1:3])} did not end within {TIMEOUT_S} s.",
            why="Network or disk are too slow.",
            fix="Give the same command again.",
        ) from exc


def _end_of(text: str) -> str:
    """Return the end of an output on one line; the reason is in the last lines."""
    return " ".join(text.split())[-SHOWN_CHARACTERS:] or "It printed nothing."
