"""A release in memory, which an attacker changes as he likes, and who receives it."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import MetaFile, TargetFile

from deploy.trust.enrolment import enroll_slot
from deploy.trust.key_changes import NewKeys, make_keys
from deploy.trust.key_folder import open_keys
from deploy.trust.key_repository import KeyRepository
from deploy.trust.refusals import Refusal, ReleaseRefusedError
from deploy.trust.release import root_to_carry, write_release
from deploy.trust.sources import RateLimit, ReleaseSource
from deploy.trust.verification import receive_package
from models.package import Package
from models.slot_files import SlotFolder

CHUNK_BYTES = 4096


@dataclass
class MemoryRelease:
    """A source whose files are bytes.

    Args:
        files: Path below the release to content.
        name: As messages show it.
    """

    files: dict[str, bytes]
    name: str = "the release"
    reads: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> "MemoryRelease":
        paths = (path for path in folder.rglob("*") if path.is_file())
        return cls({p.relative_to(folder).as_posix(): p.read_bytes() for p in paths})

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        self.reads.append((path, offset))
        if path not in self.files:
            raise FileNotFoundError(2, "not there", path)
        content = self.files[path][offset:]
        for start in range(0, len(content), CHUNK_BYTES):
            yield content[start : start + CHUNK_BYTES]

    def changed(self, **files: bytes) -> "MemoryRelease":
        return replace(self, files={**self.files, **files})

    def metadata(self, role: str) -> str:
        """Return the path of the newest metadata of a role."""
        names = [name for name in self.files if name.endswith(f"{role}.json")]
        return max(names, key=lambda name: (len(name), name))


@dataclass
class Workshop:
    """Keys on a workstation with a clock of its own.

    Args:
        root: Folder for keys and releases.
    """

    root: Path
    keys: KeyRepository
    now: datetime
    releases: int = 0

    @classmethod
    def at(cls, root: Path, **options: object) -> "Workshop":
        new = NewKeys(root / "keys", secret=b"", **options)  # type: ignore[arg-type]
        shop = cls(root, make_keys(new), datetime.now(UTC))
        shop.keys.clock = lambda: shop.now
        return shop

    def stolen(self, root: Path) -> "Workshop":
        """Return a thief with a copy of the keys folder."""
        shutil.copytree(self.keys.folder, root / "keys")
        keys = open_keys(root / "keys", lambda: b"")
        thief = Workshop(root, keys, self.now)
        keys.clock = lambda: thief.now
        return thief

    def sign(self, package: Package) -> MemoryRelease:
        """Sign a package into a new release."""
        self.releases += 1
        return self.sign_into(package, f"release-{self.releases}")

    def sign_into(self, package: Package, name: str) -> MemoryRelease:
        """Sign a package into a release that there may be."""
        out = self.root / name
        write_release(package, self.keys, out)
        return MemoryRelease.of(out)

    def sign_list(self, targets: dict[str, bytes]) -> MemoryRelease:
        """Sign any names with any contents, as a thief of the keys could."""
        entries = {name: TargetFile.from_data(name, c) for name, c in targets.items()}
        release = self.publish(entries)
        for name, content in targets.items():
            release.files[f"files/{entries[name].hashes['sha256']}"] = content
        return release

    def publish(self, targets: dict[str, TargetFile]) -> MemoryRelease:
        """Return the metadata of any list of targets, without their files."""
        self.keys.publish(targets)
        return MemoryRelease(
            {
                f"metadata/{path.name}": path.read_bytes()
                for path in self.keys.metadata.glob("*.json")
            }
        )

    def publish_timestamp(self, version: int, snapshot: bytes) -> bytes:
        """Return a timestamp that names any snapshot, as a thief of its key could."""
        timestamp = self.keys.current_timestamp()
        signed = timestamp.signed
        hashes = {"sha256": hashlib.sha256(snapshot).hexdigest()}
        signed.snapshot_meta = MetaFile(version, len(snapshot), hashes)
        signed.version += 1
        (key_id,) = self.keys.roots()[-1].signed.roles["timestamp"].keyids
        signer = self.keys.keys.signer(key_id)
        assert signer is not None
        timestamp.sign(signer)
        return timestamp.to_bytes()

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)


@dataclass
class Receiver:
    """An enrolled line PC with a clock of its own.

    Args:
        root: Its slot.
    """

    root: Path
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    rate: RateLimit | None = None
    known_file: Callable[[str], Path | None] = lambda _: None
    partial: Path | None = None

    @property
    def slot(self) -> SlotFolder:
        return SlotFolder(self.root)

    def enroll(self, shop: Workshop, **options: bool) -> None:
        roots = root_to_carry(shop.keys)
        enroll_slot(self.slot, roots, target_name="local:slot", **options)

    def twin(self, name: str) -> "Receiver":
        """Return another line PC that trusts the same."""
        twin = replace(self, root=self.root.with_name(name))
        shutil.copytree(self.root / "trust", twin.root / "trust")
        return twin

    def take(self, release: ReleaseSource | Path, sha256: str) -> dict[str, bytes]:
        """Return the files of a package that was received."""
        with receive_package(
            self.slot,
            release,
            sha256,
            self.root / "incoming",
            self.known_file,
            partial=self.partial,
            clock=lambda: self.now,
            rate=self.rate,
        ) as package:
            files = package.folder.rglob("*")
            return {
                path.relative_to(package.folder).as_posix(): path.read_bytes()
                for path in files
                if path.is_file()
            }

    def refuses(self, release: ReleaseSource | Path, sha256: str) -> Refusal:
        """Return why a release is refused; nothing of it may be left behind."""
        with pytest.raises(ReleaseRefusedError) as caught:
            self.take(release, sha256)
        error = caught.value
        assert self.leftovers() == []
        assert error.why
        assert error.fix
        assert str(error.refusal) in error.what
        return error.refusal

    def leftovers(self) -> list[str]:
        """Return names in the slot that no finished command leaves."""
        kept = ("trust", "current", "store")
        return [
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.relative_to(self.root).parts[0] not in kept
            or path.name.startswith((".staging", ".enrolled"))
            or path.name.endswith(".tmp")
        ]
