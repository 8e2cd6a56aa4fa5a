"""Parts of the installer: the wheelhouse, and the Python environment made from it."""

import hashlib
import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from .files import SetupError, run, step, write
from .places import STAMP

SCHEMA_VERSION = 1
SPACE_FACTOR = 5  # of the wheels: packed and unpacked
FETCHED_BYTES = 1536 << 20  # as long as pip has them twice
VERBS = ("run", "doctor", "agent", "flash", "dashboard")
OLDEST_PYTHON = (3, 11)
MANIFEST_MAX_BYTES = 1 << 20


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of this wheelhouse."""
    path = folder / "manifest.json"
    try:
        with path.open("rb") as file:
            manifest = dict(json.loads(file.read(MANIFEST_MAX_BYTES)))
        version = manifest["schema_version"]
        parts = [Path(name).parts for name in manifest["files"]]
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise SetupError(
            f"{path}: cannot be read.", str(exc), "Copy the wheelhouse again."
        ) from exc
    if version != SCHEMA_VERSION or any({"/", ".."} & {*part} for part in parts):
        raise SetupError(
            f"{path}: cannot be used.",
            f"Expected schema {SCHEMA_VERSION}, and only files of this folder.",
            "Make the wheelhouse again.",
        )
    return manifest


def check_platform(manifest: dict[str, Any]) -> None:
    """Refuse a wheelhouse for another Python, processor or C library."""
    glibc = os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.0"
    if not is_complete(manifest):
        refuse_old_python()
        return
    here = {
        "Python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "processor": platform.machine(),
    }
    wanted = {"Python": manifest["python"], "processor": manifest["machine"]}
    faults = [
        f"{k} {wanted[k]}, this PC has {here[k]}" for k in here if here[k] != wanted[k]
    ]
    if int(glibc.rpartition(".")[2]) < manifest["glibc"]:
        faults.append(f"glibc 2.{manifest['glibc']} or newer, this PC has {glibc}")
    if faults:
        platform_tag = f"manylinux_2_{glibc.rpartition('.')[2]}_{here['processor']}"
        raise SetupError(
            "this wheelhouse is for another kind of PC.",
            f"It is for {'; '.join(faults)}.",
            f"graftline wheelhouse --for {here['Python']},{platform_tag}",
        )


def refuse_old_python() -> None:
    """Refuse a Python that no locked package fits."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f"this PC has Python {platform.python_version()}.",
            f"Graftline needs {'.'.join(map(str, OLDEST_PYTHON))} or later.",
            "Debian 12, Ubuntu 24.04 and later have it.",
        )


def check_files(folder: Path, manifest: dict[str, Any]) -> None:
    """Refuse a wheelhouse with a file that is missing or damaged."""
    wrong = []
    for name, entry in manifest["files"].items():
        path = folder / name
        if not path.is_file() or hash_of(path) != entry["sha256"]:
            wrong.append(name)
    if wrong:
        raise SetupError(
            f"{folder}: the wheelhouse is damaged.",
            f"Missing, or with another hash: {', '.join(wrong[:3])}.",
            "Copy it again.",
        )


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(manifest: dict[str, Any]) -> str:
    """Return the hash of all files of a wheelhouse."""
    files = sorted((name, entry["sha256"]) for name, entry in manifest["files"].items())
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def make_environment(environment: Path, folder: Path, manifest: dict[str, Any]) -> None:
    """Make a Python environment from the wheels, if it is not whole already."""
    if (environment / STAMP).is_file():
        step(f"environment: {environment.name} is there")
        return
    step(f"environment: making {environment.name}")
    if environment.exists():  # left by an installer that was interrupted
        shutil.rmtree(environment)
    environment.parent.mkdir(exist_ok=True)
    if is_complete(manifest):
        install_wheels(environment, folder, manifest)
    else:
        fetch_packages(environment, folder)
    python = environment / "bin" / "python"
    for verb in VERBS:  # their modules import all packages that a line PC needs
        run(python, "-P", "-m", "graftline", verb, "--help")
    os.sync()
    write(environment / STAMP, json.dumps({"files": manifest["files"]}), 0o644)


def is_complete(manifest: dict[str, Any]) -> bool:
    """Return whether all packages are in the folder; pip fetches them otherwise."""
    return bool(manifest.get("is_complete", True))


def install_wheels(environment: Path, folder: Path, manifest: dict[str, Any]) -> None:
    """Install the wheels of the folder, without a network."""
    wheels = [folder / name for name in manifest["files"] if name.endswith(".whl")]
    check_space(
        environment.parent, SPACE_FACTOR * sum(file.stat().st_size for file in wheels)
    )
    run(sys.executable, "-I", "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    pip = next(wheel for wheel in wheels if wheel.name.startswith("pip-")) / "pip"
    packages = [wheel for wheel in wheels if wheel != pip.parent]
    options = (
        "--isolated",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-cache-dir",
        "--no-input",
    )
    run(python, pip, "install", *options, *packages)
    run(python, pip, "check")


def fetch_packages(environment: Path, folder: Path) -> None:
    """Install the locked packages from the index that pip is configured for."""
    check_space(environment.parent, FETCHED_BYTES)
    run(sys.executable, "-I", "-m", "venv", environment)
    pip = (environment / "bin" / "python", "-m", "pip")
    options = ("--quiet", "--no-input", "--require-hashes", "--only-binary", ":all:")
    step("environment: fetching the locked packages")
    lock = folder / "line-pc.txt"
    run(*pip, "install", *options, "--requirement", lock, is_pip=True)
    run(*pip, "check")


def check_space(folder: Path, needed: int) -> None:
    """Refuse a disk that is too full."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise SetupError(
            f"{folder}: the disk is too full.",
            f"{free >> 20} MiB are free, expected {needed >> 20} MiB.",
            "Free space, and run this again.",
        )
