"""Names without a folder: no namesake elsewhere stands for a missing picture."""

from pathlib import Path

import pytest

from trainer.data.formats.files import PictureFinder, PictureName
from trainer.data.formats.plain_names import with_folders_of_plain_names

ROOT = Path("d")


def folders_of(pictures: list[str], *names: str) -> list[str]:
    """Return in which folder each picture must be; they start at the root."""
    finder = PictureFinder(ROOT, [ROOT / picture for picture in pictures])
    wanted = [PictureName((name,), (ROOT,), f"image {name}") for name in names]
    found = with_folders_of_plain_names(finder, wanted)
    return [name.folders[0].relative_to(ROOT).as_posix() for name in found]


@pytest.mark.parametrize(
    ("pictures", "folders"),
    [
        (["p/a.png", "p/b.png", "p/c.png"], ["p", "p", "p"]),
        (["p/a.png", "p/b.png", "trash/c.png"], ["p", "p", "p"]),
        (["p/a.png", "p/b.png", "p/c.png", "trash/c.png"], ["p", "p", "p"]),
        (["p/a.png", "p/b.png", "good/c.png"], ["p", "p", "p"]),
        (["good/a.png"], [".", ".", "."]),
        ([], [".", ".", "."]),
    ],
    ids=["all", "namesake", "copy", "good", "only good", "nothing"],
)
def test_pictures_lie_in_the_folder_of_most_of_them(
    pictures: list[str], folders: list[str]
) -> None:
    assert folders_of(pictures, "a.png", "b.png", "c.png") == folders


def test_several_folders_that_hold_nothing_else_are_meant() -> None:
    pictures = ["ng/a.png", "ng/b.png", "ok/c.png", "ok/d.png"]
    names = "a.png", "b.png", "c.png", "d.png"
    assert folders_of(pictures, *names) == ["ng", "ng", "ok", "ok"]
    more = [*pictures, "ng/e.png", "ok/other.png"]
    assert folders_of(more, *names, "e.png") == ["ng"] * 5


def test_names_with_folders_and_pictures_at_their_place_are_left(
    tmp_path: Path,
) -> None:
    assert folders_of(["p/a.png", "p/b.png"], "x/a.png", "b.png") == [".", "p"]
    (tmp_path / "a.png").write_bytes(b"")
    finder = PictureFinder(tmp_path, [tmp_path / "a.png", tmp_path / "p" / "b.png"])
    names = [PictureName((n,), (tmp_path,), n) for n in ("a.png", "b.png")]
    assert with_folders_of_plain_names(finder, names) == names
