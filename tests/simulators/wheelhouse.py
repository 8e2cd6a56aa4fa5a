"""A wheelhouse without real packages, for tests of copying and of the installer."""

import hashlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from deploy.provision.wheelhouse import COPIED, TEMPLATES


def make_wheelhouse(folder: Path, **changes: Any) -> Path:
    """Write the installer, its template, and wheels that are no wheels.

    Args:
        changes: Fields of the manifest that differ from this machine's.
    """
    (folder / "wheels").mkdir(parents=True)
    for name in COPIED:
        (folder / name).write_bytes((TEMPLATES / name).read_bytes())
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
