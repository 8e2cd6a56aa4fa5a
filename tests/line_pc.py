"""A fresh environment with what a line PC gets, and nothing else.

Pytest plugin: the ``fresh_line_pc`` fixture builds the wheel of this checkout and
installs ``graftline-*.whl[edge,deploy]`` as in the README.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOMS = ("models", "trainer", "edge", "deploy", "dashboard", "demo")
WHEEL_SOURCES = ("graftline.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
INSTALL_TIMEOUT_S = 300


@dataclass(frozen=True)
class LinePc:
    """An installed line PC.

    Args:
        folder: The virtual environment.
        wheel: The wheel that was installed.
    """

    folder: Path
    wheel: Path

    @property
    def python(self) -> Path:
        """The interpreter that sees only what a line PC has."""
        return self.folder / "bin" / "python"

    @property
    def graftline(self) -> Path:
        """The installed command."""
        return self.folder / "bin" / "graftline"

    def run(self, *arguments: object, timeout_s: float = 60) -> tuple[int, str, str]:
        """Run a program of the line PC; return its exit code, stdout and stderr."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        result = subprocess.run(
            [str(argument) for argument in arguments],
            cwd=self.folder,  # not the checkout: its rooms must not be found
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        return result.returncode, result.stdout, result.stderr


def build_wheel(repository: Path, folder: Path) -> Path:
    """Build the wheel from a copy, so that no build/ is left in the checkout."""
    copy = folder / "source"
    copy.mkdir()
    for name in WHEEL_SOURCES:
        shutil.copy(repository / name, copy)
    for room in ROOMS:
        shutil.copytree(
            repository / room,
            copy / room,
            ignore=shutil.ignore_patterns("__pycache__", "out"),
        )
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    _check([sys.executable, "-m", "pip", "wheel", *options, "-w", folder, copy])
    (wheel,) = folder.glob("graftline-*.whl")
    return wheel


def install_line_pc(repository: Path, folder: Path) -> LinePc:
    """Make the environment and install the wheel, step by step as the README."""
    wheel = build_wheel(repository, folder)
    line_pc = LinePc(folder / "venv", wheel)
    _check([sys.executable, "-m", "venv", line_pc.folder])
    pip = [line_pc.python, "-m", "pip", "install", "--quiet"]
    locked = repository / "requirements" / "line-pc.txt"
    _check([*pip, "--require-hashes", "-r", locked])
    # Without an index: what the extras ask for must be there already.
    _check([*pip, "--no-index", f"{wheel}[edge,deploy]"])
    return line_pc


def _check(arguments: list[str | Path]) -> None:
    result = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )
    if result.returncode:
        pytest.fail(f"{' '.join(map(str, arguments))}\n{result.stdout}{result.stderr}")


@pytest.fixture(scope="session")
def fresh_line_pc(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> LinePc:
    """A fresh environment with ``graftline-*.whl[edge,deploy]``, made once."""
    return install_line_pc(repository, tmp_path_factory.mktemp("line-pc"))
