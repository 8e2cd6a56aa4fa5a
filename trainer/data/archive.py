"""A dataset in a zip: checked, then unpacked once into a cache folder.

``~/.cache/graftline/datasets/SHA256`` (``$GRAFTLINE_CACHE/datasets/SHA256`` where that
is set) holds the files of the zip with that hash; it can be deleted at any time. They
are written into a folder beside it that is renamed when it is whole. The next run
removes what an interrupted run left; a run that still works holds a lock on its folder.

A harmful zip is refused before anything of it is written.

Source: CWE-22 (paths), CWE-59 (links), CWE-409 (bombs); David Fifield, "A better zip
bomb", 2019: the sizes in the zip's directory are bounded here, and ``zipfile`` reads no
more than these.
"""

import fcntl
import logging
import lzma
import os
import re
import secrets
import shutil
import stat
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from zipfile import (
    ZIP_BZIP2,
    ZIP_DEFLATED,
    ZIP_LZMA,
    ZIP_STORED,
    BadZipFile,
    ZipFile,
    ZipInfo,
)

from models.counted import counted
from models.errors import DatasetError
from models.files import fsync_folder, sha256_of
from trainer.data.formats.files import DEEPEST_FOLDER, VERDICT_FOLDERS
from trainer.data.paths import UnusableNameError, path_below, shown

logger = logging.getLogger(__name__)

SUFFIX = ".zip"
CACHE_VARIABLE = "GRAFTLINE_CACHE"
PARTIAL = ".partial-"
DEEPEST_TOP = 4  # folders that hold nothing but one folder

MOST_MEMBERS = 200_000
MOST_BYTES = 64 << 30
MOST_RATIO = 200  # photos and labels reach 50 at most: black bitmaps, JSON
SMALL_BYTES = 64 << 20  # so much may be unpacked from any number of bytes

ENCRYPTED = 0x1 | 0x40 | 0x2000  # APPNOTE.TXT 4.4.4, bits 0, 6 and 13
UTF8 = 0x800  # bit 11: the name is UTF-8
PACKED_BY = frozenset({ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA})
NOT_PORTABLE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
LEFT_OUT = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
DAMAGED = (  # what zipfile and its decompressors raise
    *(BadZipFile, EOFError, NotImplementedError, ValueError),
    *(zlib.error, lzma.LZMAError),
)

UnpackProgress = Callable[[int, int], None]  # files that are unpacked, files in all


class UnsafeMemberError(Exception):
    """A zip holds what no dataset needs; the text names it."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file to unpack."""

    info: ZipInfo
    path: PurePosixPath  # relative to the folder that it is unpacked into


def accepted_members(infos: Sequence[ZipInfo], packed_bytes: int) -> list[Member]:
    """Return the files of a zip if all of them may be unpacked.

    Raises:
        UnsafeMemberError: One may not, or all together are too much.
    """
    _refuse_bomb(infos, packed_bytes)
    members = list(_members(infos))
    seen: dict[str, str] = {}
    for member in members:
        name = str(member.path)
        first = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if first is not name:
            raise UnsafeMemberError(
                f"{name!r} is there twice, or differs by case only."
            )
    for name in seen:
        for parent in PurePosixPath(name).parents:
            if str(parent) in seen:
                raise UnsafeMemberError(
                    f"{seen[str(parent)]!r} is a file and a folder."
                )
    return members


def _refuse_bomb(infos: Sequence[ZipInfo], packed_bytes: int) -> None:
    """Refuse a zip that unpacks to more than any dataset has."""
    if len(infos) > MOST_MEMBERS:
        raise UnsafeMemberError(
            f"it holds {counted(len(infos), 'file')}, at most {MOST_MEMBERS}."
        )
    total = sum(info.file_size for info in infos)
    if total > MOST_BYTES:
        most = f"at most {MOST_BYTES >> 30}"
        raise UnsafeMemberError(f"it unpacks to {total >> 30} GiB, {most}.")
    if total > SMALL_BYTES and total > MOST_RATIO * packed_bytes:
        raise UnsafeMemberError(
            f"it unpacks to {total >> 20} MiB, more than {MOST_RATIO} times its size."
        )


def _members(infos: Sequence[ZipInfo]) -> Iterator[Member]:
    """Yield the files, without those that operating systems add by themselves."""
    for info in infos:
        name = _name(info)
        _refuse_kind(info, name)
        path = PurePosixPath(name)
        _refuse_path(name, path)
        is_foreign = LEFT_OUT & set(path.parts) or path.name.startswith("._")
        if not info.is_dir() and not is_foreign:
            yield Member(info, path)


def _name(info: ZipInfo) -> str:
    """Return a member's name; macOS writes UTF-8 without the flag for it."""
    name = info.orig_filename
    if info.flag_bits & UTF8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _refuse_kind(info: ZipInfo, name: str) -> None:
    """Refuse what is neither a file nor a folder, or cannot be read."""
    if info.flag_bits & ENCRYPTED:
        raise UnsafeMemberError(f"{name!r} is encrypted.")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise UnsafeMemberError(f"{name!r} is a link.")
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise UnsafeMemberError(f"{name!r} is a device, not a file.")
    if info.compress_type not in PACKED_BY:
        raise UnsafeMemberError(f"{name!r} is packed by method {info.compress_type}.")


def _refuse_path(name: str, path: PurePosixPath) -> None:
    """Refuse a name that leaves the folder, or that some system cannot have."""
    if path.is_absolute() or re.match(r"[A-Za-z]:[\\/]", name):
        raise UnsafeMemberError(f"{name!r} is an absolute path.")
    if ".." in re.split(r"[\\/]", name):
        raise UnsafeMemberError(f"{name!r} leaves the folder.")
    if not path.parts:
        raise UnsafeMemberError(f"{name!r} is no name.")
    if NOT_PORTABLE.search(name):
        raise UnsafeMemberError(
            f"{name!r} holds a character that not every system accepts."
        )
    if (depth := len(path.parts) - 1) > DEEPEST_FOLDER:
        most = f"at most {DEEPEST_FOLDER}"
        raise UnsafeMemberError(f"{shown(name)} is in {depth} folders, {most}.")
    try:
        path_below(Path(), Path(), name)
    except UnusableNameError as exc:
        raise UnsafeMemberError(f"{shown(name)} cannot be a name: {exc}.") from exc
    for part in path.parts:
        if DEVICES.fullmatch(part) or part.endswith((" ", ".")):
            raise UnsafeMemberError(f"{name!r} is a name that Windows does not accept.")


def is_archive(path: Path) -> bool:
    """Return whether a dataset is a zip and no folder."""
    return path.suffix.lower() == SUFFIX and path.is_file()


def unpacked(path: Path, on_progress: UnpackProgress | None = None) -> Path:
    """Return the folder of a dataset, a zip unpacked.

    Args:
        path: A folder, which is returned as it is, or a zip.

    Returns:
        The folder; where the zip holds nothing but one folder, that one.

    Raises:
        DatasetError: The zip is damaged or harmful, or the disk has no space for it.
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
    except UnsafeMemberError as exc:
        fix = "Pack the folder of photos and labels again, and nothing else."
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
            fix=f"Free disk space, or set {CACHE_VARIABLE} to a folder of your own.",
        ) from exc
    return _top(folder)


def _cache_folder() -> Path:
    chosen = os.environ.get(CACHE_VARIABLE)
    base = Path(chosen).expanduser() if chosen else Path.home() / ".cache/graftline"
    return base / "datasets"


@lru_cache(maxsize=4)
def _hash_of(path: Path, size_bytes: int, changed_ns: int) -> str:
    """Return the SHA-256 of a file, cached for its size and time of change."""
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
    """Refuse a zip that does not fit onto the disk of the cache."""
    needed = sum(member.info.file_size for member in members)
    free = shutil.disk_usage(cache).free
    if needed > free:
        raise DatasetError(
            f"{path}: no space to unpack it.",
            why=f"It needs {needed >> 20} MiB, {cache} has {free >> 20} MiB.",
            fix=f"Free disk space, or set {CACHE_VARIABLE} to a larger disk.",
        )


def _unpack(
    archive: ZipFile,
    members: Sequence[Member],
    folder: Path,
    on_progress: UnpackProgress | None,
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
    """Return a new folder, and the lock that shows that its writer runs."""
    while True:
        # Not tempfile.mkdtemp: its folders are closed to everybody else.
        made = folder.with_name(f"{folder.name}{PARTIAL}{secrets.token_hex(8)}")
        made.mkdir()
        if (lock := _locked(made)) is not None:
            return made, lock


def _locked(folder: Path) -> int | None:
    """Return a lock on a folder; None if another process has it, or it is gone."""
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
    """Remove the partial folders of runs that were killed."""
    for folder in cache.glob(f"*{PARTIAL}*"):
        lock = _locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _put_in_place(partial: Path, folder: Path, members: Sequence[Member]) -> None:
    """Rename a whole folder, over one that lacks files if need be."""
    # Not models.files.replaced_folder: several runs may unpack the same zip at the
    # same time, each into its own locked folder, and the first one to finish wins.
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
    """Return the innermost folder that holds everything; ``good/`` is not one."""
    for _ in range(DEEPEST_TOP):
        inside = list(folder.iterdir())
        if len(inside) != 1 or not inside[0].is_dir():
            break
        if inside[0].name in VERDICT_FOLDERS:
            break
        folder = inside[0]
    return folder
