"""Writes a release: a signed package as a folder that a stick or a server can hold.

::

    RELEASE/
        metadata/       <n>.root.json, <v>.targets.json, <v>.snapshot.json,
                        timestamp.json
        files/<sha256>  each file of the packages, named by its content
        package.json    hint: the package that was added last; it is not signed

Files come first and ``timestamp.json`` after all that it leads to, each by one rename:
a reader finds the old release or the new one. What no listed package needs is removed
at the end. The same command again completes what was interrupted.
"""

import hashlib
import json
import os
import re
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict
from tuf.api.metadata import TargetFile

from deploy.trust.key_repository import (
    CUSTOM,
    KEPT_PACKAGES,
    METADATA_MAX_BYTES,
    SNAPSHOT,
    TARGETS,
    KeyRepository,
    listed_packages,
    signed_at,
)
from models.errors import ConfigError, PackageError
from models.files import (
    fsync_folder,
    open_new,
    read_regular,
    regular_chunks,
    sha256_of,
    temporary_name,
    write_atomically,
)
from models.manifest import build_number
from models.package import DIGEST, Package, digests_of_files

METADATA, FILES, HINT = "metadata", "files", "package.json"
TIMESTAMP_FILE = "timestamp.json"
KEPT_FILES = 5000  # some 400 bytes each, of the 5 MB that a line PC reads
FUTURE_MAX_S = 86_400  # as deploy.installer


class SignReport(BaseModel):
    """Result of ``sign``."""

    model_config = ConfigDict(frozen=True)

    release: str
    package_sha256: str
    name: str
    build: int
    fingerprint: str
    root_version: int
    version: int
    signed_at: AwareDatetime
    expires: AwareDatetime
    files_added: int


def write_release(
    package: Package, keys: KeyRepository, out: Path, *, durable: bool = True
) -> SignReport:
    """Sign a package and write it into a release folder.

    Args:
        package: A verified package.
        keys: Keys that the line PCs trust.
        out: A new folder, an empty one, or a release of the same keys: other packages
            in it stay.
        durable: Whether the folder must survive a power cut; the state of the keys
            always does.

    Raises:
        ConfigError: Keys cannot be read, or the folder holds something else.
        PackageError: The package changed while it was copied, or is of the future.
        OSError: A folder cannot be written.
    """
    with keys.locked():
        _refuse_foreign(out, keys)
        sign_package(package, keys)
        for folder in (out, out / METADATA, out / FILES):
            folder.mkdir(parents=True, exist_ok=True)
        added = _add_files(package, out / FILES, durable=durable)
        _write_metadata(keys, out / METADATA, durable=durable)
        _write_hint(package, out, durable=durable)
        _remove_unused(keys, out)
        return _report(package, keys, out, added)


def sign_package(package: Package, keys: KeyRepository) -> None:
    """List a package in the signed metadata; nothing where that is done already.

    The caller holds the lock of the keys.

    Raises:
        ConfigError: Keys cannot be read.
        PackageError: The package is of the future.
    """
    at = keys.signing_time()
    if package.manifest.build > build_number(at) + FUTURE_MAX_S:
        raise PackageError(
            f"{package.folder}: build {package.manifest.build} is in the future.",
            why="A build is the second of packing, and a line PC refuses every "
            f"package that is older; this machine's clock gives {build_number(at)}.",
            fix="Set the clock of this machine; if it is right, pack the run again on "
            "a machine whose clock is right.",
        )
    listed = keys.trusted_targets()
    prefix = f"{package.sha256}/"
    is_listed = any(path.startswith(prefix) for path in listed)
    if is_listed and keys.is_signed() and keys.is_recent():
        keys.remove_unused()
        return
    others = {p: t for p, t in listed.items() if not p.startswith(prefix)}
    keys.publish({**_newest(others), **_targets_of(package, at)})


def root_to_carry(keys: KeyRepository) -> bytes:
    """Return what a line PC is enrolled with: all roots, of which it pins the newest.

    Raises:
        ConfigError: One is damaged.
    """
    versions = range(1, len(keys.roots()) + 1)
    roots = [keys.root_bytes(version).decode() for version in versions]
    return json.dumps({"roots": roots}).encode()


def _targets_of(package: Package, at: datetime) -> dict[str, TargetFile]:
    manifest = package.manifest
    custom = {
        "name": manifest.name,
        "build": manifest.build,
        "signed_at": at.isoformat(),
    }
    found = {}
    for name, sha256 in digests_of_files(package).items():
        path = f"{package.sha256}/{name}"
        found[path] = TargetFile(
            length=(package.folder / name).stat().st_size,
            hashes={"sha256": sha256},
            path=path,
            unrecognized_fields={CUSTOM: custom},
        )
    return found


def _newest(targets: dict[str, TargetFile]) -> dict[str, TargetFile]:
    """Return the files of the packages that were signed last, as many as may be."""
    found: dict[str, TargetFile] = {}
    for each in listed_packages(targets)[: KEPT_PACKAGES - 1]:
        prefix = f"{each.sha256}/"
        found |= {path: t for path, t in targets.items() if path.startswith(prefix)}
        if len(found) > KEPT_FILES:
            break
    return found


def _refuse_foreign(out: Path, keys: KeyRepository) -> None:
    """Refuse a folder with something else in it, or with a release of other keys."""
    if not out.is_symlink() and not out.exists():
        return
    root = out / METADATA / "1.root.json"
    names = {path.name for path in out.iterdir()} if out.is_dir() else {"a file"}
    names = {name for name in names if not is_leftover(name)}
    if names - {METADATA, FILES, HINT} or out.is_symlink():
        raise ConfigError(
            f"{out}: there is something else in it.",
            why="A release folder holds nothing but a release, since what no package "
            f"needs is removed. Found: {', '.join(sorted(names)[:3])}.",
            fix="Give a folder of its own, for example a new folder on the stick.",
        )
    is_begun = not (out / METADATA / TIMESTAMP_FILE).exists()
    if is_begun and not root.exists():
        return
    if not _holds(root, keys.root_bytes(1)):
        raise ConfigError(
            f"{out}: holds a release of other keys.",
            why="Line PCs that trust those would refuse it.",
            fix="Give another folder.",
        )


def is_leftover(name: str) -> bool:
    """Return whether an interrupted ``write_atomically`` leaves a file of this name."""
    return name.startswith(".") and name.endswith(".tmp")


def _add_files(package: Package, folder: Path, *, durable: bool) -> int:
    """Copy what is missing, and return how many files that were."""
    added = 0
    for name, sha256 in digests_of_files(package).items():
        target = folder / sha256
        if target.is_file() and not target.is_symlink() and sha256_of(target) == sha256:
            continue
        temporary = temporary_name(target)
        digest = hashlib.sha256()
        with open_new(temporary) as file:
            for chunk in regular_chunks(package.folder / name):
                digest.update(chunk)
                file.write(chunk)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if digest.hexdigest() != sha256:
            temporary.unlink()
            raise PackageError(
                f"{package.folder / name}: changed while it was copied.",
                why="It is not the file that was verified.",
                fix="Sign again when no program writes to that folder.",
            )
        temporary.replace(target)
        added += 1
    if durable:
        fsync_folder(folder)
    return added


def _write_metadata(keys: KeyRepository, folder: Path, *, durable: bool) -> None:
    """Write what is missing: roots, targets, snapshot, and last the timestamp."""
    roots = [keys.metadata / f"{n}.root.json" for n in range(1, len(keys.roots()) + 1)]
    timestamp = keys.metadata / TIMESTAMP_FILE
    for path in (*roots, *keys.current_files(), timestamp):
        content, target = read_regular(path, METADATA_MAX_BYTES), folder / path.name
        if not _holds(target, content):
            write_atomically(target, content, durable=durable)


def _write_hint(package: Package, out: Path, *, durable: bool) -> None:
    hint = {
        "package_sha256": package.sha256,
        "name": package.manifest.name,
        "build": package.manifest.build,
    }
    content = json.dumps(hint, indent=2).encode() + b"\n"
    if not _holds(out / HINT, content):
        write_atomically(out / HINT, content, durable=durable)


def _holds(path: Path, content: bytes) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    return path.stat().st_size == len(content) and (
        read_regular(path, len(content)) == content
    )


def _remove_unused(keys: KeyRepository, out: Path) -> None:
    """Remove files that no listed package has, and old metadata.

    One older version of each metadata file stays: a PC that is reading the release at
    this moment still finds what its timestamp names.
    """
    needed = {target.hashes["sha256"] for target in keys.trusted_targets().values()}
    for path in (out / FILES).iterdir():
        if DIGEST.fullmatch(path.name) and path.name not in needed:
            path.unlink()
    for folder in (out, out / FILES, out / METADATA):
        for path in folder.iterdir():
            if is_leftover(path.name):
                path.unlink()
    for role in (TARGETS, SNAPSHOT):
        pattern = re.compile(rf"(\d+)\.{role}\.json")
        versions = sorted(
            (int(match[1]), path)
            for path in (out / METADATA).iterdir()
            if (match := pattern.fullmatch(path.name))
        )
        for _, path in versions[:-2]:
            path.unlink()


def _report(package: Package, keys: KeyRepository, out: Path, added: int) -> SignReport:
    timestamp = keys.current_timestamp().signed
    return SignReport(
        release=str(out),
        package_sha256=package.sha256,
        name=package.manifest.name,
        build=package.manifest.build,
        fingerprint=keys.fingerprint(),
        root_version=len(keys.roots()),
        version=timestamp.version,
        signed_at=signed_at(timestamp) or keys.signing_time(),
        expires=timestamp.expires,
        files_added=added,
    )
