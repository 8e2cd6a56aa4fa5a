"""Files that no reader takes are named; so are folders that are not ``good/``."""

import shutil
import zipfile
from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.exports import (
    EXPORTS,
    cvat_xml,
    voc_object,
    voc_xml,
    write_coco_export,
    write_cvat,
    write_picture,
    write_text,
    write_voc,
    write_yolo_export,
)
from trainer.data.dataset import Dataset, open_dataset
from trainer.data.findings import Finding, FindingKind, Level
from trainer.data.formats.other_files import misnamed_good
from trainer.data.formats.rows import LabelState
from trainer.data.splitting.split_record import SplitOptions, UnlabelledUse


def about(dataset: Dataset, text: str) -> list[Finding]:
    """Return the findings with a text."""
    return [f for f in dataset.findings if text in f"{f.why} {f.place}"]


@pytest.mark.parametrize(
    ("name", "content", "why", "level"),
    [
        ("backup/annotations.xml", cvat_xml(), "not searched", Level.WARNING),
        ("annotations/job2.xml", "", "it is not XML", Level.ERROR),
        ("job2.xml", "<?xml version", "it is not XML", Level.ERROR),
        ("notes/half.xml", "<a", "it is not XML", Level.WARNING),
        ("dlib.xml", "<dataset><box top='1'/></dataset>", "<dataset>", Level.WARNING),
        ("labels.csv", "filename,xmin,ymin,xmax,ymax", "format", Level.WARNING),
        ("train.record", "", "format", Level.WARNING),
        ("labels.zip", "PK", "an archive", Level.WARNING),
        ("old/photos.tar.gz", "", "an archive", Level.WARNING),
    ],
)
@pytest.mark.parametrize("export", ["COCO", "CVAT", "YOLO"])
def test_file_that_no_reader_takes_is_named(
    tmp_path: Path, export: str, name: str, content: str, why: str, level: Level
) -> None:
    root = EXPORTS[export](tmp_path / "d")
    write_text(root / name, content)
    [found] = about(open_dataset(root), name)
    assert found.level is level
    assert why in found.why


def test_rows_of_yolo_beside_labels_of_another_format_are_named(
    tmp_path: Path,
) -> None:
    root = write_voc(tmp_path / "d")
    write_text(root / "JPEGImages" / "b.txt", "0 0.5 0.5 0.1 0.1\n")
    [found] = about(open_dataset(root), "rows of YOLO")
    assert (found.level, found.place) == (Level.WARNING, "JPEGImages/b.txt")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("images/default/b.txt", "checked on Monday"),
        ("camera.xml", "<RegisterDescription/>"),
        ("report.xml", "<!DOCTYPE html><html/>"),
        ("notes.csv", "photo,lot"),
        ("readme.txt", "xmin"),
        ("good/notes.xml", ""),
    ],
)
def test_files_that_hold_no_labels_are_not_reported(
    tmp_path: Path, name: str, content: str
) -> None:
    root = write_coco_export(tmp_path / "d")
    before = open_dataset(root).findings
    write_text(root / name, content)
    assert open_dataset(root).findings == before


@pytest.mark.parametrize("export", EXPORTS)
@pytest.mark.parametrize("folder", ["Good", "GOOD", "gut", "ok", "OK"])
def test_folder_that_is_named_like_good_is_not_read_as_good_parts(
    tmp_path: Path, export: str, folder: str
) -> None:
    root = EXPORTS[export](tmp_path / "d")
    write_picture(root / folder / "g.png", 7)
    dataset = open_dataset(root)
    assert "g.png" not in {photo.path.name for photo in dataset.photos}
    [found] = about(dataset, f"it lies in {folder}/, only good/ is read")
    assert found.place == "g.png"
    # YOLO: no split has it, so no option takes it.
    assert found.kind in {FindingKind.UNLABELLED, FindingKind.UNCLEAR_LABEL}
    assert found.fix.startswith(f"Rename {folder}/ to good/")


@pytest.mark.parametrize("folder", ["train/good", "images/good", "good/ok"])
def test_good_inside_of_another_folder(tmp_path: Path, folder: str) -> None:
    root = write_coco_export(tmp_path / "d")
    write_picture(root / folder / "g.png", 7)
    dataset = open_dataset(root)
    is_read = folder.startswith("good/")
    assert ("g.png" in {photo.path.name for photo in dataset.photos}) is is_read
    assert bool(about(dataset, f"it lies in {folder}/")) is not is_read


def test_names_of_folders_that_are_not_good_are_not_explained(tmp_path: Path) -> None:
    assert not misnamed_good(tmp_path, tmp_path / "images" / "a.png")
    assert not misnamed_good(tmp_path, tmp_path / "goodyear" / "a.png")
    assert misnamed_good(tmp_path, tmp_path / "test" / "good" / "a.png") == "test/good"


def test_photo_in_good_with_boxes_is_an_error(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "d")
    write_picture(root / "good" / "c.png", 3)
    write_text(root / "good" / "c.xml", voc_xml("c.png", voc_object()))
    everything = SplitOptions(unlabelled=UnlabelledUse.GOOD)
    dataset = open_dataset(root, split=everything)
    [error] = [f for f in dataset.findings if f.level is Level.ERROR]
    assert error.why == "it lies in good/, but c.xml has boxes on it."
    [photo] = dataset.unlabelled
    assert (photo.path.name, photo.state) == ("c.png", LabelState.UNCLEAR)


def test_files_behind_links_out_of_the_dataset_are_named(tmp_path: Path) -> None:
    root = write_coco_export(tmp_path / "d")
    (root / "images").rename(tmp_path / "elsewhere")
    (root / "images").symlink_to(tmp_path / "elsewhere")
    dataset = open_dataset(root)
    assert dataset.photo_count == 2
    [found] = about(dataset, "through links")
    assert found.level is Level.WARNING
    assert found.why.startswith("2 files read through links from outside")
    assert str(tmp_path / "elsewhere") in found.why


def test_links_inside_of_the_dataset_are_not_reported(tmp_path: Path) -> None:
    root = write_coco_export(tmp_path / "d")
    (tmp_path / "link").symlink_to(root)
    (root / "images" / "b2.png").symlink_to("default/b.png")
    assert not about(open_dataset(tmp_path / "link"), "through links")


def test_two_datasets_in_one_folder_are_refused_with_both_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAFTLINE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "d"
    write_cvat(root / "lot1")
    write_yolo_export(root / "lot2")
    packed = shutil.make_archive(str(tmp_path / "data"), "zip", root)
    for path in (root, Path(packed)):
        with pytest.raises(DatasetError, match="no labels found") as caught:
            open_dataset(path)
        assert "Labels are in lot1; lot2." in caught.value.why
        assert "lot1" in caught.value.fix


def test_photos_whose_labels_are_in_another_zip_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "d"
    write_picture(root / "a.png")
    with zipfile.ZipFile(root / "labels.zip", "w") as file:
        file.writestr("a.txt", "0 0.5 0.5 0.1 0.1")
    with pytest.raises(DatasetError, match="no labels found") as caught:
        open_dataset(root)
    assert "labels.zip: 1 file not read: an archive" in caught.value.why
