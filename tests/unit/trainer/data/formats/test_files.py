"""Which files belong to a dataset, and which picture a name means."""

from pathlib import Path, PurePosixPath

import pytest

from tests.simulators.exports import write_picture
from trainer.data.findings import FindingKind
from trainer.data.formats.files import (
    PictureFinder,
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
