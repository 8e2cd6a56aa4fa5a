"""Which files of a package a line PC has: in its store, or received in part."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from deploy.store import RESERVE_BYTES, SPACE_FACTOR
from models.errors import InstallError, PackageError
from models.files import make_folder, regular_chunks, sha256_of
from models.inbox_files import InboxFolder, MissingFile, MissingFiles, is_digest
from models.manifest import MANIFEST_NAME
from models.package import Package, digests_of_files, read_manifest
from models.slot_files import SlotFolder


class StoredFiles:
    """The files of all packages in a store, by their content.

    Args:
        store: Folder with a folder for each package.
    """

    def __init__(self, store: Path) -> None:
        self._paths = dict(_files_of(store))

    def find(self, sha256: str) -> Path | None:
        """Return a file that should have this content; its bytes are not checked."""
        return self._paths.get(sha256)


def _files_of(store: Path) -> Iterator[tuple[str, Path]]:
    if not store.is_dir() or store.is_symlink():
        return
    for folder in sorted(store.iterdir()):
        if not is_digest(folder.name) or folder.is_symlink():
            continue
        try:
            manifest = read_manifest(folder / MANIFEST_NAME)
        except PackageError:
            continue  # damaged: its files are sent again
        package = Package(folder, manifest, folder.name)
        for name, sha256 in digests_of_files(package).items():
            yield sha256, folder / name


def find_missing(
    slot: SlotFolder, sizes: Mapping[str, int], *, is_dry_run: bool = False
) -> MissingFiles:
    """Return the files that a line PC lacks, and make an empty one for each.

    A file of the store or of the inbox counts only after its bytes were hashed.

    Args:
        sizes: SHA-256 of each file of the package to its size in bytes.
        is_dry_run: Nothing is changed.

    Raises:
        InstallError: The disk is too full for them.
        OSError: The inbox cannot be written.
    """
    inbox = InboxFolder(slot.inbox)
    stored = StoredFiles(slot.store)
    missing = []
    for sha256, size in sizes.items():
        path = stored.find(sha256)
        if path is not None and _holds(path, sha256, size):
            continue
        found = _received(inbox.pool / sha256, sha256, size)
        if found is not None:
            missing.append(found)
    answer = MissingFiles(missing=tuple(missing), inbox=str(inbox.root))
    if is_dry_run:
        return answer
    for folder in (inbox.root, inbox.pool):
        make_folder(folder)
    _check_space(inbox.root, sizes, missing)
    for each in missing:
        if not each.have_bytes:
            _make_empty(inbox.pool / each.sha256)
    return answer


def _make_empty(path: Path) -> None:
    """Make an empty file, so that a sender continues it from 0.

    With "put" in place of "reput" it would truncate what another sender of the same
    file may have written meanwhile.
    """
    if path.is_symlink() or (path.exists() and path.stat().st_size):
        path.unlink()  # a link, or damaged
    with suppress(FileExistsError):
        path.touch(exist_ok=False)


def _holds(path: Path, sha256: str, size: int) -> bool:
    try:
        is_complete = path.is_file() and path.stat().st_size == size
        return is_complete and sha256_of(path) == sha256
    except OSError:
        return False


def _received(path: Path, sha256: str, size: int) -> MissingFile | None:
    """Return what is missing of a file in the inbox; None: nothing."""
    if path.is_symlink() or not path.is_file():
        return MissingFile(sha256=sha256)
    have = path.stat().st_size
    # Another sender of the same file may append at this moment.
    digest = _sha256_of_start(path, have)
    if digest == sha256:
        return None
    if have >= size:  # damaged, for example by a power cut: sent again
        return MissingFile(sha256=sha256)
    return MissingFile(sha256=sha256, have_bytes=have, have_sha256=digest)


def _sha256_of_start(path: Path, count: int) -> str:
    digest = hashlib.sha256()
    for chunk in regular_chunks(path):
        digest.update(chunk[:count])
        count -= len(chunk[:count])
    return digest.hexdigest()


def _check_space(
    folder: Path, sizes: Mapping[str, int], missing: list[MissingFile]
) -> None:
    """Refuse before the first byte is sent, not during the transfer."""
    to_send = sum(sizes[each.sha256] - each.have_bytes for each in missing)
    needed = to_send + SPACE_FACTOR * sum(sizes.values()) + RESERVE_BYTES
    free = shutil.disk_usage(folder).free
    if to_send and free < needed:
        raise InstallError(
            f"{folder}: the disk is too full for this package.",
            why=f"{free >> 20} MiB are free, expected {needed / (1 << 20):.0f} MiB "
            "(the transfer, twice the package, and a reserve for the daemon).",
            fix="Free space on that disk and flash again.",
        )
