"""Files and folders that are complete or absent: hashes, atomic writes, fsync.

All files are created by ``open``, so that they have the mode that the umask of the
process gives. A library that writes a file itself may make it readable by its owner
only: let it return bytes, and write those.
"""

import errno
import fcntl
import grp
import hashlib
import os
import pwd
import secrets
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from models.counted import counted

CHUNK_BYTES = 1 << 20
OTHERS_MAY_READ = 0o666  # the umask decides, as for most programs
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
SQLITE_LOGS = ("-wal", "-shm")  # the names end so
OTHERS = 0o077  # the rights of group and others


class ForeignFolderError(Exception):
    """A folder would be replaced that was not written by this product."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 lower-case hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file that is not larger than a limit.

    For files that others may have written: a pipe would never end, nor would a device.

    Args:
        path: A link is followed.
        max_bytes: Nothing is returned of a larger file.

    Raises:
        OSError: It cannot be read, is no regular file (``EINVAL``), or is larger
            (``EFBIG``).
    """
    with _open_regular(path) as file:
        # Most of the large ones are refused before anything is read.
        is_larger = os.fstat(file.fileno()).st_size > max_bytes
        content = b"" if is_larger else file.read(max_bytes + 1)
    if is_larger or len(content) > max_bytes:
        reason = f"larger than {counted(max_bytes, 'byte')}"
        raise OSError(errno.EFBIG, reason, str(path))
    return content


def require_regular(path: Path) -> None:
    """Raise where a library would read a pipe or device without end.

    Raises:
        OSError: It does not exist, or is no regular file.
    """
    _refuse_irregular(path.stat(), path)


def read_start(path: Path, count: int) -> bytes:
    """Return the first bytes of a regular file, fewer where it is shorter.

    Args:
        path: A link is followed.
        count: How many bytes.

    Raises:
        OSError: It cannot be read, or is no regular file (``EINVAL``).
    """
    with _open_regular(path) as file:
        return file.read(count)


def regular_chunks(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield the content of a regular file in parts of at most 1 MiB.

    Args:
        path: A link is followed.
        offset: Bytes to leave out at the start.

    Raises:
        OSError: It cannot be read, or is no regular file (``EINVAL``).
    """
    with _open_regular(path) as file:
        file.seek(offset)
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _open_regular(path: Path) -> BinaryIO:
    _refuse_irregular(path.stat(), path)  # opening a device may change it
    # Without O_NONBLOCK, a pipe that took the place of the file would block.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    file = open(os.open(path, flags), "rb")  # noqa: PTH123, SIM115 (a descriptor)
    try:
        _refuse_irregular(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def open_below(folder: Path, path: str) -> BufferedReader:
    """Open a regular file below a folder for reading; no level of the path is a link.

    Args:
        path: Relative, with ``/`` between its levels, none of them ``..``.

    Raises:
        OSError: It is missing, no regular file, or cannot be read; or a level is a
            link.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    levels = path.split("/")
    for place, level in enumerate(levels):
        is_last = place == len(levels) - 1
        try:
            below = os.open(
                level, flags if is_last else flags | os.O_DIRECTORY, dir_fd=at
            )
        finally:
            os.close(at)
        at = below
    try:
        _refuse_irregular(os.fstat(at), folder / path)
    except OSError:
        os.close(at)
        raise
    return open(at, "rb")  # noqa: PTH123 (a descriptor)


def _refuse_irregular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        reason = "not a regular file, but a pipe, socket or device"
        raise OSError(errno.EINVAL, reason, str(path))


def open_new(path: Path, mode: int = OTHERS_MAY_READ) -> BinaryIO:
    """Open a new file for writing, in the place of what has the name.

    A link is replaced, not followed: its target is unchanged.

    Args:
        path: The file; its folder exists.
        mode: Permissions, of which the umask takes its part.

    Raises:
        OSError: The file cannot be made.

    Source:
        CWE-59, a link planted under a name that can be predicted.
    """
    path.unlink(missing_ok=True)
    # O_EXCL does not follow a link that came after it.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags, mode), "wb")  # noqa: PTH123 (a descriptor)


def open_end(path: Path) -> BinaryIO:
    """Open a file of this program to write after its end.

    Raises:
        OSError: It cannot be opened, or a link has its name (``ELOOP``).
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(os.open(path, flags), "ab")  # noqa: PTH123 (a descriptor)


def open_lock(path: Path) -> int:
    """Return the descriptor of a lock's file, which is made if it does not exist.

    It is never written. Others may not read it: a reader could lock it.

    Args:
        path: Its folder exists.

    Raises:
        OSError: It cannot be opened, or a link has its name (``ELOOP``): an empty file
            would be made elsewhere.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, PRIVATE_FILE)
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        reason = "is a link, expected a file"
        raise OSError(errno.ELOOP, reason, str(path)) from exc


@contextmanager
def held_lock(path: Path, busy: Exception) -> Iterator[None]:
    """Hold a lock; the kernel releases it when the process ends.

    Args:
        path: See ``open_lock``.
        busy: Raised where another process holds it.

    Raises:
        OSError: The file cannot be opened.
    """
    descriptor = open_lock(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise busy from exc
        yield
    finally:
        os.close(descriptor)


def make_private_database(path: Path) -> None:
    """Make an SQLite file that only this user may read; a wider one is tightened.

    SQLite gives its log the permissions of the file. To be called before it opens the
    file: closing a second descriptor would release SQLite's locks.

    Raises:
        OSError: The file cannot be made, or has the name of another user's link.
    """
    if path.is_symlink() and path.lstat().st_uid not in {0, os.geteuid()}:
        reason = "is a link that another user made"
        raise OSError(errno.ELOOP, reason, str(path))
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with suppress(FileExistsError):
        os.close(os.open(path, flags, PRIVATE_FILE))
    real = path.resolve()
    for file in (real, *(real.with_name(real.name + end) for end in SQLITE_LOGS)):
        if file.is_file():  # a folder of that name is not this program's
            make_private(file)


def is_open_to_others(path: Path) -> bool:
    """Return whether other users have a right to a file, and may enter its folder.

    The group that is named as this user, and has no other member, is not others: a file
    of root with mode 0640 and that group is the usual one for a service. False where it
    does not exist or cannot be examined.
    """
    return bool(_rights_of_others(path))


def is_changeable_by_others(path: Path) -> bool:
    """Return whether other users may write; see ``is_open_to_others``."""
    return bool(_rights_of_others(path) & (stat.S_IWGRP | stat.S_IWOTH))


def _rights_of_others(path: Path) -> int:
    try:
        folder, status = path.parent.stat(), path.stat()
    except OSError:
        return 0
    may_enter = bool(folder.st_mode & _bits_of_others(folder))
    return status.st_mode & _bits_of_others(status) if may_enter else 0


def _bits_of_others(status: os.stat_result) -> int:
    return OTHERS & ~stat.S_IRWXG if _is_own_group(status.st_gid) else OTHERS


def _is_own_group(gid: int) -> bool:
    try:
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(gid)
    except KeyError:
        return False
    return group.gr_name == user and not set(group.gr_mem) - {user}


def make_private(path: Path) -> None:
    """Take the rights of all other users from a file or folder, if they have any.

    For what others must not read: alerts, pictures, passwords. A file or folder of
    another user is left as it is.

    Raises:
        OSError: The permissions cannot be changed.
    """
    status = path.stat(follow_symlinks=False)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == os.geteuid() and mode & OTHERS and not path.is_symlink():
        path.chmod(mode & ~OTHERS)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder below an output folder, with its parents, if it is not there.

    Args:
        mode: Permissions of a new folder, of which the umask takes its part; its
            parents have those that the umask leaves.

    Raises:
        NotADirectoryError: A link has the name: files would be written elsewhere.
        OSError: The folder cannot be made.
    """
    if folder.is_symlink():
        reason = "is a link, expected a folder: files would be written elsewhere"
        raise NotADirectoryError(errno.ENOTDIR, reason, str(folder))
    folder.mkdir(mode, parents=True, exist_ok=True)


def write_atomically(
    path: Path,
    content: bytes | memoryview,
    mode: int = OTHERS_MAY_READ,
    *,
    durable: bool = True,
) -> None:
    """Replace a file so that after a crash it holds the old content or the new.

    Args:
        path: The file; its folder exists. A link of that name is replaced.
        content: The whole new content.
        mode: Permissions of the new file, of which the umask takes its part.
        durable: Whether it must also survive a power cut; without, it survives a kill
            of the process and a full disk, and takes less time.

    Raises:
        OSError: The file cannot be written; the old one is unchanged.

    Source:
        Write, fsync, rename, fsync of the folder: POSIX rename is atomic, and
        without the second fsync the rename itself may be lost.
    """
    temporary = temporary_name(path)
    try:
        with open_new(temporary, mode) as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        fsync_folder(path.parent)


def require_room(folder: Path, sizes: Sequence[int]) -> None:
    """Raise unless new files of these sizes fit into a folder.

    The files are allocated and removed, because free space alone does not show a quota
    or a largest size of a file.

    Args:
        folder: Exists.
        sizes: Bytes of each file, above 0.

    Raises:
        OSError: They do not fit, or the folder cannot be written.
    """
    require_free(folder, sum(sizes))
    places = [folder / f".room.{os.getpid()}.{i}.tmp" for i in range(len(sizes))]
    try:
        for place, size in zip(places, sizes, strict=True):
            with open_new(place) as file:
                _allocate(file.fileno(), size)
    finally:
        for place in places:
            place.unlink(missing_ok=True)


def require_free(folder: Path, size: int) -> None:
    """Raise unless a disk has so many bytes free.

    Args:
        folder: Exists.

    Raises:
        OSError: It has fewer.
    """
    if size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def _allocate(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as exc:
        # Some file systems cannot allocate; their free space was enough.
        if exc.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
            raise


def temporary_name(path: Path) -> Path:
    """Return a name beside a file that cannot be predicted: ``.NAME.<number>.tmp``.

    A link that was planted there would be replaced, not followed; with a name of its
    own each writer also removes only what it wrote itself.
    """
    return path.with_name(f".{path.name}.{secrets.randbelow(10**18)}.tmp")


@contextmanager
def replaced_folder(out: Path, *, marker: str | None = None) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``out`` when the block ends.

    The block writes into the sibling ``.NAME.partial``. At its end every file is
    made durable and the folder is renamed. An older folder is ``.NAME.previous``
    between the two renames; after a power cut there, the next call restores it.
    If the block raises, ``out`` is unchanged.

    Args:
        out: The folder to make or to replace; its parents are made.
        marker: Name of a file that marks an older folder as replaceable; the block
            writes it. None: only an empty folder is replaced.

    Yields:
        An empty folder on the same file system.

    Raises:
        ForeignFolderError: ``out`` is a link, a file, or a folder with content but
            without the marker. Nothing is changed.
        OSError: The folder cannot be written, or the block raised it.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 (resolve() would follow a link)
    partial = out.with_name(f".{out.name}.partial")
    previous = out.with_name(f".{out.name}.previous")
    if not _is_replaceable(out, marker):
        raise ForeignFolderError(str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    for leftover in (partial, previous):
        if leftover.is_symlink():
            leftover.unlink()  # this function never makes one
    if previous.exists() and not out.exists():
        previous.rename(out)
    for leftover in (partial, previous):
        if leftover.exists():
            shutil.rmtree(leftover)
    partial.mkdir()
    try:
        yield partial
        fsync_tree(partial)
        if out.exists():
            out.rename(previous)
        partial.rename(out)
        fsync_folder(out.parent)
        shutil.rmtree(previous, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_replaceable(out: Path, marker: str | None) -> bool:
    if out.is_symlink():
        return False
    if not out.exists():
        return True
    if not out.is_dir():
        return False
    return not any(out.iterdir()) or (marker is not None and (out / marker).is_file())


def fsync_tree(folder: Path) -> None:
    """Make every file below a folder durable, and every name in it.

    Raises:
        OSError: Something cannot be opened or synchronized.
    """
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            fsync_folder(path)
        else:
            fsync_file(path)
    fsync_folder(folder)


def fsync_file(path: Path) -> None:
    """Make the content of an existing file durable.

    Raises:
        OSError: The file cannot be opened or synchronized.
    """
    _fsync(path, os.O_RDONLY)


def fsync_folder(folder: Path) -> None:
    """Make the names in an existing folder durable.

    Raises:
        OSError: The folder cannot be opened or synchronized.
    """
    _fsync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
