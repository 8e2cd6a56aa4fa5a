"""A model package on disk; opened only if every file matches the manifest."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from models.errors import PackageError
from models.files import sha256_of, write_atomically
from models.manifest import (
    MANIFEST_NAME,
    SCHEMA_VERSION,
    FileEntry,
    Manifest,
    Variant,
    VariantName,
)

MANIFEST_MAX_BYTES = 4 << 20  # a manifest has some 20 kB
REPACK = "Pack the run again, or copy the package again."


@dataclass(frozen=True, slots=True)
class Package:
    """A verified package.

    Attributes:
        sha256: SHA-256 of the manifest file: the identity of the package.
    """

    folder: Path
    manifest: Manifest
    sha256: str

    def variant(self, name: VariantName) -> Variant:
        """Return one variant.

        Raises:
            PackageError: The package does not hold it.
        """
        if name not in self.manifest.variants:
            present = ", ".join(self.manifest.variants)
            raise PackageError(
                f"{self.folder}: there is no variant {name}.",
                why=f"The package has {present}; the others lost too much accuracy.",
                fix=f"Choose one of {present}.",
            )
        return self.manifest.variants[name]

    def model_path(self, name: VariantName) -> Path:
        """Return the file that the runtime opens for a variant.

        Raises:
            PackageError: The package does not hold it.
        """
        return self.folder / self.variant(name).model


def read_manifest(path: Path) -> Manifest:
    """Return a valid manifest; the other files of the package are not checked.

    Args:
        path: ``manifest.json`` of a package.

    Raises:
        PackageError: Missing, unreadable, newer than this runtime, or not valid.
    """
    document = _read_json(path)
    version = document.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise PackageError(
            f"{path}: schema {version} is newer than this runtime ({SCHEMA_VERSION}).",
            why="The package was made by a newer Graftline.",
            fix="Update Graftline on this PC, or pack with the version it has.",
        )
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as exc:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()[:5]
        )
        raise PackageError(
            f"{path}: not a valid manifest.", why=faults, fix=REPACK
        ) from exc
    if len(set(manifest.labels)) < len(manifest.labels):
        raise PackageError(
            f"{path}: a label is listed twice.",
            why=f"Got {', '.join(manifest.labels)}.",
            fix=REPACK,
        )
    missing = set(manifest.labels) - set(manifest.thresholds.scores)
    if missing:
        raise PackageError(
            f"{path}: no threshold for {', '.join(sorted(missing))}.",
            why="Every label needs one.",
            fix=REPACK,
        )
    return manifest


def _read_json(path: Path) -> dict[str, object]:
    """Return the JSON object in a file of at most ``MANIFEST_MAX_BYTES``."""
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MANIFEST_MAX_BYTES else b""
    except OSError as exc:
        raise PackageError(
            f"{path}: cannot be read.",
            why=exc.strerror or str(exc),
            fix="Give the folder that `graftline pack` wrote.",
        ) from exc
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise PackageError(
            f"{path}: not JSON.", why=f"{exc} ({size} bytes)", fix=REPACK
        ) from exc
    if not isinstance(document, dict):
        raise PackageError(
            f"{path}: not a manifest.", why="Expected a JSON object.", fix=REPACK
        )
    return document


def open_package(folder: Path) -> Package:
    """Return a package after every file in it was verified.

    Raises:
        PackageError: The manifest is not valid, or a file is missing, changed or a
            link; all faults are reported together.
    """
    path = folder / MANIFEST_NAME
    manifest = read_manifest(path)
    faults = [
        fault
        for name, entry in manifest.files.items()
        if (fault := _fault_of(folder, name, entry))
    ]
    faults += [
        f"{name} is not among the package's files"
        for name in [*_model_files(folder, manifest), manifest.golden]
        if name not in manifest.files
    ]
    if faults:
        raise PackageError(
            f"{folder}: the package is damaged.",
            why="; ".join(faults) + ".",
            fix=REPACK,
        )
    return Package(folder, manifest, sha256_of(path))


def _model_files(folder: Path, manifest: Manifest) -> list[str]:
    """Return the files that a runtime opens, with the weights beside a graph."""
    graphs = [variant.model for variant in manifest.variants.values()]
    weights = [str(PurePosixPath(graph).with_suffix(".bin")) for graph in graphs]
    return [*graphs, *(name for name in weights if (folder / name).exists())]


def _fault_of(folder: Path, name: str, entry: FileEntry) -> str:
    """Return what is wrong with one file; empty = nothing."""
    path = folder / name
    inside = [path, *(folder / parent for parent in PurePosixPath(name).parents[:-1])]
    if any(step.is_symlink() for step in inside):
        return f"{name} is a link, expected a file of the package"
    if not path.is_file():
        return f"{name} is missing"
    try:
        size = path.stat().st_size
        if size != entry.size_bytes:
            return f"{name} has {size} bytes, expected {entry.size_bytes}"
        got = sha256_of(path)
    except OSError as exc:
        return f"{name} cannot be read ({exc.strerror})"
    if got != entry.sha256:
        return f"{name} has sha256 {got[:12]}…, expected {entry.sha256[:12]}…"
    return ""


def list_files(folder: Path) -> dict[str, FileEntry]:
    """Return every file of a folder without a manifest yet.

    Returns:
        Relative POSIX path to hash and size, sorted.
    """
    return {
        path.relative_to(folder).as_posix(): FileEntry(
            sha256=sha256_of(path), size_bytes=path.stat().st_size
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST_NAME
    }


def write_manifest(folder: Path, manifest: Manifest) -> Package:
    """Write the manifest into a folder with all other files, and open the package."""
    text = manifest.model_dump_json(indent=2, exclude_none=True)
    write_atomically(folder / MANIFEST_NAME, text.encode() + b"\n")
    return open_package(folder)


def copy_package(package: Package, target: Path) -> Package:
    """Copy the files that the manifest names, and return the verified copy.

    Args:
        target: Folder to make; its parent exists.

    Raises:
        PackageError: The copy is damaged.
        OSError: The target cannot be written.
    """
    target.mkdir()
    for name in [*package.manifest.files, MANIFEST_NAME]:
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package.folder / name, destination)
    return open_package(target)
