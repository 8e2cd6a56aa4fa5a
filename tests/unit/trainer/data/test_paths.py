"""Names become paths below the dataset, or an error with the reason; never another."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainer.data.paths import (
    LONGEST_NAME_BYTES,
    OutsideNameError,
    UnusableNameError,
    file_below,
    path_below,
    shown,
)

ROOT = Path("/data/set")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a.png", "/data/set/images/a.png"),
        ("./a.png", "/data/set/images/a.png"),
        ("../a.png", "/data/set/a.png"),
        ("lot/../a.png", "/data/set/images/a.png"),
        ("/data/set/a.png", "/data/set/a.png"),
        ("/data/set/../set/a.png", "/data/set/a.png"),
        ("a b\\ü.png", "/data/set/images/a b\\ü.png"),
        ("", "/data/set/images"),
        ("..", "/data/set"),
        (os.fsdecode(b"caf\xe9.png"), os.fsdecode(b"/data/set/images/caf\xe9.png")),
    ],
)
def test_name_inside_the_dataset_is_a_path(name: str, path: str) -> None:
    assert path_below(ROOT, ROOT / "images", name) == Path(path)


@pytest.mark.parametrize(
    "name",
    ["../../a.png", "/etc/passwd", "/data/settings", "/data", "lot/../../../a", "/"],
)
def test_name_outside_the_dataset_is_refused(name: str) -> None:
    with pytest.raises(OutsideNameError, match="leads out of the dataset"):
        path_below(ROOT, ROOT / "images", name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a\0.png", "null byte"),
        ("\ud800.png", "character that no file name can have"),
        ("x" * 256, "longer than a file name"),
        ("ü" * 128, "longer than a file name"),
        ("a/" * 2000 + "a", "longer than a file name"),
    ],
)
def test_name_that_no_file_can_have_is_refused(name: str, why: str) -> None:
    with pytest.raises(UnusableNameError, match=why):
        path_below(ROOT, ROOT, name)
    assert os.pathconf("/", "PC_NAME_MAX") >= LONGEST_NAME_BYTES


def test_longest_name_can_be_opened(tmp_path: Path) -> None:
    path = path_below(tmp_path, tmp_path, "x" * LONGEST_NAME_BYTES)
    path.write_bytes(b"")
    assert path.is_file()


def test_dataset_itself_is_no_file() -> None:
    assert path_below(ROOT, ROOT, ".") == ROOT
    with pytest.raises(UnusableNameError, match="names no file"):
        file_below(ROOT, ROOT, "images/..")


def test_absolute_name_counts_with_and_without_the_link_to_the_dataset(
    tmp_path: Path,
) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    for place in ("real", "link"):
        name = str(tmp_path / place / "a.png")
        assert path_below(link, link, name) == link / "a.png"


def test_relative_dataset_gives_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_below(Path(), Path("images"), "a.png") == Path("images/a.png")
    assert path_below(Path(), Path(), str(tmp_path / "a.png")) == Path("a.png")
    with pytest.raises(OutsideNameError):
        path_below(Path(), Path(), "../a.png")


PIECES = st.sampled_from(
    ["..", ".", "", "/", "a", "images", "\0", "\ud800", "x" * 300, "\\", "~", "\n"]
)


@given(st.lists(PIECES | st.text(max_size=4), max_size=8), st.sampled_from(["", "/"]))
@example(["a"] * 8, "/")
def test_any_name_is_below_the_dataset_or_refused(
    pieces: list[str], separator: str
) -> None:
    name = (separator or "/").join(pieces)
    try:
        path = path_below(ROOT, ROOT / "images", f"{separator}{name}")
    except UnusableNameError:
        return
    assert path.is_relative_to(ROOT)
    assert ".." not in path.parts
    assert not path.is_file()  # the system accepts the path


def test_value_at_fault_is_shown_in_quotes_and_cut_short() -> None:
    assert shown("a\0\n") == r"'a\x00\n'"
    assert len(shown("x" * 5000)) == 201
    assert shown([1, None]) == "[1, None]"
