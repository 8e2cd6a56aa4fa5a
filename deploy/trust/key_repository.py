"""What the keys have signed: the metadata of The Update Framework (TUF).

::

    KEYS/repository/
        1.root.json, 2.root.json ...     every root; the newest one is in force
        <v>.targets.json                 packages that may be installed
        <v>.snapshot.json                version of the above
        timestamp.json                   version of the snapshot; written last
        .lock

Roots count from 1, as TUF asks. The other versions are the UTC second of signing, or
one more than the last: they rise even where an old copy of the folder is used. A line
PC refuses what is older than what it has accepted.

Each signing run writes new files, then ``timestamp.json`` by one rename: after a kill
at any step the old state counts, and the same command again makes the new one.

Source:
    TUF specification 1.0.34, sections 4 and 6, with python-tuf.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from deploy.trust.clock_rule import SOFTWARE_DATE
from deploy.trust.private_keys import KeyFiles
from models.counted import counted
from models.errors import ConfigError
from models.files import held_lock, read_regular, write_atomically
from models.seal import digest_of

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = Root.type, Targets.type, "snapshot", "timestamp"
ROLES = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
METADATA_MAX_BYTES = 5_000_000  # as tuf.ngclient accepts
# Metadata of a year's age stops new installs: a PC that was cut off does not take what
# may have been revoked since. A root's expiry would stop all, so it has ten.
LIFETIME = timedelta(days=365)
ROOT_LIFETIME = timedelta(days=3650)
RENEW_AFTER = timedelta(days=1)  # the same package is not signed again before
KEPT_PACKAGES = 32
SIGNED_AT = "x-graftline-signed-at"
CUSTOM = "custom"  # of a target, see the specification

AnySigned = TypeVar("AnySigned", Root, Targets, Snapshot, Timestamp)


@dataclass(frozen=True, slots=True)
class SignedPackage:
    """A package that the targets metadata lists."""

    sha256: str
    name: str
    build: int
    signed_at: datetime


@dataclass(slots=True)
class KeyRepository:
    """The metadata in a keys folder, and the keys that sign it.

    Attributes:
        folder: The keys folder.
        keys: Private keys, there and on sticks.
        clock: This machine's clock.
    """

    folder: Path
    keys: KeyFiles
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def metadata(self) -> Path:
        """Folder of the metadata."""
        return self.folder / "repository"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder; it ends with the process.

        Raises:
            ConfigError: Another process signs.
            OSError: The folder cannot be written.
        """
        busy = ConfigError(
            f"{self.folder}: busy.",
            why="Another command signs with these keys.",
            fix="Wait until it has ended, then try again.",
        )
        with held_lock(self.metadata / ".lock", busy):
            yield

    def roots(self) -> list[Metadata[Root]]:
        """Return all roots, the first one first.

        Raises:
            ConfigError: None is there, or one is damaged.
        """
        found: list[Metadata[Root]] = []
        while (path := self._root_path(len(found) + 1)).exists():
            found.append(self._read(path, Root))
        if not found:
            raise ConfigError(
                f"{self.folder}: not a keys folder.",
                why=f"There is no {self._root_path(1)}.",
                fix="Make keys with `graftline keys init --out DIR`, or give the "
                "folder that it made with --keys.",
            )
        return found

    def fingerprint(self) -> str:
        """Return the SHA-256 of the newest root: what people compare.

        Raises:
            ConfigError: There is no root.
        """
        return digest_of(self.root_bytes(len(self.roots())))

    def root_bytes(self, version: int) -> bytes:
        """Return one root as it is stored.

        Raises:
            OSError: It cannot be read.
        """
        return read_regular(self._root_path(version), METADATA_MAX_BYTES)

    def timestamp(self) -> Metadata[Timestamp] | None:
        """Return the timestamp in force; None before anything was signed."""
        path = self.metadata / "timestamp.json"
        return self._read(path, Timestamp) if path.exists() else None

    def current_timestamp(self) -> Metadata[Timestamp]:
        """Return the timestamp in force.

        Raises:
            ConfigError: There is none, or it is damaged.
        """
        return self._read(self.metadata / "timestamp.json", Timestamp)

    def targets(self) -> Metadata[Targets] | None:
        """Return the targets in force; None before anything was signed."""
        files = self.current_files()
        return self._read(files[0], Targets) if files else None

    def current_files(self) -> list[Path]:
        """Return the targets and snapshot files that the timestamp names.

        Returns:
            Empty before anything was signed.

        Raises:
            ConfigError: A file is damaged.
        """
        timestamp = self.timestamp()
        if timestamp is None:
            return []
        version = timestamp.signed.snapshot_meta.version
        snapshot = self.metadata / f"{version}.snapshot.json"
        listed = self._read(snapshot, Snapshot).signed.meta["targets.json"]
        return [self.metadata / f"{listed.version}.targets.json", snapshot]

    def packages(self) -> list[SignedPackage]:
        """Return the packages that are listed, the last signed one first.

        Raises:
            ConfigError: The metadata is damaged.
        """
        targets = self.targets()
        return listed_packages(targets.signed.targets) if targets else []

    def expiries(self) -> dict[str, datetime]:
        """Return when what the online roles have signed expires.

        Raises:
            ConfigError: The metadata is damaged.
        """
        timestamp, files = self.timestamp(), self.current_files()
        if timestamp is None:
            return {}
        targets, snapshot = files
        return {
            TARGETS: self._read(targets, Targets).signed.expires,
            SNAPSHOT: self._read(snapshot, Snapshot).signed.expires,
            TIMESTAMP: timestamp.signed.expires,
        }

    def roles_in_folder(self) -> list[str]:
        """Return the roles whose private keys are in the keys folder itself."""
        return [role for role in ROLES if any(self.folder.glob(f"{role}-*.pem"))]

    def key_ids(self, starts: Sequence[str]) -> set[str]:
        """Return the ids of keys, of this root or an earlier one, by their start.

        Raises:
            ConfigError: A start names no key, or several.
        """
        known = {key_id for root in self.roots() for key_id in root.signed.keys}
        found = set()
        for start in starts:
            fits = [key_id for key_id in known if key_id.startswith(start.lower())]
            if len(fits) != 1 or not start:
                raise ConfigError(
                    f"{start!r} names {counted(len(fits), 'key')}, expected one.",
                    why="Keys are named by the start of their id.",
                    fix=f"See `graftline keys show --keys {self.folder}`.",
                )
            found.update(fits)
        return found

    def signing_time(self) -> datetime:
        """Return the time of the next signature: now, and never less than before.

        A clock that goes back must not make metadata that a line PC finds expired: it
        compares with the newest signature that it has seen.
        """
        timestamp = self.timestamp()
        before = signed_at(timestamp.signed) if timestamp else None
        now = self.clock().replace(microsecond=0)
        return max(now, before or SOFTWARE_DATE, SOFTWARE_DATE)

    def trusted_targets(self) -> dict[str, TargetFile]:
        """Return the listed files, if the newest root's key has signed the list.

        Returns:
            Empty where an earlier key signed: a change of keys was interrupted, and
            that key may have been revoked.
        """
        targets = self.targets()
        is_valid = targets and _is_signed(self.roots()[-1].signed, TARGETS, targets)
        return targets.signed.targets if targets and is_valid else {}

    def is_signed(self) -> bool:
        """Return whether all metadata is signed by the keys of the newest root."""
        timestamp, files = self.timestamp(), self.current_files()
        if timestamp is None:
            return False
        root = self.roots()[-1].signed
        targets, snapshot = files
        return (
            _is_signed(root, TIMESTAMP, timestamp)
            and _is_signed(root, TARGETS, self._read(targets, Targets))
            and _is_signed(root, SNAPSHOT, self._read(snapshot, Snapshot))
        )

    def is_recent(self) -> bool:
        """Return whether the last signature is so new that none is needed."""
        timestamp = self.timestamp()
        before = signed_at(timestamp.signed) if timestamp else None
        return before is not None and self.signing_time() - before < RENEW_AFTER

    def publish(self, targets: dict[str, TargetFile]) -> None:
        """Sign a list of targets, and all that leads to it.

        Raises:
            ConfigError: A private key is missing or cannot be opened.
            OSError: The folder cannot be written.
        """
        at = self.signing_time()
        before = self.timestamp()
        last = max(
            [before.signed.version if before else 0]
            + [int(path.name.partition(".")[0]) for path in self.current_files()]
        )
        version = max(last + 1, int(at.timestamp()))
        root = self.roots()[-1].signed
        if at > root.expires:
            raise _expired_root(self.folder, at, root)
        expires, fields = at + LIFETIME, {SIGNED_AT: at.isoformat()}
        new = Targets(version, None, expires, targets, unrecognized_fields=fields)
        content = self._signed(Metadata(new), root, TARGETS)
        if len(content) > METADATA_MAX_BYTES:
            raise _too_long(self.folder, len(targets))
        self._write(f"{version}.targets.json", content)
        meta = {"targets.json": _meta_of(version, content)}
        listing = Snapshot(version, None, expires, meta, fields)
        content = self._signed(Metadata(listing), root, SNAPSHOT)
        self._write(f"{version}.snapshot.json", content)
        meta_file = _meta_of(version, content)
        timestamp = Timestamp(version, None, expires, meta_file, fields)
        content = self._signed(Metadata(timestamp), root, TIMESTAMP)
        self._write("timestamp.json", content)
        self.remove_unused()

    def publish_root(self, root: Root) -> None:
        """Sign a root by its own keys and by those of the root before, and write it.

        Raises:
            ConfigError: Private keys are missing.
            OSError: The folder cannot be written.
        """
        root.unrecognized_fields[SIGNED_AT] = self.signing_time().isoformat()
        metadata = Metadata(root)
        signers = [root]
        if root.version > 1:
            signers.insert(0, self.roots()[-1].signed)
        for signer in signers:
            self._sign(metadata, signer, ROOT)
        self._write(f"{root.version}.root.json", metadata.to_bytes())

    def remove_unused(self) -> None:
        """Remove metadata of earlier or interrupted runs; roots are kept."""
        used = {path.name for path in self.current_files()}
        for role in (TARGETS, SNAPSHOT):
            for path in self.metadata.glob(f"*.{role}.json"):
                if path.name not in used:
                    path.unlink()
        for path in self.metadata.glob(".*.tmp"):
            path.unlink()

    def _signed(self, metadata: Metadata[AnySigned], root: Root, role: str) -> bytes:
        self._sign(metadata, root, role)
        return metadata.to_bytes()

    def _sign(self, metadata: Metadata[AnySigned], root: Root, role: str) -> None:
        """Add the signatures of a role, as many as the root asks for."""
        wanted = root.roles[role]
        signers = list(self._signers(wanted.keyids, wanted.threshold))
        if len(signers) < wanted.threshold:
            raise _too_few_keys(self, role, wanted.keyids, len(signers), root)
        for signer in signers:
            metadata.sign(signer, append=True)

    def _signers(self, key_ids: Iterable[str], count: int) -> Iterator[CryptoSigner]:
        for key_id in key_ids:
            if count and (signer := self.keys.signer(key_id)):
                count -= 1
                yield signer

    def _root_path(self, version: int) -> Path:
        return self.metadata / f"{version}.root.json"

    def _read(self, path: Path, layout: type[AnySigned]) -> Metadata[AnySigned]:
        try:
            return parse_metadata(read_regular(path, METADATA_MAX_BYTES), layout)
        except (OSError, ValueError) as exc:
            raise ConfigError(
                f"{path}: cannot be read.",
                why=f"{exc}.",
                fix="Take the keys folder from your backup; see "
                "docs/how-to/lost-keys.md.",
            ) from exc

    def _write(self, name: str, content: bytes) -> None:
        write_atomically(self.metadata / name, content)


def parse_metadata(content: bytes, layout: type[AnySigned]) -> Metadata[AnySigned]:
    """Return metadata of one role.

    Raises:
        ValueError: It is not valid, or of another role. Signatures are not verified.
    """
    try:
        found: Metadata[AnySigned] = Metadata.from_bytes(content)
    except DeserializationError as exc:
        raise ValueError(f"{exc}: {exc.__cause__}") from exc
    if not isinstance(found.signed, layout):
        raise ValueError(f"it holds no {layout.type}")  # noqa: TRY004 (of a file)
    return found


def _is_signed(root: Root, role: str, metadata: Metadata[AnySigned]) -> bool:
    try:
        root.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except RepositoryError:
        return False
    return True


def signed_at(signed: Root | Targets | Snapshot | Timestamp) -> datetime | None:
    """Return when metadata was signed; None where it does not state it."""
    text = signed.unrecognized_fields.get(SIGNED_AT)
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return time if time and time.tzinfo else None


def listed_packages(targets: dict[str, TargetFile]) -> list[SignedPackage]:
    """Return the packages that a list of targets holds, the last signed one first."""
    found = {}
    for path, target in targets.items():
        custom = target.unrecognized_fields.get(CUSTOM)
        if isinstance(custom, dict):
            sha256 = path.partition("/")[0]
            found[sha256] = SignedPackage(
                sha256=sha256,
                name=str(custom.get("name")),
                build=int(custom.get("build", 0)),
                signed_at=datetime.fromisoformat(str(custom.get("signed_at"))),
            )
    return sorted(found.values(), key=lambda each: each.signed_at, reverse=True)


def _meta_of(version: int, content: bytes) -> MetaFile:
    return MetaFile(version, len(content), {"sha256": digest_of(content)})


def _expired_root(folder: Path, at: datetime, root: Root) -> ConfigError:
    """Return the refusal to sign what each line PC would find expired."""
    return ConfigError(
        f"{folder}: the root expired on {root.expires:%Y-%m-%d}.",
        why=f"This machine's clock shows {at:%Y-%m-%d}; a signature of that time would "
        "make line PCs take every later one for expired.",
        fix="Set the clock; if it is right: graftline keys rotate --role root",
    )


def _too_long(folder: Path, files: int) -> ConfigError:
    return ConfigError(
        f"{folder}: the list of signed files is too long.",
        why=f"It has {counted(files, 'file')}; line PCs read "
        f"{METADATA_MAX_BYTES // 10**6} MB.",
        fix="Sign packages with fewer files.",
    )


def _too_few_keys(
    repository: KeyRepository, role: str, key_ids: list[str], found: int, root: Root
) -> ConfigError:
    threshold = root.roles[role].threshold
    folders = ", ".join(map(str, repository.keys.folders))
    names = ", ".join(f"{role}-{key_id[:16]}.pem" for key_id in key_ids)
    return ConfigError(
        f"{repository.folder}: {counted(threshold, 'key')} of {role} must sign, "
        f"and {found} can be read.",
        why=f"Any {threshold} of {names} are needed; searched in {folders}.",
        fix="Give the folder or stick of the offline keys with --offline DIR; for "
        "lost ones see docs/how-to/lost-keys.md.",
    )
