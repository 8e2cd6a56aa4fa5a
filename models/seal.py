"""The seal of a package: ``manifest.sha256``, the digest of ``manifest.json``.

The manifest holds the digest of every other file, and the seal that of the manifest, so
a changed bit anywhere in the package is found. ``sha256sum -c manifest.sha256`` checks
it without Graftline. The manifest states that it is sealed, so that a removed seal is
noticed; packages of earlier versions have none.

A seal finds damage and careless edits. A person who can write every file can also write
a new seal: only a signature over the same digest shows who packed.

Source: the line is that of ``sha256sum`` (GNU coreutils), text mode.
"""

import hashlib
from pathlib import Path

from models.errors import PackageError
from models.files import read_regular, write_atomically
from models.manifest import MANIFEST_MAX_BYTES, MANIFEST_NAME, SEAL_NAME

SHOWN = 12  # characters of a digest in a message
SEAL_MAX_BYTES = 4096  # it has 80
PACK_AGAIN = "Pack the run again, or copy the package again."


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a content; that of a manifest is its package's identity."""
    return hashlib.sha256(content).hexdigest()


def seal_of(sha256: str) -> bytes:
    """Return the content of the seal of a manifest with that digest."""
    return f"{sha256}  {MANIFEST_NAME}\n".encode()


def write_seal(folder: Path) -> None:
    """Write the seal beside a manifest, or replace it.

    Raises:
        OSError: The manifest cannot be read, or the seal not written.
    """
    digest = digest_of(read_regular(folder / MANIFEST_NAME, MANIFEST_MAX_BYTES))
    write_atomically(folder / SEAL_NAME, seal_of(digest))


def has_seal(folder: Path) -> bool:
    """Return whether there is a seal, or anything else of its name."""
    path = folder / SEAL_NAME
    return path.is_symlink() or path.exists()


def check_seal(folder: Path, sha256: str) -> None:
    """Raise where the seal in a folder is not that of its manifest.

    Args:
        sha256: Digest of ``manifest.json``.

    Raises:
        PackageError: One of the two files was changed, or the seal cannot be read.
    """
    path, wanted = folder / SEAL_NAME, seal_of(sha256)
    if path.is_symlink() or not path.is_file():
        raise PackageError(
            f"{path}: not a seal.", why="Expected a file, not a link.", fix=PACK_AGAIN
        )
    try:
        got = read_regular(path, SEAL_MAX_BYTES)
    except OSError as exc:
        raise PackageError(
            f"{path}: cannot be read.", why=exc.strerror or str(exc), fix=PACK_AGAIN
        ) from exc
    if got != wanted:
        raise PackageError(
            f"{folder}: the package is damaged.",
            why=f"{_difference(sha256, got)}: one of the two was changed after "
            "packing.",
            fix=PACK_AGAIN,
        )


def _difference(sha256: str, seal: bytes) -> str:
    """Return how a seal differs from that of a manifest."""
    manifest = f"{MANIFEST_NAME} has sha256 {sha256[:SHOWN]}…, its seal {SEAL_NAME} has"
    if not seal.startswith(sha256[:SHOWN].encode()):
        return f"{manifest} {seal[:SHOWN].decode('ascii', 'backslashreplace')}…"
    pairs = zip(seal, seal_of(sha256), strict=False)
    same = [got == wanted for got, wanted in pairs] + [False]
    return f"{manifest} the same start and another character {same.index(False) + 1}"
