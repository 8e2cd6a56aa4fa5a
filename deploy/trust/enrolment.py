"""What a slot trusts: the root that was pinned, and all that was accepted since.

::

    SLOT/trust/
        enrolled.json           which root was pinned, and when
        metadata-<fingerprint>/ root_history/<n>.root.json, timestamp.json,
                                snapshot.json, targets.json
        .lock

The names below the metadata are those of ``tuf.ngclient``. Every file is replaced by
one rename, in the order in which the client accepts them; ``enrolled.json`` decides
which folder counts.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Root, Timestamp

from deploy.links import refuse_other_owner
from deploy.trust.clock_rule import raised_floor, reference_time
from deploy.trust.key_repository import METADATA_MAX_BYTES, parse_metadata, signed_at
from deploy.trust.refusals import NotEnrolledError
from models.errors import InstallError
from models.files import (
    fsync_folder,
    fsync_tree,
    held_lock,
    read_regular,
    write_atomically,
)
from models.seal import digest_of
from models.slot_files import SlotFolder
from models.strict_json import parse_json

logger = logging.getLogger(__name__)

ENROLLED_MAX_BYTES = 64 << 10
SHOWN = 16  # hexadecimal digits of a fingerprint in a sentence
STAGING, METADATA = ".staging-", "metadata-"


class Enrolment(BaseModel):
    """``enrolled.json``: whom a slot trusts."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: int = 1
    fingerprint: str = Field(
        pattern="^[0-9a-f]{64}$", description="SHA-256 of the root that was pinned."
    )
    root_version: int = Field(ge=1, description="Version of the root that was pinned.")
    at: AwareDatetime = Field(description="When, by this machine's clock.")
    floor: AwareDatetime = Field(
        description="Newest time that was proven then; metadata proves newer ones."
    )


class EnrollOutcome(StrEnum):
    """How an enrolment ended."""

    ENROLLED = "enrolled"
    ALREADY_ENROLLED = "already-enrolled"
    REPLACED = "replaced"


class EnrollReport(BaseModel):
    """Result of ``enroll``."""

    model_config = ConfigDict(frozen=True)

    target: str
    fingerprint: str
    root_version: int
    expires: AwareDatetime
    outcome: EnrollOutcome
    before: str = Field(default="", description="Fingerprint that was replaced.")


@dataclass(frozen=True, slots=True)
class TrustFolder:
    """Paths of the trust of one slot."""

    root: Path

    @classmethod
    def of(cls, slot: SlotFolder) -> Self:
        """Return the trust folder of a slot, which need not exist yet."""
        return cls(slot.root / "trust")

    @property
    def enrolled(self) -> Path:
        """``enrolled.json``."""
        return self.root / "enrolled.json"

    def metadata(self, fingerprint: str) -> Path:
        """Return the folder of what was accepted since a root was pinned."""
        return self.root / f"{METADATA}{fingerprint[:SHOWN]}"

    def root_file(self, fingerprint: str, version: int) -> Path:
        """Return the place of one root."""
        history = self.metadata(fingerprint) / "root_history"
        return history / f"{version}.root.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the trust; it ends with the process.

        Raises:
            InstallError: Another process holds it.
            OSError: The folder cannot be written.
        """
        busy = InstallError(
            f"{self.root}: busy.",
            why="Another command verifies a release for this line PC.",
            fix="Wait until it has ended, then try again.",
        )
        with held_lock(self.root / ".lock", busy):
            self._clean()
            yield

    def remove_others(self, fingerprint: str) -> None:
        """Remove the metadata of roots that are no longer pinned.

        Raises:
            OSError: The folder cannot be written.
        """
        for left in self.root.glob(f"{METADATA}*"):
            if left != self.metadata(fingerprint):
                shutil.rmtree(left)

    def _clean(self) -> None:
        """Remove the leftovers of interrupted commands."""
        for left in self.root.glob(f"{STAGING}*"):
            shutil.rmtree(left)
        for left in self.root.rglob(".*.tmp"):
            left.unlink()

    def enrolment(self) -> Enrolment | None:
        """Return the enrolment; None where the slot trusts no keys yet.

        Raises:
            NotEnrolledError: The file is damaged.
        """
        try:
            document = parse_json(read_regular(self.enrolled, ENROLLED_MAX_BYTES))
            return Enrolment.model_validate(document)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            raise _damaged(self.enrolled, str(exc)) from exc

    def pinned_root(self, enrolment: Enrolment) -> bytes:
        """Return the root that was pinned.

        Raises:
            NotEnrolledError: It is missing, or not that one.
        """
        path = self.root_file(enrolment.fingerprint, enrolment.root_version)
        try:
            content = read_regular(path, METADATA_MAX_BYTES)
        except OSError as exc:
            raise _damaged(path, exc.strerror or str(exc)) from exc
        if digest_of(content) != enrolment.fingerprint:
            raise _damaged(path, "Its fingerprint is not the one in enrolled.json.")
        return content

    def floor(self, enrolment: Enrolment) -> datetime:
        """Return the newest time that is proven to this slot.

        Raises:
            NotEnrolledError: The pinned root is missing or damaged.
        """
        content, version = self.pinned_root(enrolment), enrolment.root_version
        root = parse_metadata(content, Root).signed
        # A later root that is damaged is fetched again with the next release.
        with suppress(OSError, ValueError):
            while True:
                version += 1
                path = self.root_file(enrolment.fingerprint, version)
                content = read_regular(path, METADATA_MAX_BYTES)
                root = parse_metadata(content, Root).signed
        return proven_floor(root, self.metadata(enrolment.fingerprint))

    def write(self, enrolment: Enrolment) -> None:
        """Replace ``enrolled.json``.

        Raises:
            OSError: It cannot be written.
        """
        content = enrolment.model_dump_json(indent=2).encode() + b"\n"
        write_atomically(self.enrolled, content)


def proven_floor(root: Root, metadata: Path) -> datetime:
    """Return the newest time that a root and the accepted timestamp prove.

    Args:
        root: The root in force.
        metadata: Folder with ``timestamp.json``; it counts only where the root's key
            has signed it.
    """
    times = [signed_at(root)]
    try:
        content = read_regular(metadata / "timestamp.json", METADATA_MAX_BYTES)
        timestamp = parse_metadata(content, Timestamp)
        root.verify_delegate(
            Timestamp.type, timestamp.signed_bytes, timestamp.signatures
        )
        times.append(signed_at(timestamp.signed))
    except (OSError, ValueError, RepositoryError) as exc:
        logger.debug("no_trusted_timestamp why=%s", exc)
    return raised_floor(*times)


def enrolment_of(slot: SlotFolder) -> Enrolment | None:
    """Return whom a slot trusts; None where it is not enrolled.

    Raises:
        NotEnrolledError: The file is damaged.
    """
    return TrustFolder.of(slot).enrolment()


def require_enrolment(slot: SlotFolder, target_name: str) -> Enrolment:
    """Return whom a slot trusts.

    Args:
        target_name: As the operator writes it, for the command in the message.

    Raises:
        NotEnrolledError: It is not enrolled.
    """
    enrolment = enrolment_of(slot)
    if enrolment is None:
        raise NotEnrolledError(
            f"{target_name}: not enrolled.",
            why="This line PC trusts no keys yet, so it takes no package.",
            fix=f"graftline enroll {target_name} --keys DIR",
        )
    return enrolment


def trusted_now(slot: SlotFolder, clock: datetime | None = None) -> datetime:
    """Return the time by the rule of ``deploy.trust.clock_rule``.

    Args:
        clock: None = that of this machine.

    Raises:
        NotEnrolledError: The enrolment is damaged.
    """
    enrolment = enrolment_of(slot)
    trust = TrustFolder.of(slot)
    floor = trust.floor(enrolment) if enrolment else raised_floor(None)
    return reference_time(clock or datetime.now(UTC), floor)


def enroll_slot(
    slot: SlotFolder,
    roots: bytes,
    *,
    target_name: str,
    replace: bool = False,
    fingerprint: str = "",
) -> EnrollReport:
    """Pin a root: from now on the slot takes packages of these keys only.

    Args:
        roots: What ``root_to_carry`` returns, or a single ``<n>.root.json``.
        target_name: As the operator writes it.
        replace: Whether keys that are trusted now may be replaced by foreign ones.
            What the slot has accepted from them is forgotten.
        fingerprint: Start of the SHA-256 that the root must have; empty = any.

    Raises:
        InstallError: The root is not valid, or the slot trusts other keys.
        OSError: The slot cannot be written.
    """
    chain = read_roots(roots)
    newest, digest = chain[-1], digest_of(chain[-1].content)
    if fingerprint and not digest.startswith(fingerprint.lower()):
        raise InstallError(
            f"{target_name}: the root has another fingerprint.",
            why=f"Got {digest}, expected {fingerprint}.",
            fix="Compare with `graftline keys show` on the workstation: the file may "
            "have been replaced on its way.",
        )
    report = EnrollReport(
        target=target_name,
        fingerprint=digest,
        root_version=newest.root.version,
        expires=newest.root.expires,
        outcome=EnrollOutcome.ENROLLED,
    )
    slot.root.mkdir(parents=True, exist_ok=True)
    refuse_other_owner(slot.root)
    trust = TrustFolder.of(slot)
    trust.root.mkdir(exist_ok=True)
    with trust.locked():
        before = _read_for_change(trust, replace=replace)
        if before and _is_same_chain(trust, before, chain):
            update = {
                "outcome": EnrollOutcome.ALREADY_ENROLLED,
                "fingerprint": before.fingerprint,
                "root_version": before.root_version,
            }
            return report.model_copy(update=update)
        if before and not replace:
            raise _other_keys(target_name, before, digest)
        _pin(trust, newest)
        if before:
            update = {
                "outcome": EnrollOutcome.REPLACED,
                "before": before.fingerprint,
            }
            report = report.model_copy(update=update)
        return report


@dataclass(frozen=True, slots=True)
class RootFile:
    """One root as it is stored, and what it states."""

    content: bytes
    root: Root


def read_roots(content: bytes) -> list[RootFile]:
    """Return the roots of a file that a line PC is enrolled with, the newest last.

    Raises:
        InstallError: It holds something else, or a root that its keys did not sign.
    """
    try:
        document = parse_json(content)
        texts = document.get("roots") if isinstance(document, dict) else None
        parts = [content]
        if isinstance(texts, list) and texts:
            parts = [str(text).encode() for text in texts]
        return [_checked_root(part) for part in parts]
    except (ValueError, RepositoryError) as exc:
        raise InstallError(
            "the root cannot be used.",
            why=f"{exc}.",
            fix="Give the file that `graftline keys show --root FILE` wrote, or a "
            "release's metadata/<n>.root.json.",
        ) from exc


def _checked_root(content: bytes) -> RootFile:
    """Return a root whose own keys have signed it."""
    metadata = parse_metadata(content, Root)
    metadata.signed.verify_delegate(
        Root.type, metadata.signed_bytes, metadata.signatures
    )
    return RootFile(content, metadata.signed)


def _read_for_change(trust: TrustFolder, *, replace: bool) -> Enrolment | None:
    try:
        enrolment = trust.enrolment()
        if enrolment:
            trust.pinned_root(enrolment)
    except NotEnrolledError:
        if not replace:
            raise
        return None
    return enrolment


def _is_same_chain(
    trust: TrustFolder, before: Enrolment, chain: list[RootFile]
) -> bool:
    """Return whether one of the roots is one that the slot has accepted."""
    for each in chain:
        path = trust.root_file(before.fingerprint, each.root.version)
        try:
            if read_regular(path, METADATA_MAX_BYTES) == each.content:
                return True
        except OSError:
            continue
    return False


def _pin(trust: TrustFolder, newest: RootFile) -> None:
    """Write the root, then ``enrolled.json``, then remove what counted before."""
    fingerprint = digest_of(newest.content)
    path = trust.root_file(fingerprint, newest.root.version)
    shutil.rmtree(trust.metadata(fingerprint), ignore_errors=True)
    path.parent.mkdir(parents=True)
    write_atomically(path, newest.content)
    fsync_tree(trust.root)
    enrolment = Enrolment(
        fingerprint=fingerprint,
        root_version=newest.root.version,
        at=datetime.now(UTC),
        floor=raised_floor(signed_at(newest.root)),
    )
    trust.write(enrolment)
    fsync_folder(trust.root.parent)
    trust.remove_others(fingerprint)


def _other_keys(target: str, before: Enrolment, digest: str) -> InstallError:
    return InstallError(
        f"{target}: enrolled by other keys.",
        why=f"It trusts {before.fingerprint[:SHOWN]}… since {before.at:%Y-%m-%d}, and "
        f"these keys are {digest[:SHOWN]}….",
        fix="Use the keys that it was enrolled with; to trust these from now on, and "
        "no longer those, add --replace.",
    )


def _damaged(path: Path, why: str) -> NotEnrolledError:
    return NotEnrolledError(
        f"{path}: cannot be used.",
        why=why,
        fix="Enroll this line PC again, with --replace.",
    )
