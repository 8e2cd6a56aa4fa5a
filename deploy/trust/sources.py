"""Where a release is read from, and the limits for every such place.

A release comes from a folder, a stick or a server that an attacker may control. What
is read is limited here, whatever the place: bytes, rate and time.
"""

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from models.counted import counted
from models.files import regular_chunks

STALL_S = 10.0  # a source must raise TimeoutError where no byte comes for so long
# A modem brings some 5 kB/s; the daemon of a plant network at least a hundred times it.
MIN_BYTES_PER_S = 1024
WINDOW_S = 20.0
# A folder, a pipe or a device where a file should be.
NO_FILE = {errno.EISDIR, errno.EINVAL, errno.ENOTDIR, errno.ENAMETOOLONG}


class SlowSourceError(Exception):
    """A source is slower than the smallest rate."""


class EndlessSourceError(Exception):
    """A source gives more bytes than there may be."""


class ReleaseSource(Protocol):
    """A place that holds a release: a folder, a web server."""

    @property
    def name(self) -> str:
        """What messages call it, without a login."""

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """Yield the content of one file, in parts of at most 1 MiB.

        Args:
            path: Below the release: ``metadata/timestamp.json``, ``files/<sha256>``.
            offset: Bytes to leave out at the start.

        Raises:
            FileNotFoundError: There is no such file.
            TimeoutError: No byte came for ``STALL_S`` seconds.
            OSError: It cannot be read, or the connection was cut.
        """


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A release in a folder: of this machine, a stick or a file share.

    Attributes:
        folder: The release; links in it are not followed.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """Yield the content of one file; see ``ReleaseSource``."""
        place = self.folder
        for part in PurePosixPath(path).parts:
            place /= part
            if place.is_symlink():
                raise _missing(place, "is a link, expected a file")
        try:
            yield from regular_chunks(place, offset)
        except OSError as exc:
            if exc.errno in NO_FILE:
                raise _missing(place, exc.strerror or "is no file") from exc
            raise


def _missing(path: Path, why: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, why, str(path))


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The smallest rate that is accepted.

    Attributes:
        min_bytes_per_s: On average over each window.
        window_s: A source may pause for almost so long.
        clock: Monotonic seconds.
    """

    min_bytes_per_s: int = MIN_BYTES_PER_S
    window_s: float = WINDOW_S
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)


def read_limited(
    release: ReleaseSource,
    path: str,
    max_bytes: int,
    offset: int = 0,
    rate: RateLimit | None = None,
) -> Iterator[bytes]:
    """Yield the content of a file of a release, with limits.

    Args:
        max_bytes: Bytes from ``offset`` on that there may be.
        rate: None = the limits of this module.

    Raises:
        EndlessSourceError: There are more bytes.
        SlowSourceError: They come too slowly, or not at all.
        FileNotFoundError: There is no such file.
        OSError: It cannot be read.
    """
    limit = rate or RateLimit()
    received = in_window = 0
    window_began = limit.clock()
    try:
        for chunk in release.read(path, offset):
            received += len(chunk)
            in_window += len(chunk)
            if received > max_bytes:
                raise EndlessSourceError(
                    f"{path}: more than {counted(max_bytes, 'byte')}"
                )
            elapsed_s = limit.clock() - window_began
            if elapsed_s >= limit.window_s:
                if in_window < elapsed_s * limit.min_bytes_per_s:
                    came = counted(in_window, "byte")
                    raise SlowSourceError(f"{path}: {came} in {elapsed_s:.0f} s")
                window_began, in_window = limit.clock(), 0
            yield chunk
    except TimeoutError as exc:
        raise SlowSourceError(f"{path}: nothing came for {STALL_S:.0f} s") from exc
