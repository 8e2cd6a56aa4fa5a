import json

import pytest

from deploy.sbom import SBOM_NAME, Part, parse_sbom, read_sbom
from deploy.target import FlashTarget
from models.errors import InstallError, PackageError
from models.package import Package, list_files, write_manifest
from tests.simulators.target import SimTarget

DOCUMENT = {
    "bomFormat": "CycloneDX",
    "metadata": {
        "component": {
            "name": "plate",
            "version": "7",
            "licenses": [{"license": {"id": "Apache-2.0"}}],
        }
    },
    "components": [
        {"name": "numpy", "version": "2.0", "licenses": [{"expression": "BSD-3"}]},
        {"name": "own", "licenses": [{"license": {"name": "Own"}}, "odd", {}]},
        {"name": "none"},
        "not a component",
    ],
}


def test_model_comes_first_and_every_kind_of_licence_is_read() -> None:
    sbom = parse_sbom(json.dumps(DOCUMENT).encode(), "local:pc")
    assert sbom.parts == (
        Part("plate", "7", "Apache-2.0"),
        Part("numpy", "2.0", "BSD-3"),
        Part("own", "", "Own"),
        Part("none", "", ""),
    )
    assert json.loads(sbom.text) == DOCUMENT


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_other_document_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError, match="cannot be read"):
        parse_sbom(content, "local:pc")


def target(line_pc: SimTarget) -> FlashTarget:
    return FlashTarget("local:pc", line_pc.slot)


def test_bill_of_the_package_in_force_is_read_after_it_was_verified(
    line_pc: SimTarget, builds: list[Package], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(InstallError, match="no package is in force"):
        read_sbom(target(line_pc))
    line_pc.flash(builds[0])
    with pytest.raises(PackageError, match=f"has no {SBOM_NAME}"):
        read_sbom(target(line_pc))
    folder = tmp_path_factory.mktemp("with-sbom") / "package"
    folder.mkdir()
    for path in builds[1].folder.rglob("*"):
        if path.is_file():
            copy = folder / path.relative_to(builds[1].folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    (folder / SBOM_NAME).write_text(json.dumps(DOCUMENT))
    update = {"files": list_files(folder)}
    package = write_manifest(folder, builds[1].manifest.model_copy(update=update))
    line_pc.flash(package)
    assert read_sbom(target(line_pc)).parts[0].name == "plate"
    (line_pc.slot.current / SBOM_NAME).write_text("{}")
    with pytest.raises(PackageError, match="damaged"):
        read_sbom(target(line_pc))
