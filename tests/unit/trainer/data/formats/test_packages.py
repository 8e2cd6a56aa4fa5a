"""A model package in a photo folder gives no photos."""

import os
import shutil
from pathlib import Path

import pytest

from models.errors import DatasetError
from models.package import Package
from tests.simulators.exports import EXPORTS, write_coco_export, write_picture
from tests.simulators.packages import make_package
from trainer.data.checks.check import check_dataset
from trainer.data.checks.repaired_copy import write_repaired_copy
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import FindingKind, Level
from trainer.data.formats.files import files_below
from trainer.data.formats.packages import is_package
from trainer.data.splitting.split_record import SplitOptions, UnlabelledUse


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return make_package(tmp_path_factory.mktemp("package") / "plate")


def with_package(root: Path, package: Package, place: str) -> Path:
    shutil.copytree(package.folder, root / place)
    return root / place


def packages_in(dataset: Dataset) -> list[Path]:
    found = [f for f in dataset.findings if f.kind is FindingKind.PACKAGE]
    assert all(finding.level is Level.WARNING for finding in found)
    return [finding.file for finding in found]


@pytest.mark.parametrize("place", ["plate", "good/plate", "images/plate", "a/b/c"])
@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("use", list(UnlabelledUse))
def test_golden_frames_are_no_photos(
    name: str, place: str, use: UnlabelledUse, package: Package, tmp_path: Path
) -> None:
    root = EXPORTS[name](tmp_path / "d")
    options = SplitOptions(unlabelled=use)
    before = open_dataset(root, split=options)
    folder = with_package(root, package, place)
    after = open_dataset(root, split=options)
    assert after.sha256 == before.sha256
    assert after.photo_count == before.photo_count
    assert after.unlabelled == before.unlabelled
    assert packages_in(after) == [folder]


@pytest.mark.parametrize(
    "damage", ["none", "cut", "no manifest", "no golden set", "golden alone"]
)
def test_damaged_package_is_recognized(
    damage: str, package: Package, tmp_path: Path
) -> None:
    root = write_coco_export(tmp_path / "d")
    before = open_dataset(root).photo_count
    folder = with_package(root, package, "good/plate")
    manifest = folder / "manifest.json"
    match damage:
        case "cut":
            manifest.write_bytes(manifest.read_bytes()[:-400])
        case "no manifest":
            manifest.unlink()
        case "no golden set":
            (folder / "golden" / "expected.json").unlink()
        case "golden alone":
            (folder / "golden").rename(root / "good" / "golden")
            shutil.rmtree(folder)
    dataset = open_dataset(root)
    assert dataset.photo_count == before
    assert len(packages_in(dataset)) == 1


def test_store_of_a_slot_holds_no_photos(package: Package, tmp_path: Path) -> None:
    root = write_coco_export(tmp_path / "d")
    with_package(root, package, f"slot/store/{package.sha256}")
    (root / "slot" / "current").symlink_to(f"store/{package.sha256}")
    assert len(packages_in(open_dataset(root))) == 1


@pytest.mark.parametrize("place", ["", "golden"])
def test_package_is_no_data_set(place: str, package: Package) -> None:
    with pytest.raises(DatasetError, match="this is a model package, not a data set"):
        open_dataset(package.folder / place)


@pytest.mark.parametrize(
    "content", ["{}", "[]", "", '{"name": "app", "variants": []}', "golden frames"]
)
def test_manifest_of_another_tool_hides_no_photo(content: str, tmp_path: Path) -> None:
    root = write_coco_export(tmp_path / "d")
    (root / "good").mkdir()
    write_picture(root / "good" / "c.png", seed=9)
    before = open_dataset(root)
    for folder in (root, root / "good"):
        for name in ("manifest.json", "expected.json", "manifest.sha256"):
            (folder / name).write_text(content)
    after = open_dataset(root)
    assert after.photo_count == before.photo_count
    assert packages_in(after) == []


def test_pipe_named_like_a_manifest_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    assert not is_package(tmp_path, ["manifest.json"])
    assert files_below(tmp_path) == []


def test_repaired_copy_states_that_the_package_is_left_out(
    package: Package, tmp_path: Path
) -> None:
    root = write_coco_export(tmp_path / "d")
    with_package(root, package, "plate")
    copy = write_repaired_copy(check_dataset(root), tmp_path / "copy")
    (repair,) = [r for r in copy.repairs if r.kind is FindingKind.PACKAGE]
    assert "It is left out." in repair.done
    assert not list(copy.folder.rglob("expected.json"))
