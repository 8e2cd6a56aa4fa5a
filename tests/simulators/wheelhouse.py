"""A wheelhouse without real packages, for tests of copying and of the installer.

The small one does what the installer asks of the real one: its pip unpacks wheels, and
its Graftline writes units and reads a configuration.
"""

import hashlib
import json
import os
import platform
import sys
import zipfile
from pathlib import Path
from typing import Any

from deploy.provision.installer_folder import copy_installer

SMALL_PIP = """
import sys, sysconfig, zipfile
if sys.argv[1] == "install":
    for wheel in sys.argv[2:]:
        if wheel.endswith(".whl"):
            zipfile.ZipFile(wheel).extractall(sysconfig.get_paths()["purelib"])
"""
SMALL_GRAFTLINE = """
import pathlib, sys
verb, *options = sys.argv[1:]
if options == ["--help"]:
    sys.exit()
if verb == "--version":
    print("graftline {version}")
if verb == "run" and {refuses!r} in pathlib.Path(options[1]).read_text():
    sys.exit("this version cannot read that")
if verb == "service":
    out = pathlib.Path(options[options.index("--out") + 1])
    name = "dashboard" if "--dashboard" in options else "edge"
    (out / f"graftline-{{name}}.service").write_text("ExecStart={version}")
    users = "-dashboard" if name == "dashboard" else ""
    (out / f"graftline{{users}}-sysusers.conf").write_text({sysusers!r})
if verb == "doctor":
    print("no model")
    sys.exit(5)
"""


def make_small_wheelhouse(
    folder: Path,
    version: str = "1.0",
    refuses: str = "nothing",
    sysusers: str = "u graftline",
) -> Path:
    """Write a wheelhouse that installs in a second.

    Args:
        version: Of its Graftline.
        refuses: What its Graftline cannot read in a configuration.
        sysusers: What its Graftline writes about the service user.
    """
    make_wheelhouse(folder)
    (folder / "wheels" / "graftline-9.9-py3-none-any.whl").unlink()
    graftline = folder / "wheels" / f"graftline-{version}-py3-none-any.whl"
    with zipfile.ZipFile(graftline, "w") as wheel:
        text = SMALL_GRAFTLINE.format(
            version=version, refuses=refuses, sysusers=sysusers
        )
        wheel.writestr("graftline.py", text)
    with zipfile.ZipFile(folder / "wheels" / "pip-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pip/__main__.py", SMALL_PIP)
    seal(folder, graftline=version)
    return folder


def make_wheelhouse(folder: Path, **changes: Any) -> Path:
    """Write the installer, its template, and wheels that are no wheels.

    Args:
        changes: Fields of the manifest that differ from this machine's.
    """
    (folder / "wheels").mkdir(parents=True)
    copy_installer(folder)
    for name in ("pip-1-py3-none-any.whl", "graftline-9.9-py3-none-any.whl"):
        (folder / "wheels" / name).write_bytes(name.encode())
    seal(folder, **changes)
    return folder


def seal(folder: Path, **changes: Any) -> None:
    """Write the manifest of what is in the folder."""
    files = {
        str(path.relative_to(folder)): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "size_bytes": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    libc = (os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.36").rpartition(".")[2]
    manifest = {
        "schema_version": 1,
        "graftline": "9.9",
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "machine": platform.machine(),
        "glibc": int(libc),
        "made_at": "2026-01-01T00:00:00Z",
        "files": files,
        **changes,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
