"""The installer with the wheel of Graftline, for PCs that reach a package index.

``make wheel`` writes it into ``dist``. It is a wheelhouse without the packages: pip
fetches those of ``line-pc.txt`` on the PC; each is locked by its hash, as the wheel of
Graftline is. The standard library is all that is imported.

::

    dist/
        graftline-*.whl
        line-pc.txt                 all packages of a PC, with versions and hashes
        install.sh, installer/      the installer
        manifest.json               version, SHA-256 of every file
        edge.toml, dashboard.toml   templates of the configurations
"""

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from deploy.provision.own_wheel import make_own_wheel
from models.errors import GraftlineError
from models.files import read_regular, replaced_folder, sha256_of, write_atomically

SCHEMA_VERSION = 1
TEMPLATES = Path(__file__).resolve().parents[1] / "templates" / "provision"
MANIFEST, LOCK = "manifest.json", "line-pc.txt"
LOCK_MAX_BYTES = 4 << 20
INSTALLER = (
    *("install.sh", "edge.toml", "dashboard.toml", "installer/install.py"),
    *("installer/environment.py", "installer/files.py", "installer/places.py"),
    "installer/services.py",
)
EXTRAS = "edge,deploy,dashboard"


def write_installer_folder(out: Path) -> list[Path]:
    """Write the folder, in the place of an older one, and return its files.

    Raises:
        ForeignFolderError: The folder is another's.
        InstallError: The wheel cannot be built.
        OSError: The folder cannot be written.
    """
    with replaced_folder(out, marker=MANIFEST) as folder:
        wheel = make_own_wheel(folder)
        name, version = wheel.name.split("-")[:2]
        own = f"{name}[{EXTRAS}]=={version} --hash=sha256:{sha256_of(wheel)}"
        packages = read_regular(TEMPLATES / LOCK, LOCK_MAX_BYTES).decode()
        # pip looks for a relative folder beside the file that names it.
        text = f"--find-links .\n{packages}{own}\n"
        write_atomically(folder / LOCK, text.encode())
        copy_installer(folder)
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "graftline": version,
            "python": "",
            "machine": "",
            "glibc": 0,
            "is_complete": False,
            "made_at": datetime.now(UTC).isoformat(),
            "files": files_of(folder),
        }
        content = json.dumps(manifest, indent=2) + "\n"
        write_atomically(folder / MANIFEST, content.encode())
    return sorted(path for path in out.rglob("*") if path.is_file())


def copy_installer(folder: Path) -> None:
    """Copy the installer and its templates into a folder.

    Raises:
        OSError: They cannot be written.
    """
    for name in INSTALLER:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(TEMPLATES / name, folder / name)


def files_of(folder: Path) -> dict[str, dict[str, str | int]]:
    """Return size and SHA-256 of every file of a folder, as the manifest lists them."""
    return {
        str(path.relative_to(folder)): {
            "sha256": sha256_of(path),
            "size_bytes": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main(out: str) -> int:
    """Write the folder, and print its files; for ``make wheel``."""
    try:
        files = write_installer_folder(Path(out))
    except GraftlineError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)
    for file in files:
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
