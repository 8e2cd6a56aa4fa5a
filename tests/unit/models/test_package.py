import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from models.errors import PackageError
from models.files import sha256_of
from models.manifest import MANIFEST_NAME, SCHEMA_VERSION, SEAL_NAME, VariantName
from models.package import (
    MANIFEST_MAX_BYTES,
    Package,
    copy_package,
    list_files,
    open_package,
    package_notices,
    read_manifest,
)
from models.seal import write_seal
from tests.simulators import resealed
from tests.simulators.resealed import reseal

GRAPH = "openvino/fp32.xml"


def edit_manifest(package: Package, **changes: Any) -> Path:
    """Change a manifest and seal it again, as a faulty packer would."""
    path = package.folder / MANIFEST_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    write_seal(package.folder)
    return path


def test_identity_of_a_package_is_the_hash_of_its_manifest(sealed: Package) -> None:
    assert sealed.sha256 == sha256_of(sealed.folder / MANIFEST_NAME)


def test_variant_is_found_with_its_file(sealed: Package) -> None:
    path = sealed.model_path(VariantName.OPENVINO_FP32)
    assert path == sealed.folder / GRAPH
    with pytest.raises(PackageError, match="no variant onnx-int8") as caught:
        sealed.variant(VariantName.ONNX_INT8)
    assert caught.value.fix == "Choose one of openvino-fp32."


@pytest.mark.parametrize("place", [0, 1000, -1])
def test_package_with_a_flipped_byte_is_refused(place: int, package: Package) -> None:
    content = bytearray((package.folder / GRAPH).read_bytes())
    content[place] ^= 1
    (package.folder / GRAPH).write_bytes(content)
    with pytest.raises(PackageError, match="damaged") as caught:
        open_package(package.folder)
    assert f"{GRAPH} has sha256" in caught.value.why


def test_package_with_a_cut_file_is_refused_with_both_sizes(package: Package) -> None:
    path = package.folder / GRAPH
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PackageError, match="damaged") as caught:
        open_package(package.folder)
    assert f"{GRAPH} has {size - 1} bytes, expected {size}" in caught.value.why


def test_all_faults_of_a_package_are_reported_together(package: Package) -> None:
    (package.folder / GRAPH).unlink()
    (package.folder / "golden" / "00.png").write_bytes(b"")
    with pytest.raises(PackageError) as caught:
        open_package(package.folder)
    assert f"{GRAPH} is missing" in caught.value.why
    assert "golden/00.png has 0 bytes" in caught.value.why


@pytest.mark.parametrize("name", [GRAPH, "openvino"])
def test_link_in_place_of_a_file_or_folder_is_refused(
    name: str, package: Package, tmp_path: Path
) -> None:
    path = package.folder / name
    moved = path.rename(tmp_path / "elsewhere")
    path.symlink_to(moved)
    with pytest.raises(PackageError) as caught:
        open_package(package.folder)
    assert f"{GRAPH} is a link" in caught.value.why


def test_pipe_in_place_of_a_file_is_refused_and_not_waited_for(
    package: Package,
) -> None:
    (package.folder / GRAPH).unlink()
    os.mkfifo(package.folder / GRAPH)
    with pytest.raises(PackageError, match="damaged"):
        open_package(package.folder)


@pytest.mark.parametrize("name", [MANIFEST_NAME, SEAL_NAME])
def test_pipe_in_place_of_the_manifest_or_its_seal_is_refused(
    name: str, package: Package
) -> None:
    (package.folder / name).unlink()
    os.mkfifo(package.folder / name)
    with pytest.raises(PackageError, match=r"not a manifest|not a seal"):
        open_package(package.folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_manifest_that_names_a_file_outside_is_refused(
    name: str, package: Package
) -> None:
    (package.folder.parent / "outside").write_bytes(b"x")
    files = {name: {"sha256": "0" * 64, "size_bytes": 1}}
    path = edit_manifest(package, files=files)
    with pytest.raises(PackageError, match="not a valid manifest") as caught:
        read_manifest(path)
    assert "would leave the package" in caught.value.why


@pytest.mark.parametrize("name", [GRAPH, "openvino/fp32.bin", "golden/expected.json"])
def test_file_without_a_hash_is_refused(name: str, package: Package) -> None:
    files = package.manifest.model_dump(mode="json")["files"]
    del files[name]
    edit_manifest(package, files=files)
    with pytest.raises(PackageError) as caught:
        open_package(package.folder)
    assert f"{name} is not among the package's files" in caught.value.why


def test_package_of_a_newer_schema_is_refused_before_it_is_validated(
    package: Package,
) -> None:
    path = package.folder / MANIFEST_NAME
    path.write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1, "novel": []}))
    write_seal(package.folder)
    with pytest.raises(PackageError, match=f"schema {SCHEMA_VERSION + 1} is newer"):
        read_manifest(path)


def test_package_with_unknown_fields_is_opened_and_keeps_them(
    package: Package,
) -> None:
    edit_manifest(package, mascot="bee")
    assert open_package(package.folder).manifest.model_dump()["mascot"] == "bee"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b" " * (MANIFEST_MAX_BYTES + 1), "not a manifest"),
        (b"[]", "not a manifest"),
        (b"{}", "not a valid manifest"),
    ],
    ids=["empty", "cut", "binary", "deep", "huge", "list", "without fields"],
)
def test_file_that_is_not_a_manifest_is_refused(
    content: bytes, fault: str, tmp_path: Path
) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(content)
    with pytest.raises(PackageError, match=fault):
        open_package(tmp_path)


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_folder_without_a_manifest_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="cannot be read") as caught:
        open_package(tmp_path / name)
    assert "graftline pack" in caught.value.fix


def test_label_without_a_threshold_is_refused(package: Package) -> None:
    path = edit_manifest(package, labels=["bright", "red", "blue", "green"])
    with pytest.raises(PackageError, match="no threshold for blue, green"):
        read_manifest(path)


def test_label_that_is_listed_twice_is_refused(package: Package) -> None:
    path = edit_manifest(package, labels=["bright", "red", "bright"])
    with pytest.raises(PackageError, match="a label is listed twice"):
        read_manifest(path)


def test_threshold_for_what_is_no_label_is_refused(package: Package) -> None:
    thresholds = package.manifest.model_dump(mode="json")["thresholds"]
    thresholds["scores"]["scratch"] = 0.5
    path = edit_manifest(package, thresholds=thresholds)
    with pytest.raises(PackageError, match="a threshold for scratch, which is no"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('"scores": {', '"scores": {"bright": 1, "red": 1}, "scores": {', "'scores'"),
        ('"red": 0.5', '"red": 0.5, "red": 0.9', "the name 'red' is there twice"),
        ('"red": 0.5', '"red": NaN', "NaN is not a finite number"),
        ('"red": 0.5', '"red": 1e999', "1e999 is not a finite number"),
        ('"red": 0.5', '"red": 1.5', "less than or equal to 1"),
        ('"red": 0.5', '"red": -0.1', "greater than or equal to 0"),
    ],
    ids=["two scores", "label twice", "nan", "infinite", "above 1", "below 0"],
)
def test_thresholds_that_can_be_read_in_two_ways_are_refused(
    before: str, after: str, fault: str, package: Package
) -> None:
    path = package.folder / MANIFEST_NAME
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))
    write_seal(package.folder)
    with pytest.raises(PackageError) as caught:
        open_package(package.folder)
    assert fault in caught.value.why


def test_folder_named_by_a_digest_holds_the_package_of_that_digest(
    package: Package, tmp_path: Path
) -> None:
    named = package.folder.rename(tmp_path / package.sha256)
    assert open_package(named).sha256 == package.sha256
    (tmp_path / "current").symlink_to(named)
    assert open_package(tmp_path / "current").sha256 == package.sha256
    other = named.rename(tmp_path / ("0" * 64))
    (tmp_path / "trial").symlink_to(other)
    for folder in (other, tmp_path / "trial"):
        with pytest.raises(PackageError, match="holds another package"):
            open_package(folder)
        with pytest.raises(PackageError, match="holds another package"):
            read_manifest(folder / MANIFEST_NAME)


def test_package_of_another_digest_than_expected_is_refused(package: Package) -> None:
    assert open_package(package.folder, sha256=package.sha256).is_confirmed
    with pytest.raises(PackageError, match="holds another package"):
        open_package(package.folder, sha256="link")


def test_notices_name_files_that_are_not_part_of_the_package(package: Package) -> None:
    assert package_notices(package) == []
    (package.folder / "openvino" / "notes.txt").write_text("mine")
    (package.folder / "a.jpg").write_bytes(b"")
    (package.folder / ".DS_Store").write_bytes(b"")
    (notice,) = package_notices(open_package(package.folder))
    assert "not part of the package" in notice
    assert "a.jpg, openvino/notes.txt (2 files). Fix: Move them elsewhere." in notice
    (package.folder / "a.jpg").unlink()
    (notice,) = package_notices(open_package(package.folder))
    assert "openvino/notes.txt (1 file). Fix: Move it elsewhere." in notice


def test_all_files_but_the_manifest_and_its_seal_are_listed(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b", "a", MANIFEST_NAME, SEAL_NAME, f"deep/{MANIFEST_NAME}"):
        (tmp_path / name).write_bytes(b"x")
    files = list_files(tmp_path)
    assert list(files) == ["a", "b", f"deep/{MANIFEST_NAME}"]
    assert files["a"].size_bytes == 1


def test_copy_is_the_same_package_and_holds_nothing_else(
    package: Package, tmp_path: Path
) -> None:
    (package.folder / "notes.txt").write_text("mine")
    copy = copy_package(package, tmp_path / "copy")
    assert copy.sha256 == package.sha256
    assert not (copy.folder / "notes.txt").exists()


def test_copy_of_a_package_that_was_changed_is_refused(
    package: Package, tmp_path: Path
) -> None:
    (package.folder / GRAPH).write_bytes(b"other")
    with pytest.raises(PackageError, match="damaged"):
        copy_package(package, tmp_path / "copy")


def test_package_that_is_sealed_again_is_another_package(
    sealed: Package, tmp_path: Path
) -> None:
    other = reseal(sealed, tmp_path / "other", resealed.nothing, build=9)
    assert other.manifest.build == 9
    assert other.sha256 != sealed.sha256
    shutil.rmtree(other.folder)


def test_onnx_file_with_weights_in_another_file_is_refused(
    sealed: Package, tmp_path: Path
) -> None:
    # A graph with one initializer, whose data lie in another file.
    content = bytes.fromhex("3a 04 2a 02 70 01")
    changed = tmp_path / "changed"

    def plant(folder: Path) -> None:
        (folder / GRAPH).write_bytes(content)
        (folder / "weights.bin").write_bytes(b"another")

    with pytest.raises(PackageError, match="has weights in another file") as caught:
        reseal(sealed, changed, plant)
    assert "without being verified" in caught.value.why


@pytest.mark.parametrize("suffix", [".pdmodel", ".meta", ".pb", ".tflite", ".pt", ""])
def test_model_of_another_framework_is_refused(
    suffix: str, sealed: Package, tmp_path: Path
) -> None:
    name = f"openvino/other{suffix}"
    variants = {
        variant: facts.model_copy(update={"model": name})
        for variant, facts in sealed.manifest.variants.items()
    }

    def plant(folder: Path) -> None:
        (folder / name).write_bytes(b"\x08\x01")  # whole, also as an ONNX file

    with pytest.raises(PackageError, match="not a model that is run"):
        reseal(sealed, tmp_path / "changed", plant, variants=variants)


def test_endless_seal_is_refused(package: Package) -> None:
    (package.folder / SEAL_NAME).unlink()
    (package.folder / SEAL_NAME).write_bytes(b"0" * 100_000)
    with pytest.raises(PackageError, match="cannot be read"):
        open_package(package.folder)


@pytest.mark.parametrize("name", [MANIFEST_NAME, SEAL_NAME])
def test_device_in_place_of_the_manifest_or_its_seal_is_refused(
    name: str, package: Package
) -> None:
    (package.folder / name).unlink()
    (package.folder / name).symlink_to("/dev/zero")
    with pytest.raises(PackageError, match=r"not a manifest|not a seal"):
        open_package(package.folder)
