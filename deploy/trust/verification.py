"""Takes a package from a release into the line PC, if the trusted keys have signed it.

::

    metadata (python-tuf) -> list of the package's files -> each file by its digest,
    from the PC's own store or the release -> the package as a whole

Names, sizes and digests come from the signed list. Each byte is counted and hashed
while it is written, into a folder that is removed where anything is refused. No model
file is parsed before all files have the digests that were signed.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from tuf.api.metadata import TargetFile

from deploy.trust.client import Accepted, TrustClient
from deploy.trust.enrolment import Enrolment, TrustFolder, require_enrolment
from deploy.trust.key_repository import CUSTOM
from deploy.trust.receiving import FileReceiver, KnownFile, SignedFile, nothing_known
from deploy.trust.refusals import Refusal, ReleaseRefusedError
from deploy.trust.sources import FolderSource, RateLimit, ReleaseSource
from models.counted import counted
from models.errors import InstallError
from models.files import require_free
from models.manifest import FILES_MAX, stays_inside
from models.package import DIGEST, Package, digests_of_files, open_package
from models.slot_files import SlotFolder

logger = logging.getLogger(__name__)

PACKAGE_MAX_BYTES = 4 << 30


@contextmanager
def receive_package(
    slot: SlotFolder,
    release: ReleaseSource | Path,
    package_sha256: str,
    into: Path,
    known_file: KnownFile = nothing_known,
    *,
    partial: Path | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    rate: RateLimit | None = None,
) -> Iterator[Package]:
    """Yield a package that the keys of a slot have signed, complete and verified.

    Args:
        into: See ``ListedPackage.received``.

    Raises:
        GraftlineError: See ``find_listed`` and ``ListedPackage.received``.
    """
    signed = find_listed(
        slot,
        release,
        package_sha256,
        known_file,
        partial=partial,
        clock=clock,
        rate=rate,
    )
    with signed.received(into) as package:
        yield package


@dataclass(frozen=True, slots=True)
class ListedPackage:
    """A package in the signed list of a release, whose files were not read yet.

    Attributes:
        sha256: The package.
        files: Its files.
        accepted: The metadata of the release.
        receiver: Fetches the files.
    """

    sha256: str
    files: tuple[SignedFile, ...]
    accepted: Accepted
    receiver: FileReceiver

    @contextmanager
    def received(self, into: Path) -> Iterator[Package]:
        """Yield the package, complete and verified.

        Args:
            into: Folder to make, after what has its name was removed; removed at the
                end of the block.

        Raises:
            ReleaseRefusedError: The release is not what the trusted keys have signed.
            SourceUnavailableError: It could not be read to the end.
            PackageError: The signed files are no package that this version runs.
            InstallError: The disk is too full.
            OSError: The slot cannot be written.
        """
        try:
            with _logged_refusals():
                _remove(into)
                into.mkdir()
                _require_room(into, self.files)
                for file in self.files:
                    self.receiver.fetch(file, into / file.name)
                package = open_package(into, sha256=self.sha256)
                self.require_match(package)
            yield package
        finally:
            _remove(into)

    def require_match(self, package: Package) -> None:
        """Refuse a package that is not what its entries in the signed list state.

        Raises:
            ReleaseRefusedError: It differs.
        """
        with _logged_refusals():
            release = self.receiver.release.name
            _refuse_other_package(self.accepted, package, self.files, release)


def find_listed(
    slot: SlotFolder,
    release: ReleaseSource | Path,
    package_sha256: str,
    known_file: KnownFile = nothing_known,
    *,
    partial: Path | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    rate: RateLimit | None = None,
) -> ListedPackage:
    """Return a package that the keys of a slot have signed; its files are not read.

    Args:
        slot: An enrolled slot.
        release: A folder, or another source.
        package_sha256: The wanted package.
        known_file: Returns a file of that SHA-256 that the PC may have; its content is
            verified like any other.
        partial: Folder on the same file system that keeps files that were cut, so that
            the next call resumes them; None = they start again.
        clock: This machine's clock.
        rate: Smallest rate; None = the usual one.

    Raises:
        NotEnrolledError: The slot trusts no keys yet.
        ReleaseRefusedError: The release is not what the trusted keys have signed.
        SourceUnavailableError: It could not be read to the end.
        OSError: The slot cannot be written.
    """
    enrolment = require_enrolment(slot, f"local:{slot.root}")
    source = FolderSource(release) if isinstance(release, Path) else release
    receiver = FileReceiver(source, known_file, partial, rate)
    with _logged_refusals():
        accepted = _accept(TrustFolder.of(slot), enrolment, source, clock(), rate)
        files = _files_of(accepted, package_sha256, source.name)
    return ListedPackage(package_sha256, files, accepted, receiver)


@contextmanager
def _logged_refusals() -> Iterator[None]:
    try:
        yield
    except ReleaseRefusedError as exc:
        logger.warning("release_refused refusal=%s why=%s", exc.refusal, exc.why)
        raise


def _remove(into: Path) -> None:
    """Remove the folder, also one that an interrupted call has left."""
    if into.is_symlink():
        into.unlink()
    else:
        shutil.rmtree(into, ignore_errors=True)


def _accept(
    trust: TrustFolder,
    enrolment: Enrolment,
    source: ReleaseSource,
    now: datetime,
    rate: RateLimit | None,
) -> Accepted:
    """Verify the metadata of a release."""
    with trust.locked():
        return TrustClient(trust, enrolment, now, rate).accept(source)


def _files_of(accepted: Accepted, sha256: str, release: str) -> tuple[SignedFile, ...]:
    """Return the signed files of a package."""
    prefix = f"{sha256}/"
    found = {
        path.removeprefix(prefix): target
        for path, target in accepted.targets.items()
        if path.startswith(prefix)
    }
    if not found:
        raise ReleaseRefusedError(
            Refusal.UNLISTED,
            release,
            why=f"The package {sha256[:12]}… is not among those that are signed.",
        )
    _refuse_hostile_names(list(found), release)
    return tuple(_signed_file(*each, release) for each in found.items())


def _signed_file(name: str, target: TargetFile, release: str) -> SignedFile:
    sha256 = target.hashes.get("sha256", "")
    if not DIGEST.fullmatch(sha256):  # it becomes a file name
        raise ReleaseRefusedError(
            Refusal.UNSIGNED, release, why=f"{name} is listed without a SHA-256."
        )
    return SignedFile(name, target.length, sha256)


def _refuse_hostile_names(names: list[str], release: str) -> None:
    """Refuse names that leave the folder, or that a file system takes for one another.

    Source:
        CWE-22, CWE-178.
    """
    why = (
        f"it lists {counted(len(names), 'file')}" if len(names) > FILES_MAX + 2 else ""
    )
    taken: dict[str, str] = {}
    for name in names:
        why = why or _why_hostile(name)
        if (twin := taken.setdefault(name.casefold(), name)) != name:
            why = why or f"{name!r} and {twin!r} differ by their case alone"
    for name in names:
        for parent in PurePosixPath(name).parents:
            if parent.as_posix().casefold() in taken:
                why = why or f"{str(parent)!r} is a file and a folder"
    if why:
        raise ReleaseRefusedError(Refusal.HOSTILE_NAME, release, why=f"{why}.")


def _why_hostile(name: str) -> str:
    try:
        stays_inside(name)
    except ValueError as exc:
        return str(exc)
    return "" if PurePosixPath(name).as_posix() == name else f"{name!r} is ambiguous"


def _require_room(into: Path, files: Sequence[SignedFile]) -> None:
    size_bytes = sum(file.size_bytes for file in files)
    why = ""
    if size_bytes > PACKAGE_MAX_BYTES:
        why = f"the limit is {PACKAGE_MAX_BYTES >> 30} GiB"
    try:
        require_free(into, size_bytes)
    except OSError as exc:
        why = why or exc.strerror or str(exc)
    if why:
        raise InstallError(
            f"{into}: no room for this package.",
            why=f"It has {counted(len(files), 'file')} with {size_bytes >> 20} MiB: "
            f"{why}.",
            fix="Free space on that disk and try again.",
        )


def _refuse_other_package(
    accepted: Accepted, package: Package, files: Sequence[SignedFile], release: str
) -> None:
    """Refuse a package that is not what its entries in the signed list state."""
    surplus = {file.name for file in files} - set(digests_of_files(package))
    if surplus:
        raise ReleaseRefusedError(
            Refusal.EXTRANEOUS,
            release,
            why=f"{', '.join(sorted(surplus)[:3])} is signed, and the package does not "
            "name it.",
        )
    manifest = package.manifest
    stated = {"name": manifest.name, "build": manifest.build}
    for file in files:
        target = accepted.targets[f"{package.sha256}/{file.name}"]
        custom = target.unrecognized_fields.get(CUSTOM)
        if not isinstance(custom, dict) or any(
            custom.get(key) != value for key, value in stated.items()
        ):
            raise ReleaseRefusedError(
                Refusal.MIXED,
                release,
                why=f"{file.name} is signed for {custom}, and the package is {stated}.",
            )
