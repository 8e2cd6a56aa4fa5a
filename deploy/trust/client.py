"""The client of The Update Framework (TUF) on the line PC, with our clock and limits.

python-tuf verifies: signatures and thresholds, the chain of roots, versions, hashes,
expiry. This module gives it a source and a reference time, and stores what it accepted.

The client works in a copy of the accepted metadata. What it has accepted is stored
afterwards, also where a later step was refused: a root that revokes a key counts from
the moment it was seen.
"""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    RepositoryError,
    SlowRetrievalError,
)
from tuf.api.metadata import Root, TargetFile, Targets
from tuf.ngclient import FetcherInterface, Updater

from deploy.trust.clock_rule import reference_time
from deploy.trust.enrolment import STAGING, Enrolment, TrustFolder, proven_floor
from deploy.trust.key_repository import (
    METADATA_MAX_BYTES,
    AnySigned,
    parse_metadata,
)
from deploy.trust.naming import FailedStep, named_refusal
from deploy.trust.sources import (
    EndlessSourceError,
    RateLimit,
    ReleaseSource,
    SlowSourceError,
    read_limited,
)
from models.files import PRIVATE_FOLDER, read_regular, write_atomically

NOT_FOUND = 404
# Where no signed length is known; tuf.ngclient has the same limits.
MAX_BYTES = {"root": 512_000, "timestamp": 16_384}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A release whose metadata was accepted.

    Attributes:
        targets: All files that may be installed, by ``<package sha256>/<path>``.
    """

    targets: dict[str, TargetFile]


class MetadataFetcher(FetcherInterface):
    """Reads metadata of a release within limits, and remembers the last file.

    Attributes:
        step: The file that was read last, for the name of a refusal.
    """

    def __init__(self, release: ReleaseSource, rate: RateLimit | None) -> None:
        self.release, self.rate = release, rate
        self.step = FailedStep()

    def _fetch(self, url: str) -> Iterator[bytes]:
        """Yield the content of a file; the limit is that of its kind."""
        limit = MAX_BYTES.get(FailedStep(url).role, METADATA_MAX_BYTES)
        try:
            yield from read_limited(self.release, url, limit, rate=self.rate)
        except FileNotFoundError as exc:
            raise DownloadHTTPError(f"{url} is missing", NOT_FOUND) from exc
        except EndlessSourceError as exc:
            raise DownloadLengthMismatchError(str(exc)) from exc
        except SlowSourceError as exc:
            raise SlowRetrievalError(str(exc)) from exc
        except OSError as exc:
            raise DownloadError(exc.strerror or str(exc)) from exc

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return the content of a file.

        A file that is longer than its signed length is returned: the client compares
        length and hash, and an authentic file of another release is then named so.
        """
        self.step = FailedStep(url, max_length)
        content = b"".join(self._fetch(url))
        self.step = FailedStep(url, max_length, content)
        return content


class _TimedUpdater(Updater):
    """The client of python-tuf with the clock rule in the place of the PC's clock."""

    def __init__(
        self,
        folder: Path,
        root: bytes,
        fetcher: MetadataFetcher,
        clock: datetime,
    ) -> None:
        super().__init__(str(folder), "metadata/", fetcher=fetcher, bootstrap=root)
        self._folder, self._clock = folder, clock

    def _load_root(self) -> None:
        """Load the newest root, then decide on the time: its keys prove the floor.

        python-tuf 7 takes no time from outside. Tests with clocks of 1970 and 2099
        fail where a later version no longer keeps it here.
        """
        super()._load_root()
        floor = proven_floor(self.root, self._folder)
        self._trusted_set.reference_time = reference_time(self._clock, floor)

    @property
    def root(self) -> Root:
        """The root in force."""
        return self._trusted_set.root

    @property
    def now(self) -> datetime:
        """The time that expiries are compared with."""
        return self._trusted_set.reference_time


@dataclass(frozen=True, slots=True)
class TrustClient:
    """Verifies releases for one slot.

    Attributes:
        trust: Folder of the slot; its lock is held.
        enrolment: Whom it trusts.
        clock: What this machine's clock shows.
        rate: Smallest rate; None = the usual one.
    """

    trust: TrustFolder
    enrolment: Enrolment
    clock: datetime
    rate: RateLimit | None = field(default=None)

    def accept(self, release: ReleaseSource) -> Accepted:
        """Return what a release lists, after its metadata was verified.

        Raises:
            ReleaseRefusedError: It is not what the trusted keys have signed.
            SourceUnavailableError: It could not be read to the end.
            NotEnrolledError: The pinned root is missing or damaged.
            OSError: The trust folder cannot be written.
        """
        pinned = self.trust.pinned_root(self.enrolment)
        fetcher = MetadataFetcher(release, self.rate)
        with self._staged() as staging:
            updater = _TimedUpdater(staging, pinned, fetcher, self.clock)
            try:
                updater.refresh()
            except (RepositoryError, DownloadError) as exc:
                earlier = _roots_in(staging)
                raise named_refusal(
                    exc, fetcher.step, release, updater.root, earlier, updater.now
                ) from exc
            finally:
                self._store(staging)
            targets = _read(staging / "targets.json", Targets)
        return Accepted(targets.targets)

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """Yield a copy of the accepted metadata."""
        staging = self.trust.root / f"{STAGING}{secrets.token_hex(8)}"
        staging.mkdir(PRIVATE_FOLDER)
        try:
            accepted = self.trust.metadata(self.enrolment.fingerprint)
            shutil.copytree(accepted, staging, dirs_exist_ok=True, symlinks=True)
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _store(self, staging: Path) -> None:
        """Store what the client has accepted, in the order in which it did."""
        accepted = self.trust.metadata(self.enrolment.fingerprint)
        history = sorted(
            (staging / "root_history").glob("*.root.json"),
            key=lambda path: int(path.name.partition(".")[0]),
        )
        for role in ("timestamp", "snapshot", "targets"):
            path = staging / f"{role}.json"
            history += [path] if path.exists() else []
        for path in history:
            content = read_regular(path, METADATA_MAX_BYTES)
            target = accepted / path.relative_to(staging)
            if not _holds(target, content):
                write_atomically(target, content)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return read_regular(path, METADATA_MAX_BYTES) == content
    except OSError:
        return False


def _roots_in(staging: Path) -> list[Root]:
    files = (staging / "root_history").glob("*.root.json")
    return [_read(path, Root) for path in files]


def _read(path: Path, layout: type[AnySigned]) -> AnySigned:
    return parse_metadata(read_regular(path, METADATA_MAX_BYTES), layout).signed
