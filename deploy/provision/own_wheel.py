"""The wheel of the Graftline that runs here, for a line PC.

From a checkout it is built; from an installation it is put together from the files that
the wheel had installed.

Source:
    PEP 427 (wheels), PEP 376 (RECORD).
"""

import base64
import fnmatch
import hashlib
import importlib.metadata
import shutil
import tomllib
import zipfile
from pathlib import Path

from deploy.provision.pip_runs import run_pip
from models.errors import InstallError
from models.files import read_regular

NAME = "graftline"
CHECKOUT = Path(__file__).resolve().parents[2]
PYPROJECT_MAX_BYTES = 1 << 20
MEMBER_MAX_BYTES = 64 << 20  # shipped weights have some 4 MB
# Written by the installation, not by the wheel.
NOT_OF_THE_WHEEL = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
FIX = "Build it in a checkout (make wheel), and give it with --wheel FILE."


def make_own_wheel(folder: Path, checkout: Path = CHECKOUT) -> Path:
    """Write the wheel of this Graftline into a folder, and return its path.

    Args:
        folder: Exists.
        checkout: Where this Graftline runs from.

    Raises:
        InstallError: It can neither be built nor be put together.
    """
    if (checkout / "pyproject.toml").is_file():
        return _build(checkout, folder)
    return _put_together(folder)


def _build(checkout: Path, folder: Path) -> Path:
    """Build a wheel from a copy: a build leaves folders behind."""
    copy = folder / "source"
    copy.mkdir()
    content = read_regular(checkout / "pyproject.toml", PYPROJECT_MAX_BYTES)
    setuptools = tomllib.loads(content.decode())["tool"]["setuptools"]
    patterns = setuptools["packages"]["find"]["include"]
    for path in checkout.iterdir():
        if path.is_dir() and any(fnmatch.fnmatch(path.name, p) for p in patterns):
            ignored = shutil.ignore_patterns("__pycache__", "out")
            shutil.copytree(path, copy / path.name, ignore=ignored)
        elif path.is_file() and not path.name.startswith("."):
            shutil.copy(path, copy)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    failure = f"{checkout}: the wheel of Graftline cannot be built."
    run_pip(["wheel", *options, "--wheel-dir", str(folder), str(copy)], failure, FIX)
    shutil.rmtree(copy)
    (wheel,) = folder.glob(f"{NAME}-*.whl")
    return wheel


def _put_together(folder: Path) -> Path:
    """Write a wheel with the files of the installed one."""
    try:
        distribution = importlib.metadata.distribution(NAME)
    except importlib.metadata.PackageNotFoundError as exc:
        raise InstallError(
            "the wheel of Graftline is missing.", why="It is not installed.", fix=FIX
        ) from exc
    wheel = folder / f"{NAME}-{distribution.version}-py3-none-any.whl"
    record = []
    metadata = f"{NAME}-{distribution.version}.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(distribution.files or (), key=str):
            is_inside = file.parts[0] != ".." and "__pycache__" not in file.parts
            if not is_inside or file.name in NOT_OF_THE_WHEEL:
                continue
            content = read_regular(Path(str(file.locate())), MEMBER_MAX_BYTES)
            archive.writestr(str(file), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
            shown = digest.decode().rstrip("=")
            record.append(f"{file},sha256={shown},{len(content)}")
        record.append(f"{metadata}/RECORD,,")
        archive.writestr(f"{metadata}/RECORD", "\n".join(record) + "\n")
    if len(record) < 2:
        raise InstallError(
            "the wheel of Graftline cannot be put together.",
            why="The list of its installed files is missing.",
            fix=FIX,
        )
    return wheel
