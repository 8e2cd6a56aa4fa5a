"""Which files belong to a dataset, and which picture a name means."""

import os
from pathlib import Path, PurePosixPath

import pytest

from tests.simulators.exports import write_picture
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
    touched(tmp_path, ".git/x.png", "__MACOSX/x.png")
    assert files_below(tmp_path) == sorted(kept)
    assert pictures_below(tmp_path) == [tmp_path / "a/x.png"]
    assert files_below(tmp_path / "nowhere") == []


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    touched(tmp_path, "a/x.png")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert len(pictures_below(tmp_path)) == 1


def test_picture_is_found_beside_then_by_its_name(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "one/a.png", "two/b.png")
    assert finder.find("a.png", tmp_path / "one") == tmp_path / "one/a.png"
    assert finder.find("C:\\photos\\b.png") == tmp_path / "two/b.png"
    assert finder.find("/elsewhere/b.png", tmp_path) == tmp_path / "two/b.png"
    assert finder.find("c.png") is None
    assert finder.find("") is None


def test_folders_decide_between_pictures_of_one_name(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "one/a.png", "two/a.png")
    assert finder.find("x/two/a.png") == tmp_path / "two/a.png"
    assert not finder.findings
    assert finder.find("a.png") is None
    [finding] = finder.findings
    assert "2 pictures could be meant by 'a.png'" in finding.why


def test_accents_written_in_two_ways_are_one_name(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "Stu\u0308ck.png")
    assert finder.find("Stück.png") == tmp_path / "Stu\u0308ck.png"


def test_picture_of_a_label_file_is_beside_it_or_elsewhere(tmp_path: Path) -> None:
    finder = finder_of(tmp_path, "one/a.png", "two/a.jpg", "three/b.png")
    assert finder.find_stem(tmp_path / "two/a.xml") == tmp_path / "two/a.jpg"
    assert finder.find_stem(PurePosixPath("b.xml")) == tmp_path / "three/b.png"


def test_name_without_a_picture_is_a_path_or_a_fault(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    finder, source = PictureFinder(tmp_path, []), tmp_path / "x.json"
    missing = finder.photo(None, "b.png", source, "image 1")
    assert (missing.path, missing.fault) == (tmp_path / "b.png", "")
    faulty = finder.photo(None, "b\0.png", source, "image 1")
    assert (faulty.path, faulty.place) == (source, "image 1")
    assert r"name 'b\x00.png' cannot be used: it holds a null byte." in faulty.fault
    found = finder.photo(tmp_path / "a.png", "b\0", source, "image 1")
    assert (found.path, found.fault) == (tmp_path / "a.png", "")


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
