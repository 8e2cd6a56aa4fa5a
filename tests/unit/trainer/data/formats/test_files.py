"""Which files belong to a dataset, and which picture a name means."""

import os
from pathlib import Path, PurePosixPath

import pytest

from trainer.data.findings import FindingKind
from trainer.data.formats.files import (
    PictureFinder,
    PictureName,
    files_below,
    is_picture,
    pictures_below,
    unusable_picture,
)


def touched(root: Path, *names: str) -> list[Path]:
    """Make empty files; return their paths."""
    paths = [root / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return paths


def finder_of(root: Path, *names: str) -> PictureFinder:
    touched(root, *names)
    return PictureFinder(root, files_below(root))


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("a.JPG", True), ("a.tiff", True), ("._a.jpg", False), ("a.txt", False)],
)
def test_pictures_are_known_by_their_suffix(name: str, is_one: bool) -> None:
    assert is_picture(Path(name)) == is_one


def test_files_are_sorted_and_hidden_and_foreign_folders_left_out(
    tmp_path: Path,
) -> None:
    kept = touched(tmp_path, "a/x.png", "b.txt", "b/.hidden")
    touched(tmp_path, ".git/x.png", "__MACOSX/x.png", "a/@eaDir/x.png/s.jpg")
    assert files_below(tmp_path) == sorted(kept)
    assert pictures_below(tmp_path) == [tmp_path / "a/x.png"]
    assert files_below(tmp_path / "nowhere") == []


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    touched(tmp_path, "a/x.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert len(pictures_below(tmp_path)) == 1


def test_picture_of_a_label_file_is_beside_it_or_elsewhere(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "one/a.png", "two/a.jpg", "three/b.png")
    assert finder.find_stem(tmp_path / "two/a.xml") == tmp_path / "two/a.jpg"
    assert finder.find_stem(PurePosixPath("b.xml")) == tmp_path / "three/b.png"


def test_picture_that_is_nowhere_is_a_path_or_a_fault(tmp_path: Path) -> None:
    finder, source = finder_of(tmp_path, "a.png"), tmp_path / "x.json"
    missing = finder.missing(source, "image 1", ("b.png",))
    assert (missing.path, missing.fault) == (tmp_path / "b.png", "")
    faulty = finder.missing(source, "image 1", ("b\0.png",))
    assert r"name 'b\x00.png' cannot be used: it holds a null byte." in faulty.fault


def test_picture_of_another_suffix_is_named(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "images/a.png")
    name = PictureName(("A.jpg",), (tmp_path / "images",), "image 1")
    [photo] = finder.find_all(tmp_path / "x.json", [name])
    assert photo.fault == (
        "the picture 'A.jpg' is not there. images/a.png has the same name with another "
        "suffix: it may be another picture."
    )


def test_names_in_another_case_are_the_same_names(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "Images/T1.JPG", "Images/t2.jpg")
    names = [
        PictureName((text,), (tmp_path,), text)
        for text in ("images/t1.jpg", "Images\\t2.jpg")
    ]
    photos = finder.find_all(tmp_path / "x.json", names)
    assert [p.path.name for p in photos] == ["T1.JPG", "t2.jpg"]


def test_letters_that_only_fold_to_the_same_are_two_names(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "strasse.jpg")
    name = PictureName(("straße.jpg",), (tmp_path,), "image 1")
    [photo] = finder.find_all(tmp_path / "x.json", [name])
    assert photo.path == tmp_path / "straße.jpg"  # it is not there


def test_names_that_differ_by_case_mean_two_pictures(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "T1.jpg")
    names = [PictureName((text,), (tmp_path,), text) for text in ("t1.jpg", "T1.jpg")]
    lost, found = finder.find_all(tmp_path / "x.json", names)
    assert (found.path.name, found.fault) == ("T1.jpg", "")
    assert lost.fault == (
        "the picture 't1.jpg' is not there. T1.jpg has the same name but for its case: "
        "it may be another picture."
    )


def test_case_of_a_name_decides_between_two_pictures(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "t1.jpg", "T1.jpg")
    name = PictureName(("T1.JPG",), (tmp_path,), "image 1")
    [photo] = finder.find_all(tmp_path / "x.json", [name])
    assert photo.fault
    name = PictureName(("T1.jpg",), (tmp_path,), "image 1")
    [photo] = finder.find_all(tmp_path / "x.json", [name])
    assert photo.path == tmp_path / "T1.jpg"


def test_unusable_picture_is_a_finding_of_the_label_file() -> None:
    finding = unusable_picture(Path("a.json"), "image 1", "why")
    assert finding.kind is FindingKind.UNREADABLE_PHOTO
    assert (finding.file, finding.place, finding.photo) == (
        Path("a.json"),
        "image 1",
        None,
    )


def found_by(
    finder: PictureFinder, *names: str, source: str = "train.json"
) -> list[str]:
    """Return the picture of each name, or the fault; names start at images/."""
    root = finder.root
    wanted = [
        PictureName((name,), (root / "images", root), f"image {number}")
        for number, name in enumerate(names)
    ]
    return [
        photo.fault or photo.path.relative_to(root).as_posix()
        for photo in finder.find_all(root / source, wanted)
    ]


def test_namesake_of_a_missing_picture_is_not_taken_for_it(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "images/a.png", "other/b.png", "good/c.png")
    first, second, third = found_by(finder, "a.png", "b.png", "c.png")
    assert first == "images/a.png"
    assert "'b.png' is not there. other/b.png has the same name" in second
    assert "'c.png' is not there. good/c.png has the same name" in third


def test_picture_that_is_not_there_and_has_no_namesake_keeps_its_path(
    tmp_path: Path,
) -> None:
    finder = finder_of(tmp_path, "images/a.png")
    assert found_by(finder, "a.png", "b.png") == ["images/a.png", "b.png"]


def test_good_folder_is_searched_only_for_names_that_contain_it(
    tmp_path: Path,
) -> None:
    finder = finder_of(tmp_path, "good/a.png", "photos/b.png")
    first, second = found_by(finder, "x/a.png", "x/b.png")
    assert "is not there" in first
    assert second == "photos/b.png"
    assert found_by(finder, "x/good/a.png") == ["good/a.png"]


def test_folder_of_another_computer_stands_for_one_folder(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "photos/a.png", "photos/b.png")
    names = "C:\\new\\a.png", "C:\\new\\b.png"
    assert found_by(finder, *names) == ["photos/a.png", "photos/b.png"]


def test_folder_of_another_computer_does_not_stand_for_two(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "photos/a.png", "trash/b.png")
    assert all("is not there" in one for one in found_by(finder, "x/a.png", "x/b.png"))


def test_named_folder_does_not_stand_for_the_folder_of_other_names(
    tmp_path: Path,
) -> None:
    finder = finder_of(tmp_path, "set/lot2/a.png", "set/lot2/b.png")
    first, second = found_by(finder, "lot1/a.png", "lot2/b.png")
    assert "is not there" in first
    assert second == "set/lot2/b.png"


def test_plain_names_are_found_in_any_folders(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "lot1/a.png", "lot2/b.png")
    assert found_by(finder, "a.png", "b.png") == ["lot1/a.png", "lot2/b.png"]


def test_picture_that_two_names_mean_is_refused(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "photos/a.png")
    first, second = found_by(finder, "lot1/a.png", "lot2/a.png")
    assert first == "photos/a.png"
    assert "'lot2/a.png' and 'lot1/a.png' (train.json, image 0) both fit" in second
    [third] = found_by(finder, "lot3/a.png", source="val.json")
    assert "'lot3/a.png' and 'lot1/a.png' (train.json, image 0) both fit" in third


def test_second_spelling_of_a_name_is_found(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "images/a.png")
    name = PictureName(("0a1b2c3d-a.png", "a.png"), (tmp_path / "images",), "task 1")
    [photo] = finder.find_all(tmp_path / "data.json", [name])
    assert photo.path == tmp_path / "images" / "a.png"


def test_folder_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images" / "val").mkdir(parents=True)
    scandir = os.scandir

    def closed(path: str | Path) -> object:
        if str(path).endswith("val"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError, match="val"):
        files_below(tmp_path)
    assert files_below(tmp_path / "missing") == []
