"""The bill of materials of the package in force: its parts and their licences.

Source:
    CycloneDX 1.6; a package holds it as ``sbom.cdx.json``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.store import PackageStore
from deploy.target import FlashTarget
from models.errors import InstallError, PackageError
from models.files import read_regular
from models.strict_json import parse_json

SBOM_NAME = "sbom.cdx.json"
SBOM_MAX_BYTES = 16 << 20
PACK_AGAIN = "Pack the run again, and flash it."


@dataclass(frozen=True, slots=True)
class Part:
    """The model, or a part of it; a text is empty where the document has none."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True, slots=True)
class Sbom:
    """A bill of materials.

    Attributes:
        text: The CycloneDX document, JSON.
        parts: The model first.
    """

    text: str
    parts: tuple[Part, ...]


def read_sbom(target: FlashTarget) -> Sbom:
    """Return the bill of materials of the package in force, after it was verified.

    Raises:
        InstallError: Nothing is in force, or the slot cannot be read.
        PackageError: The package is damaged, or has no such document.
    """
    sha256 = target.slot.package_of(target.slot.current)
    if not sha256:
        raise InstallError(
            f"{target.name}: no package is in force.",
            why=f"There is no link {target.slot.current}.",
            fix="Flash a package first.",
        )
    package = PackageStore(target.slot.store).open(sha256)
    if SBOM_NAME not in package.manifest.files:
        raise PackageError(
            f"{target.name}: the package in force has no {SBOM_NAME}.",
            why="It was not made by `graftline pack`.",
            fix=PACK_AGAIN,
        )
    try:
        content = read_regular(package.folder / SBOM_NAME, SBOM_MAX_BYTES)
    except OSError as exc:
        raise PackageError(
            f"{package.folder / SBOM_NAME}: cannot be read.",
            why=exc.strerror or str(exc),
            fix=PACK_AGAIN,
        ) from exc
    return parse_sbom(content, target.name)


def parse_sbom(content: bytes, name: str) -> Sbom:
    """Return a bill of materials.

    Args:
        content: A CycloneDX document, JSON.
        name: The target, for messages.

    Raises:
        PackageError: It is none.
    """
    try:
        document = parse_json(content)
        text = content.decode().rstrip("\n")
    except ValueError as exc:
        raise _not_readable(name, str(exc)) from exc
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise _not_readable(name, "It is no CycloneDX document.")
    return Sbom(text, tuple(_parts(document)))


def _not_readable(name: str, why: str) -> PackageError:
    return PackageError(f"{name}: {SBOM_NAME} cannot be read.", why=why, fix=PACK_AGAIN)


def _parts(document: Mapping[str, object]) -> Iterator[Part]:
    metadata = document.get("metadata")
    components = document.get("components")
    first = metadata.get("component") if isinstance(metadata, dict) else None
    others = components if isinstance(components, list) else []
    for each in [first, *others]:
        if isinstance(each, dict):
            name, version = str(each.get("name", "")), str(each.get("version", ""))
            yield Part(name, version, ", ".join(_licences(each)))


def _licences(component: Mapping[str, object]) -> Iterator[str]:
    entries = component.get("licenses")
    for each in entries if isinstance(entries, list) else []:
        if not isinstance(each, dict):
            continue
        licence = each.get("license")
        if isinstance(licence, dict):
            yield str(licence.get("id") or licence.get("name") or "")
        elif "expression" in each:
            yield str(each["expression"])
