"""A fresh environment with what a line PC gets, and nothing else.

Pytest plugin: the ``fresh_line_pc`` fixture packs a wheelhouse with the wheel of this
checkout, and installs it below a folder without a network, as on a line PC.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.provision.platforms import parse_platform
from deploy.provision.wheelhouse import pack_wheelhouse

ROOMS = ("models", "trainer", "edge", "deploy", "dashboard", "demo")
WHEEL_SOURCES = ("graftline.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
INSTALL_TIMEOUT_S = 300


@dataclass(frozen=True)
class LinePc:
    """An installed line PC.

    Args:
        root: In the place of ``/``.
        wheel: The wheel of Graftline that was installed.
        report: What the installer printed.
    """

    root: Path
    wheel: Path
    report: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The virtual environment."""
        return self.root / "opt" / "graftline" / "current"

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


def pack_line_pc(
    repository: Path, folder: Path, python: str, libc: int
) -> tuple[Path, Path]:
    """Pack a wheelhouse; return it, and the wheel of Graftline in it.

    Args:
        python: Version of the line PC.
        libc: Its C library is 2.Y.
    """
    wheel, wheelhouse = build_wheel(repository, folder), folder / "wheelhouse"
    target = f"{python},manylinux_2_{libc}_{platform.machine()}"
    pack_wheelhouse(parse_platform(target), wheelhouse, wheel)
    return wheelhouse, wheel


def install_line_pc(repository: Path, folder: Path) -> LinePc:
    """Pack a wheelhouse and install it, step by step as in the how-to."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    libc = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.36").rpartition(".")[2]
    wheelhouse, wheel = pack_line_pc(repository, folder, version, int(libc))
    root = folder / "root"
    options = ["--root", root, "--station", "site/line/station", "--json"]
    command = [*_without_network(), "sh", wheelhouse / "install.sh", *options]
    output = _check(command)
    shutil.rmtree(wheelhouse)
    return LinePc(root, wheel, json.loads(output.splitlines()[-1]))


def _without_network() -> list[str | Path]:
    """Return what to write before a command, where this user may cut it off."""
    cut_off = ["unshare", "--net"]
    is_allowed = not subprocess.run(
        [*cut_off, "true"], check=False, capture_output=True, timeout=10
    ).returncode
    return list(cut_off) if is_allowed else []


def _check(arguments: list[str | Path]) -> str:
    python = Path(sys.executable).parent
    result = subprocess.run(
        [str(argument) for argument in arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
        env={**os.environ, "PATH": f"{python}:{os.environ['PATH']}"},
    )
    if result.returncode:
        pytest.fail(f"{' '.join(map(str, arguments))}\n{result.stdout}{result.stderr}")
    return result.stdout


@pytest.fixture(scope="session")
def fresh_line_pc(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> LinePc:
    """A fresh environment with ``graftline-*.whl[edge,deploy]``, made once."""
    return install_line_pc(repository, tmp_path_factory.mktemp("line-pc"))
