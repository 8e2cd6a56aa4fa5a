"""A model package on disk; opened only if every file matches the manifest."""

import errno
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from models.counted import agreeing, counted
from models.errors import PackageError
from models.files import read_regular, sha256_of, write_atomically
from models.manifest import (
    MANIFEST_MAX_BYTES,
    MANIFEST_NAME,
    SCHEMA_VERSION,
    SEAL_NAME,
    FileEntry,
    Manifest,
    Variant,
    VariantName,
)
from models.onnx_file import has_external_data
from models.seal import PACK_AGAIN, check_seal, digest_of, has_seal, seal_of, write_seal
from models.strict_json import parse_json

SHOWN_FILES = 3
XML_START_BYTES, XML_BLANK = 64, b"\xef\xbb\xbf \t\r\n"
ONNX_MAX_BYTES = (2 << 30) - 1  # of a Protocol Buffers message
MODEL_SUFFIXES = (".xml", ".onnx")
DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Package:
    """A verified package.

    Attributes:
        sha256: SHA-256 of the manifest file: the identity of the package.
        is_confirmed: Whether a seal, or the digest that the caller or the folder's name
            gives, confirmed the manifest; False for packages of earlier versions.
    """

    folder: Path
    manifest: Manifest
    sha256: str
    is_confirmed: bool = True

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
        path: ``manifest.json`` of a package. Its seal is checked, and the name of a
            folder that is named by a digest.

    Raises:
        PackageError: Missing, unreadable, changed, newer than this runtime, or not
            valid.
    """
    return _read_manifest(path, sha256=None)[0]


def _read_manifest(path: Path, sha256: str | None) -> tuple[Manifest, str, bool]:
    """Return the manifest, its digest, and whether that was confirmed.

    Args:
        sha256: Digest that the manifest must have; None = that in the folder's name,
            where it is one.
    """
    content = _read_content(path)
    digest = digest_of(content)
    sealed = has_seal(path.parent)
    if sealed:
        check_seal(path.parent, digest)
    wanted = sha256 if sha256 is not None else _digest_in_name(path.parent)
    if wanted is not None and wanted != digest:
        raise PackageError(
            f"{path.parent}: holds another package.",
            why=f"Its manifest has sha256 {digest[:12]}…, expected {wanted[:12]}….",
            fix="Flash the package again.",
        )
    manifest = _valid_manifest(path, _parsed(path, content))
    if manifest.sealed and not sealed:
        raise PackageError(
            f"{path.parent}: the package is damaged.",
            why=f"Its manifest is sealed, and the seal {SEAL_NAME} is missing.",
            fix=PACK_AGAIN,
        )
    return manifest, digest, sealed or wanted is not None


def _digest_in_name(folder: Path) -> str | None:
    """Return the digest that names a folder of a slot's store, or None."""
    # Not Path.resolve: it raises RuntimeError where a link leads to itself.
    name = Path(os.path.realpath(folder)).name
    return name if DIGEST.fullmatch(name) else None


def _valid_manifest(path: Path, document: dict[str, object]) -> Manifest:
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
            f"{path}: not a valid manifest.", why=faults, fix=PACK_AGAIN
        ) from exc
    _check_labels(path, manifest)
    return manifest


def _check_labels(path: Path, manifest: Manifest) -> None:
    """Refuse labels that are there twice, and thresholds that do not fit them."""
    if len(set(manifest.labels)) < len(manifest.labels):
        raise PackageError(
            f"{path}: a label is listed twice.",
            why=f"Got {', '.join(manifest.labels)}.",
            fix=PACK_AGAIN,
        )
    labels, thresholds = set(manifest.labels), set(manifest.thresholds.scores)
    if missing := labels - thresholds:
        raise PackageError(
            f"{path}: no threshold for {', '.join(sorted(missing))}.",
            why="Every label needs one.",
            fix=PACK_AGAIN,
        )
    if unknown := thresholds - labels:
        raise PackageError(
            f"{path}: a threshold for {', '.join(sorted(unknown))}, which is no label.",
            why=f"The labels are {', '.join(manifest.labels)}.",
            fix=PACK_AGAIN,
        )


def _read_content(path: Path) -> bytes:
    """Return the content of a file, read once."""
    try:
        return read_regular(path, MANIFEST_MAX_BYTES)
    except OSError as exc:
        if exc.errno in {errno.EINVAL, errno.EFBIG, errno.EISDIR}:
            raise PackageError(
                f"{path}: not a manifest.",
                why=f"Expected a file of at most {MANIFEST_MAX_BYTES} bytes, got "
                f"one that is {exc.strerror}.",
                fix=PACK_AGAIN,
            ) from exc
        raise PackageError(
            f"{path}: cannot be read.",
            why=exc.strerror or str(exc),
            fix="Give the folder that `graftline pack` wrote.",
        ) from exc


def _parsed(path: Path, content: bytes) -> dict[str, object]:
    try:
        document = parse_json(content)
    except ValueError as exc:
        raise PackageError(
            f"{path}: not JSON.",
            why=f"{exc} ({counted(len(content), 'byte')})",
            fix=PACK_AGAIN,
        ) from exc
    if not isinstance(document, dict):
        raise PackageError(
            f"{path}: not a manifest.", why="Expected a JSON object.", fix=PACK_AGAIN
        )
    return document


def open_package(folder: Path, *, sha256: str | None = None) -> Package:
    """Return a package after every file in it was verified.

    Args:
        sha256: Digest of its manifest, where the caller knows it. A folder that is
            named by a digest, as those in a slot's store, must have that digest.

    Raises:
        PackageError: The manifest is not valid, not the sealed one, or another one
            than expected, or a file is missing, changed or a link; all faults of files
            are reported together.
    """
    manifest, digest, confirmed = _read_manifest(folder / MANIFEST_NAME, sha256)
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
            fix=PACK_AGAIN,
        )
    for variant in manifest.variants.values():
        _refuse_external_data(folder / variant.model)
    return Package(folder, manifest, digest, confirmed)


def _refuse_external_data(graph: Path) -> None:
    """Refuse a model whose weights are in a file that is not verified.

    A runtime looks at the content, not only at the suffix; but with the suffix of
    another framework, such as ``.pdmodel``, OpenVINO reads that one's files beside it.
    """
    if graph.suffix not in MODEL_SUFFIXES:
        raise PackageError(
            f"{graph}: not a model that is run.",
            why=f"Expected the suffix {' or '.join(MODEL_SUFFIXES)}.",
            fix=PACK_AGAIN,
        )
    try:
        with graph.open("rb") as file:
            is_xml = file.read(XML_START_BYTES).lstrip(XML_BLANK).startswith(b"<")
        if is_xml or not has_external_data(read_regular(graph, ONNX_MAX_BYTES)):
            return
    except OSError as exc:
        raise PackageError(
            f"{graph}: cannot be read.", why=exc.strerror or str(exc), fix=PACK_AGAIN
        ) from exc
    except ValueError as exc:
        raise PackageError(
            f"{graph}: not a model.", why=f"As an ONNX file, {exc}.", fix=PACK_AGAIN
        ) from exc
    raise PackageError(
        f"{graph}: has weights in another file.",
        why="Their bytes would be loaded without being verified.",
        fix="Pack the run again: `graftline pack` writes all weights into this file.",
    )


def package_notices(package: Package) -> list[str]:
    """Return what a person should know of a package that was opened, as sentences."""
    folder, notices = package.folder, []
    if not package.is_confirmed:
        notices.append(
            f"warning: {folder}: has no seal, because an earlier version packed it. "
            "A change of its manifest, thresholds included, is not noticed. "
            "Fix: Pack the run again."
        )
    if others := files_beside(folder, package.manifest.files):
        shown = ", ".join(others[:SHOWN_FILES])
        dots = ", …" if len(others) > SHOWN_FILES else ""
        notices.append(
            f"warning: {folder}: not part of the package, so not read and not copied: "
            f"{shown}{dots} ({counted(len(others), 'file')}). "
            f"Fix: Move {agreeing(len(others), 'it', 'them')} elsewhere."
        )
    return notices


def files_beside(folder: Path, named: Collection[str]) -> list[str]:
    """Return the files in a package's folder that its manifest does not name.

    Args:
        named: Files that the manifest names. Hidden files are left out: file managers
            write them.
    """
    known = {*named, MANIFEST_NAME, SEAL_NAME}
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    return sorted(
        path.as_posix()
        for path in paths
        if path.as_posix() not in known
        and not any(part.startswith(".") for part in path.parts)
        and not (folder / path).is_dir()
    )


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
    try:
        if not path.is_file():
            return f"{name} is missing"
        size = path.stat().st_size
        if size != entry.size_bytes:
            return f"{name} has {counted(size, 'byte')}, expected {entry.size_bytes}"
        got = sha256_of(path)
    except OSError as exc:
        return f"{name} cannot be read ({exc.strerror})"
    if got != entry.sha256:
        return f"{name} has sha256 {got[:12]}…, expected {entry.sha256[:12]}…"
    return ""


def list_files(folder: Path) -> dict[str, FileEntry]:
    """Return every file of a folder but the manifest and its seal.

    Returns:
        Relative POSIX path to hash and size, sorted.
    """
    own = {folder / MANIFEST_NAME, folder / SEAL_NAME}
    return {
        path.relative_to(folder).as_posix(): FileEntry(
            sha256=sha256_of(path), size_bytes=path.stat().st_size
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path not in own
    }


def write_manifest(folder: Path, manifest: Manifest) -> Package:
    """Write the manifest into a folder with all other files, seal it, and open it."""
    sealed = manifest.model_copy(update={"sealed": True})
    text = sealed.model_dump_json(indent=2, exclude_none=True)
    write_atomically(folder / MANIFEST_NAME, text.encode() + b"\n")
    write_seal(folder)
    return open_package(folder)


def digests_of_files(package: Package) -> dict[str, str]:
    """Return the name and SHA-256 of every file of a package, the manifest last."""
    digests = {name: entry.sha256 for name, entry in package.manifest.files.items()}
    if package.manifest.sealed:
        digests[SEAL_NAME] = digest_of(seal_of(package.sha256))
    return {**digests, MANIFEST_NAME: package.sha256}


def copy_package(package: Package, target: Path) -> Package:
    """Copy the files of a package, and return the verified copy.

    Args:
        target: Folder to make; its parent exists.

    Raises:
        PackageError: The copy is damaged.
        OSError: The target cannot be written.
    """
    target.mkdir()
    for name in digests_of_files(package):
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(package.folder / name, destination)
    return open_package(target)
