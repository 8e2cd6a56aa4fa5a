"""Gives the refusal of a release its name, from what python-tuf has raised.

Nothing here accepts anything: the file was refused before, and is examined again only
to state why.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    SlowRetrievalError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, Root
from tuf.api.serialization import DeserializationError

from deploy.trust.refusals import Refusal, ReleaseRefusedError, SourceUnavailableError
from deploy.trust.sources import ReleaseSource
from models.errors import InstallError


@dataclass(frozen=True, slots=True)
class FailedStep:
    """The metadata file that was read last.

    Attributes:
        path: Below the release; empty = none was read.
        max_bytes: Its signed length, or the most that is read.
        content: Empty where it could not be read.
    """

    path: str = ""
    max_bytes: int = 0
    content: bytes = b""

    @property
    def role(self) -> str:
        """``root``, ``timestamp``, ``snapshot`` or ``targets``."""
        parts = self.path.rpartition("/")[2].split(".")
        return parts[-2] if len(parts) > 1 else ""


def named_refusal(
    error: RepositoryError | DownloadError,
    step: FailedStep,
    release: ReleaseSource,
    root: Root,
    earlier: Sequence[Root],
    now: datetime,
) -> InstallError:
    """Return the error that names why a release was refused.

    Args:
        error: What python-tuf has raised.
        step: The file that it had read last.
        root: The root in force.
        earlier: Roots that the slot has accepted, that one included.
        now: Time that expiries were compared with.
    """
    match error:
        case SlowRetrievalError():
            name, why = Refusal.SLOW, f"{error}."
        case DownloadLengthMismatchError():
            name, why = Refusal.ENDLESS, f"{error}."
        case DownloadHTTPError():
            name, why = _missing(step, release, root)
        case DownloadError():
            return SourceUnavailableError(
                f"{release.name}: cannot be read.",
                why=f"{step.path}: {error}",
                fix="Try again: what has arrived is kept.",
            )
        case ExpiredMetadataError():
            name = Refusal.EXPIRED
            why = f"{error}, and this PC takes {now:%Y-%m-%d} for today."
        case UnsignedMetadataError():
            name, why = _unsigned(step, root, earlier)
        case BadVersionNumberError() if step.role in {"timestamp", "snapshot"}:
            name, why = Refusal.OLDER, f"{error}: this PC has accepted a newer release."
        case LengthOrHashMismatchError():
            name, why = _other_content(step, root)
        case DeserializationError():
            name, why = _not_readable(step)
        case _:
            name, why = Refusal.MIXED, f"{step.path}: {error}."
    return ReleaseRefusedError(name, release.name, why=why)


def _missing(
    step: FailedStep, release: ReleaseSource, root: Root
) -> tuple[Refusal, str]:
    """Name a file that is not there: the release is unsigned, or incomplete."""
    try:
        next(iter(release.read(f"metadata/{root.version}.root.json")), b"")
    except OSError:
        if step.role == "timestamp":
            return Refusal.UNSIGNED, "It has no metadata that a key has signed."
    return Refusal.INCOMPLETE, f"{step.path} is missing."


def _unsigned(
    step: FailedStep, root: Root, earlier: Sequence[Root]
) -> tuple[Refusal, str]:
    """Name what is wrong with the signatures of a file."""
    signers = _signers(step.content)
    if not signers:
        return Refusal.UNSIGNED, f"{step.path} has no signature."
    role = root.roles.get(step.role)
    trusted = signers & set(role.keyids if role else ())
    if role and trusted:
        needed = f"{len(trusted)} of {role.threshold} needed keys"
        if len(trusted) < role.threshold:
            return Refusal.UNSIGNED, f"{step.path} is signed by {needed}."
        return Refusal.TAMPERED, f"{step.path} is not what its key has signed."
    if any(signers & set(each.keys) for each in earlier):
        return Refusal.REVOKED_KEY, (
            f"{step.path} is signed by a key that was replaced or revoked."
        )
    return Refusal.FOREIGN_KEYS, (
        f"{step.path} is signed by keys that this PC does not trust."
    )


def _signers(content: bytes) -> set[str]:
    """Return the ids of the keys that a file names."""
    try:
        return set(Metadata.from_bytes(content).signatures)
    except DeserializationError:
        return set()


def _other_content(step: FailedStep, root: Root) -> tuple[Refusal, str]:
    """Name a snapshot or targets file that is not the one that was announced."""
    try:
        found = Metadata.from_bytes(step.content)
        root.verify_delegate(step.role, found.signed_bytes, found.signatures)
    except (RepositoryError, ValueError):
        if len(step.content) < step.max_bytes:
            return Refusal.TRUNCATED, (
                f"{step.path} has {len(step.content)} of {step.max_bytes} bytes."
            )
        return Refusal.TAMPERED, f"{step.path} was changed after signing."
    return Refusal.MIXED, f"{step.path} belongs to another release."


def _not_readable(step: FailedStep) -> tuple[Refusal, str]:
    """Name a file that is not metadata."""
    try:
        json.loads(step.content)
    except ValueError as exc:
        at_end = isinstance(exc, json.JSONDecodeError) and exc.pos >= len(
            step.content.rstrip()
        )
        if not step.content or at_end or "Unterminated" in str(exc):
            return (
                Refusal.TRUNCATED,
                f"{step.path} ends too early.",
            )
    except RecursionError:
        return Refusal.TAMPERED, f"{step.path} is nested too deep."
    return Refusal.TAMPERED, f"{step.path} is not metadata that a key has signed."
