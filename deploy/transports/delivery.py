"""What is brought to line PCs: one signed release, and the package in it."""

import getpass
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from models.counted import counted
from models.inbox_files import (
    FILES_NAME,
    HINT_NAME,
    METADATA_NAME,
    REQUEST_NAME,
    FlashRequest,
)
from models.package import Package, digests_of_files

ID_RANDOM_BYTES = 6
BY_MAX_CHARS = 200


@dataclass(frozen=True, slots=True)
class FlashOptions:
    """What an operator wants of one flash.

    Attributes:
        wait: Until the package is in force or refused; False: until it is delivered.
        dry_run: Only report what would be sent.
        again: Also a package that a trial has refused before.
        trial_frames: Frames of the trial; None: the line PC's own number.
        trial_minutes: Its shortest time; None: the line PC's own.
        trial_slower: How many times as long the new model may take; None: the same.
    """

    wait: bool = True
    dry_run: bool = False
    again: bool = False
    trial_frames: int | None = None
    trial_minutes: float | None = None
    trial_slower: float | None = None


@dataclass(frozen=True, slots=True)
class SentFiles:
    """What travelled, or would travel.

    Attributes:
        count: Files.
        size_bytes: Bytes of them that the target did not have.
    """

    count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PackageDelivery:
    """A signed release with one package to put in force.

    Attributes:
        package: The package, verified.
        folder: The release.
        root: Root metadata of the keys that signed it.
    """

    package: Package
    folder: Path
    root: bytes

    def sizes(self) -> dict[str, int]:
        """Return SHA-256 and size of each file of the package.

        Raises:
            OSError: A file of the package cannot be examined.
        """
        return {
            sha256: (self.package.folder / name).stat().st_size
            for name, sha256 in digests_of_files(self.package).items()
        }

    def file(self, sha256: str) -> Path:
        """Return a file of the release."""
        return self.folder / FILES_NAME / sha256

    def entry_names(self) -> list[str]:
        """Return the files of the release that an entry of an inbox holds."""
        metadata = sorted((self.folder / METADATA_NAME).glob("*.json"))
        names = [f"{METADATA_NAME}/{path.name}" for path in metadata]
        hint = [HINT_NAME] if (self.folder / HINT_NAME).is_file() else []
        return [*names, *hint]

    def request(self, options: FlashOptions) -> FlashRequest:
        """Return a new request for the package."""
        random = secrets.token_hex(ID_RANDOM_BYTES)
        return FlashRequest(
            id=f"{self.package.sha256[:16]}-{random}",
            package_sha256=self.package.sha256,
            at=datetime.now(UTC),
            by=_sender(),
            again=options.again,
            trial_frames=options.trial_frames,
            trial_minutes=options.trial_minutes,
            trial_slower=options.trial_slower,
        )


def describe_amount(amount: SentFiles) -> str:
    """Return an amount for a person."""
    mebibytes = amount.size_bytes / (1 << 20)
    return f"{counted(amount.count, 'file')}, {mebibytes:.1f} MiB"


def request_file(request: FlashRequest) -> tuple[str, bytes]:
    """Return name and content of the file of a request."""
    content = request.model_dump_json(exclude_none=True, indent=1).encode()
    return REQUEST_NAME, content + b"\n"


def _sender() -> str:
    """Return ``user@host`` of this process, for people."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:BY_MAX_CHARS]
