"""Datasets in a zip: unpacked once, whole or not at all, and harmless."""

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import DatasetError
from tests.simulators.exports import EXPORTS, write_yolo_export
from trainer.data import archive
from trainer.data.archive import unpacked
from trainer.data.dataset import open_dataset


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("GRAFTLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets"


def packed(folder: Path, top: str = "", out: str = "data.zip") -> Path:
    """Return a zip of a folder."""
    path = folder.parent / out
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member in sorted(folder.rglob("*")):
            file.write(member, Path(top, member.relative_to(folder)))
    return path


def with_member(name: str, change: Callable[[zipfile.ZipInfo], None] | None = None):  # noqa: ANN201
    """Return what writes a zip of one good dataset and one strange member."""

    def write(folder: Path) -> Path:
        path = packed(write_yolo_export(folder / "d"))
        info = zipfile.ZipInfo(name)
        if change:
            change(info)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(info, b"../../secret")
        return path

    return write


def link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


def pipe(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFIFO | 0o777) << 16


@pytest.mark.parametrize("top", ["", "export", "a/b/c"])
@pytest.mark.parametrize("name", EXPORTS)
def test_zip_is_the_same_dataset_as_its_folder(
    tmp_path: Path, name: str, top: str
) -> None:
    folder = EXPORTS[name](tmp_path / "d")
    path = packed(folder, top)
    dataset = open_dataset(path)
    assert dataset.sha256 == open_dataset(folder).sha256
    assert dataset.root == path


def test_zip_is_unpacked_once(tmp_path: Path, cache: Path) -> None:
    path = packed(write_yolo_export(tmp_path / "d"))
    seen: list[tuple[int, int]] = []
    first = unpacked(path, lambda *done: seen.append(done))
    assert seen == [(n, 5) for n in (1, 2, 3, 4, 5)]
    assert unpacked(path, lambda *done: seen.append(done)) == first
    assert len(seen) == 5
    assert first.parent == cache
    assert [folder.name for folder in cache.iterdir()] == [first.name]


def test_other_content_under_the_same_name_is_another_dataset(tmp_path: Path) -> None:
    folder = write_yolo_export(tmp_path / "d")
    first = unpacked(packed(folder))
    (folder / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    second = unpacked(packed(folder))
    assert second != first
    assert (second / "labels/a.txt").read_text() != (first / "labels/a.txt").read_text()


def test_cache_that_lost_a_file_or_its_end_is_unpacked_again(
    tmp_path: Path,
) -> None:
    path = packed(write_yolo_export(tmp_path / "d"))
    folder = unpacked(path)
    (folder / "classes.txt").unlink()
    (folder / "images" / "a.png").write_bytes(b"")  # as after a power cut
    assert open_dataset(path).photo_count == 2
    assert (folder / "classes.txt").is_file()


def test_what_a_killed_run_left_is_removed_and_what_a_live_one_writes_is_not(
    tmp_path: Path, cache: Path
) -> None:
    path = packed(write_yolo_export(tmp_path / "d"))
    dead, alive = cache / f"x{archive.PARTIAL}dead", cache / f"x{archive.PARTIAL}alive"
    for folder in (dead, alive):
        folder.mkdir(parents=True)
        (folder / "half.png").write_bytes(b"half")
    lock = archive._locked(alive)  # noqa: SLF001 (as its maker does)
    assert lock is not None
    unpacked(path)
    assert not dead.exists()
    assert (alive / "half.png").exists()
    os.close(lock)


def test_interrupted_unpacking_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    path = packed(write_yolo_export(tmp_path / "d"))

    def interrupt(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpacked(path, interrupt)
    assert not list(cache.iterdir())


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("../evil.png", None, "leaves the folder"),
        ("images/../../evil.png", None, "leaves the folder"),
        ("/etc/evil.png", None, "absolute"),
        ("C:/evil.png", None, "absolute"),
        ("images/link.png", link, "is a link"),
        ("images/pipe.png", pipe, "is a device"),
        ("images\\a.png", None, "not every system accepts"),
        ("images/a:b.png", None, "not every system accepts"),
        ("images/line\nbreak.png", None, "not every system accepts"),
        ("images/con.png", None, "Windows does not accept"),
        ("images/dot.", None, "Windows does not accept"),
        ("x" * 300 + ".png", None, "longer than a file name can be"),
        ("a/" * 65 + "a.png", None, "is in 65 folders, at most 64"),
        (("x" * 200 + "/") * 30 + "a.png", None, "longer than a file name can be"),
        ("images/A.png", None, "twice, or differs by case"),
        ("images/a.png", None, "twice, or differs by case"),
        ("images/a.png/b.png", None, "a file and a folder"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_harmful_member_is_refused_before_anything_is_written(
    tmp_path: Path,
    cache: Path,
    name: str,
    change: Callable[[zipfile.ZipInfo], None] | None,
    why: str,
) -> None:
    path = with_member(name, change)(tmp_path)
    with pytest.raises(DatasetError, match=r"data\.zip: refused") as caught:
        open_dataset(path)
    assert why in caught.value.why
    assert caught.value.fix
    assert not list(cache.iterdir())
    assert not (tmp_path / "evil.png").exists()


def test_member_with_a_null_byte_is_refused(tmp_path: Path, cache: Path) -> None:
    path = with_member("images/nXl.png")(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"nXl.png", b"n\0l.png"))
    with pytest.raises(DatasetError, match=r"data\.zip: refused") as caught:
        open_dataset(path)
    assert r"n\x00l.png" in caught.value.why
    assert not list(cache.iterdir())


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = packed(write_yolo_export(tmp_path / "d"))
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1  # the flag in the list at the end
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="encrypted"):
        open_dataset(path)


def test_bomb_is_refused(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros.bmp", bytes(archive.SMALL_BYTES + 1))
    with pytest.raises(DatasetError, match="more than 200 times"):
        open_dataset(path)
    assert not list(cache.iterdir())


def test_too_many_files_and_too_many_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(write_yolo_export(tmp_path / "d"))
    monkeypatch.setattr(archive, "MOST_MEMBERS", 5)
    with pytest.raises(DatasetError, match="at most 5"):
        open_dataset(path)
    monkeypatch.setattr(archive, "MOST_MEMBERS", 500)
    monkeypatch.setattr(archive, "MOST_BYTES", 100)
    with pytest.raises(DatasetError, match="it unpacks to"):
        open_dataset(path)


@pytest.mark.parametrize("lost_bytes", [1, 30, 2000])
def test_zip_that_is_cut_off_is_refused(tmp_path: Path, lost_bytes: int) -> None:
    path = packed(write_yolo_export(tmp_path / "d"))
    path.write_bytes(path.read_bytes()[:-lost_bytes])
    with pytest.raises(DatasetError, match=r"data\.zip: not a whole zip"):
        open_dataset(path)


def test_zip_with_a_flipped_bit_is_refused(tmp_path: Path, cache: Path) -> None:
    path = packed(write_yolo_export(tmp_path / "d"))
    content = bytearray(path.read_bytes())
    content[2000] ^= 1  # inside a picture
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="not a whole zip"):
        open_dataset(path)
    assert not list(cache.iterdir())


def test_what_computers_put_into_zips_is_left_out(tmp_path: Path) -> None:
    folder = write_yolo_export(tmp_path / "d")
    path = packed(folder, "export")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("__MACOSX/export/images/._a.png", b"macOS")
        file.writestr("export/.DS_Store", b"macOS")
    assert open_dataset(path).photo_count == 2
    assert unpacked(path).name == "export"


def test_names_that_macos_wrote_are_read_as_utf8(tmp_path: Path) -> None:
    folder = write_yolo_export(tmp_path / "d")
    name = "Stück"
    (folder / "images" / "b.png").rename(folder / "images" / f"{name}.png")
    (folder / "labels" / "b.txt").rename(folder / "labels" / f"{name}.txt")
    path = packed(folder)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as file:
        offsets = [info.header_offset for info in file.infolist()]
    unflagged = bytearray(content)
    for at in offsets:
        unflagged[at + 7] &= ~0x08
    at = content.index(b"PK\x01\x02")
    while at >= 0:
        unflagged[at + 9] &= ~0x08
        at = content.find(b"PK\x01\x02", at + 1)
    path.write_bytes(unflagged)
    assert f"{name}.png" in {p.path.name for p in open_dataset(path).splits["all"]}


def test_cache_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed(write_yolo_export(tmp_path / "d"))
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GRAFTLINE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DatasetError, match="cannot be unpacked") as caught:
        open_dataset(path)
    assert "GRAFTLINE_CACHE" in caught.value.fix
