"""A dataset in a zip: unpacked once, into a cache folder that is called by its content.

``~/.cache/graftline/datasets/SHA256`` (``$GRAFTLINE_CACHE/datasets/SHA256`` where that
is set) holds the files of the zip with that hash; it can be deleted at any time. They
are written into a folder beside it that is renamed when it is whole; what an
interrupted run left is removed by the next one, unless its maker still lives: it holds
a lock on its folder.
"""

import fcntl
import logging
import lzma
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from models.errors import DatasetError
from models.files import fsync_folder, sha256_of
from trainer.data.archive_members import Member, RefusedError, accepted_members

logger = logging.getLogger(__name__)

SUFFIX = ".zip"
DAMAGED = (
    *(BadZipFile, EOFError, NotImplementedError, ValueError),
    *(zlib.error, lzma.LZMAError),
)
PARTIAL = ".partial-"
DEEPEST_TOP = 4  # folders that hold nothing but one folder
CACHE_VARIABLE = "GRAFTLINE_CACHE"

Progress = Callable[[int, int], None]
"""Called with the files that are unpacked, and how many there are."""


def is_archive(path: Path) -> bool:
    """Return whether a dataset is a zip and no folder.

    Args:
        path: As a person gave it.
    """
    return path.suffix.lower() == SUFFIX and path.is_file()


def unpacked(path: Path, on_progress: Progress | None = None) -> Path:
    """Return the folder of a dataset, a zip unpacked.

    Args:
        path: A folder, which is returned as it is, or a zip.
        on_progress: Called for every file that is unpacked.

    Returns:
        The folder; where the zip holds nothing but one folder, that one.

    Raises:
        DatasetError: The zip is damaged, harmful, or there is no room for it.
    """
    if not is_archive(path):
        return path
    try:
        cache = _cache_folder()
        cache.mkdir(parents=True, exist_ok=True)
        status = path.stat()
        folder = cache / _hash_of(path, status.st_size, status.st_mtime_ns)
        with ZipFile(path) as archive:
            members = accepted_members(archive.infolist(), status.st_size)
            if not _is_whole(folder, members):
                _refuse_full_disk(path, cache, members)
                _unpack(archive, members, folder, on_progress)
    except RefusedError as exc:
        fix = "Pack the folder of photos and labels anew, and nothing else."
        raise DatasetError(
            f"{path}: refused.", why=f"In this zip {exc}", fix=fix
        ) from exc
    except DAMAGED as exc:
        fix = "Copy or export it again: it is cut off or damaged."
        raise DatasetError(f"{path}: not a whole zip.", why=f"{exc}.", fix=fix) from exc
    except OSError as exc:
        raise DatasetError(
            f"{path}: cannot be unpacked.",
            why=f"{exc.filename or path}: {exc.strerror or exc}.",
            fix=f"Make room, or set {CACHE_VARIABLE} to a folder of yours.",
        ) from exc
    return _top(folder)


def _cache_folder() -> Path:
    """Return where datasets are unpacked."""
    chosen = os.environ.get(CACHE_VARIABLE)
    base = Path(chosen).expanduser() if chosen else Path.home() / ".cache/graftline"
    return base / "datasets"


@lru_cache(maxsize=4)
def _hash_of(path: Path, size_bytes: int, changed_ns: int) -> str:
    """Return the SHA-256 of a file; once, as long as it does not change."""
    logger.debug("dataset_hashed file=%s bytes=%d ns=%d", path, size_bytes, changed_ns)
    return sha256_of(path)


def _is_whole(folder: Path, members: Sequence[Member]) -> bool:
    """Return whether a folder holds every file in its full length."""
    for member in members:
        try:
            if (folder / member.path).stat().st_size != member.info.file_size:
                return False
        except FileNotFoundError:
            return False
    return folder.is_dir()


def _refuse_full_disk(path: Path, cache: Path, members: Sequence[Member]) -> None:
    """Refuse to begin what cannot be ended."""
    needed = sum(member.info.file_size for member in members)
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise DatasetError(
            f"{path}: no room to unpack it.",
            why=f"It needs {needed >> 20} MiB, {cache} has {free >> 20} MiB.",
            fix=f"Make room, or set {CACHE_VARIABLE} to a larger disk.",
        )


def _unpack(
    archive: ZipFile,
    members: Sequence[Member],
    folder: Path,
    on_progress: Progress | None,
) -> None:
    """Write all files beside the folder, then rename."""
    _remove_abandoned(folder.parent)
    partial, lock = _partial_folder(folder)
    try:
        for count, member in enumerate(members, 1):
            place = partial / member.path
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member.info) as packed, place.open("wb") as file:
                shutil.copyfileobj(packed, file)
            if on_progress:
                on_progress(count, len(members))
        _put_in_place(partial, folder, members)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # gone if it was renamed
        os.close(lock)


def _partial_folder(folder: Path) -> tuple[Path, int]:
    """Return a new folder, and the lock that says that its maker lives."""
    while True:
        made = tempfile.mkdtemp(prefix=f"{folder.name}{PARTIAL}", dir=folder.parent)
        if (lock := _locked(Path(made))) is not None:
            return Path(made), lock


def _locked(folder: Path) -> int | None:
    """Return a lock on a folder; None where somebody else holds it, or it went."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_abandoned(cache: Path) -> None:
    """Remove what runs that were killed had begun."""
    for folder in cache.glob(f"*{PARTIAL}*"):
        lock = _locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _put_in_place(partial: Path, folder: Path, members: Sequence[Member]) -> None:
    """Rename a whole folder, over one that lacks files if need be."""
    os.sync()  # names must not last longer than what is in the files
    if folder.exists() and not _is_whole(folder, members):
        shutil.rmtree(folder)
    try:
        partial.rename(folder)
    except OSError:
        if not _is_whole(folder, members):  # another run was not faster
            raise
    fsync_folder(folder.parent)


def _top(folder: Path) -> Path:
    """Return the folder that the files begin in."""
    for _ in range(DEEPEST_TOP):
        inside = list(folder.iterdir())
        if len(inside) != 1 or not inside[0].is_dir():
            break
        folder = inside[0]
    return folder
