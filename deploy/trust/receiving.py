"""Fetches one signed file: counted and hashed while it is written, and resumed."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.trust.refusals import Refusal, ReleaseRefusedError, SourceUnavailableError
from deploy.trust.sources import (
    EndlessSourceError,
    RateLimit,
    ReleaseSource,
    SlowSourceError,
    read_limited,
)
from models.counted import counted
from models.files import make_folder, open_end, open_new, regular_chunks

KnownFile = Callable[[str], Path | None]


@dataclass(frozen=True, slots=True)
class SignedFile:
    """One file of a package, as the signed list has it.

    Attributes:
        name: Path in the package.
        size_bytes: Its length.
        sha256: Its digest.
    """

    name: str
    size_bytes: int
    sha256: str


def nothing_known(sha256: str) -> Path | None:
    """Return None: the PC has no file of that digest."""
    del sha256
    return None


@dataclass(frozen=True, slots=True)
class FileReceiver:
    """Fetches files of one release.

    Attributes:
        release: Where they come from.
        known_file: Returns a file that the PC may have, by its digest.
        partial: Folder of files that were cut; None = they are not kept.
        rate: Smallest rate; None = the usual one.
    """

    release: ReleaseSource
    known_file: KnownFile
    partial: Path | None
    rate: RateLimit | None

    def fetch(self, file: SignedFile, target: Path) -> None:
        """Write one file, from the PC itself or from the release.

        Raises:
            ReleaseRefusedError: The release has another content.
            SourceUnavailableError: It could not be read to the end.
            OSError: The file cannot be written.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        known = self.known_file(file.sha256)
        if known and _copy_known(known, file, target):
            return
        if self.partial is None:
            self._receive(file, target, 0)
            return
        make_folder(self.partial)
        begun = self.partial / file.sha256
        kept = _kept_bytes(begun, file)
        try:
            self._receive(file, begun, kept)
        except ReleaseRefusedError as exc:
            if exc.refusal is Refusal.SLOW:
                raise  # what has arrived is checked at the end, so it may stay
            begun.unlink(missing_ok=True)
            if not kept:
                raise
            # What was kept may be the damaged part: once more from the start.
            self._receive_or_remove(file, begun)
        begun.replace(target)

    def _receive_or_remove(self, file: SignedFile, path: Path) -> None:
        try:
            self._receive(file, path, 0)
        except ReleaseRefusedError:
            path.unlink(missing_ok=True)
            raise

    def _receive(self, file: SignedFile, path: Path, kept: int) -> None:
        """Write a file, after the bytes of it that are there."""
        digest, received = hashlib.sha256(), kept
        if kept:
            for chunk in regular_chunks(path):
                digest.update(chunk)
        with open_end(path) if kept else open_new(path) as out:
            for chunk in self._chunks(file, kept):
                received += len(chunk)
                digest.update(chunk)
                out.write(chunk)
        if received < file.size_bytes:
            why = f"{file.name} has {received} of {file.size_bytes} bytes."
            raise ReleaseRefusedError(Refusal.TRUNCATED, self.release.name, why=why)
        if digest.hexdigest() != file.sha256:
            why = f"{file.name} was changed after signing."
            raise ReleaseRefusedError(Refusal.TAMPERED, self.release.name, why=why)

    def _chunks(self, file: SignedFile, begin: int) -> Iterator[bytes]:
        """Yield what the release has; its errors get their names."""
        path, release = f"files/{file.sha256}", self.release.name
        rest = file.size_bytes - begin
        if begin and not rest:
            return
        try:
            yield from read_limited(self.release, path, rest, begin, self.rate)
        except FileNotFoundError as exc:
            why = f"{file.name} ({path}) is missing."
            raise ReleaseRefusedError(Refusal.INCOMPLETE, release, why=why) from exc
        except EndlessSourceError as exc:
            why = f"{file.name} has more than its {counted(file.size_bytes, 'byte')}."
            raise ReleaseRefusedError(Refusal.ENDLESS, release, why=why) from exc
        except SlowSourceError as exc:
            raise ReleaseRefusedError(Refusal.SLOW, release, why=f"{exc}.") from exc
        except OSError as exc:
            raise SourceUnavailableError(
                f"{release}: cannot be read.",
                why=f"{file.name}: {exc.strerror or exc}.",
                fix="Try again: what has arrived is kept.",
            ) from exc


def _kept_bytes(path: Path, file: SignedFile) -> int:
    """Return how much of a file was kept; what is no part of it is removed."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > file.size_bytes:
        path.unlink(missing_ok=True)
        return 0
    return path.stat().st_size


def _copy_known(known: Path, file: SignedFile, target: Path) -> bool:
    """Copy a file that the PC has; False where it has another content."""
    digest, size_bytes = hashlib.sha256(), 0
    with open_new(target) as out:
        for chunk in _readable(known):
            size_bytes += len(chunk)
            if size_bytes > file.size_bytes:
                break
            digest.update(chunk)
            out.write(chunk)
    return size_bytes == file.size_bytes and digest.hexdigest() == file.sha256


def _readable(path: Path) -> Iterator[bytes]:
    """Yield what can be read of a file; a damaged disk counts as a damaged file."""
    with suppress(OSError):
        yield from regular_chunks(path)
