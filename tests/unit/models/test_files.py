import errno
import grp
import hashlib
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.files import (
    CHUNK_BYTES,
    ForeignFolderError,
    fsync_folder,
    is_changeable_by_others,
    is_open_to_others,
    make_folder,
    make_private_database,
    open_lock,
    open_new,
    read_regular,
    read_start,
    replaced_folder,
    sha256_of,
    temporary_name,
    write_atomically,
)


@pytest.mark.parametrize("size", [0, 5, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_hash_is_that_of_the_whole_file(size: int, tmp_path: Path) -> None:
    content = bytes(size)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_written_file_holds_the_new_content_and_nothing_else_is_left(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a longer old content")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()  # a folder in its place: the rename fails
    with pytest.raises(IsADirectoryError):
        write_atomically(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that no writer was given."""
    path = tmp_path / "outside.txt"
    path.write_text("mine")
    return path


@pytest.mark.fault(81)
def test_link_in_place_of_a_file_is_replaced_and_its_target_unchanged(
    tmp_path: Path, outside: Path
) -> None:
    path = tmp_path / "file"
    path.symlink_to(outside)
    write_atomically(path, b"new")
    assert (path.is_symlink(), path.read_bytes()) == (False, b"new")
    assert outside.read_text() == "mine"


@pytest.mark.fault(81)
def test_link_planted_under_the_temporary_name_is_not_followed(
    tmp_path: Path, outside: Path
) -> None:
    (tmp_path / ".file.7.tmp").symlink_to(outside)
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert outside.read_text() == "mine"


def test_new_file_takes_the_place_of_a_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "new").symlink_to(outside)
    with open_new(tmp_path / "new") as file:
        file.write(b"new")
    assert (tmp_path / "new").read_bytes() == b"new"
    assert outside.read_text() == "mine"


def test_folder_is_not_made_where_a_link_has_its_name(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(NotADirectoryError, match="files would be written elsewhere"):
        make_folder(tmp_path / "link")


@pytest.mark.fault(81)
@pytest.mark.parametrize("name", [".out.partial", ".out.previous"])
@pytest.mark.parametrize("is_dangling", [False, True])
def test_links_beside_a_replaced_folder_are_not_followed(
    name: str, *, is_dangling: bool, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    if not is_dangling:
        other.mkdir()
        (other / "mine").touch()
    (tmp_path / name).symlink_to(other)
    with replaced_folder(tmp_path / "out") as folder:
        (folder / "file").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert is_dangling or [path.name for path in other.iterdir()] == ["mine"]


def test_folder_that_does_not_exist_cannot_be_made_durable(tmp_path: Path) -> None:
    fsync_folder(tmp_path)
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        fsync_folder(tmp_path / "nowhere")


def replace_with(out: Path, name: str, content: str) -> None:
    with replaced_folder(out, marker="marker") as folder:
        (folder / name).write_text(content)
        (folder / "marker").touch()


def test_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    replace_with(tmp_path / "a" / "b", "file", "new")
    assert (tmp_path / "a" / "b" / "file").read_text() == "new"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_marked_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    replace_with(tmp_path / "out", "old", "old")
    replace_with(tmp_path / "out", "new", "new")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"new", "marker"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["file", "link", "content"])
def test_folder_without_the_marker_is_not_replaced(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "link":
        (tmp_path / "other").mkdir()
        out.symlink_to("other")
    else:
        out.mkdir()
        (out / "mine").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ForeignFolderError):
        replace_with(out, "new", "new")
    assert sorted(tmp_path.rglob("*")) == before


def test_without_a_marker_only_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with replaced_folder(out) as folder:
        (folder / "file").touch()
    with pytest.raises(ForeignFolderError), replaced_folder(out):
        pass
    assert [path.name for path in out.iterdir()] == ["file"]


def test_block_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    replace_with(tmp_path / "out", "file", "old")

    def fail() -> None:
        with replaced_folder(tmp_path / "out", marker="marker") as folder:
            (folder / "file").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "out" / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_power_cut_between_the_two_renames_is_repaired(tmp_path: Path) -> None:
    replace_with(tmp_path / ".out.previous", "file", "old")
    (tmp_path / ".out.partial").mkdir()

    def stop() -> None:
        with replaced_folder(tmp_path / "out", marker="marker"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert (tmp_path / "out" / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_everything_is_durable_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    with replaced_folder(tmp_path / "out") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").touch()
    assert synced == ["file", "sub", ".out.partial", tmp_path.name]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large"])
def test_only_a_small_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "manifest.json"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "large":
            path.write_bytes(b"0" * 11)
    with pytest.raises(OSError, match=r"regular file|directory|larger than 10 bytes"):
        read_regular(path, 10)


def test_regular_file_is_read_whole_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0" * 10)
    (tmp_path / "link").symlink_to("a")
    assert read_regular(tmp_path / "link", 10) == b"0" * 10


def test_each_temporary_name_differs(tmp_path: Path) -> None:
    names = {temporary_name(tmp_path / "file") for _ in range(100)}
    assert len(names) == 100


@pytest.mark.fault(81)
def test_lock_is_not_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is a link"):
        open_lock(tmp_path / "lock")
    assert not (tmp_path / "elsewhere").exists()


def test_database_is_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    before = os.umask(0)
    try:
        make_private_database(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_wider_database_and_its_log_are_tightened(tmp_path: Path) -> None:
    files = [tmp_path / f"a.sqlite{end}" for end in ("", "-wal")]
    for file in files:
        file.touch()
        file.chmod(0o644)
    make_private_database(files[0])
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]


@pytest.mark.parametrize("read", [read_regular, read_start])
def test_pipe_is_refused_without_waiting_for_a_writer(
    tmp_path: Path, read: Callable[[Path, int], bytes]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            read(path, 10)


def test_file_above_the_limit_is_refused_and_its_start_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    os.truncate(path, 1 << 40)  # larger than the memory
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_regular(path, 10)
    assert read_start(path, 4) == b"0123"
    os.truncate(path, 10)
    assert read_regular(path, 10) == b"0123456789"


@pytest.mark.parametrize(
    ("mode", "group", "members", "expected"),
    [
        (0o640, "me", [], False),
        (0o640, "me", ["me"], False),
        (0o640, "me", ["me", "you"], True),
        (0o640, "users", [], True),
        (0o644, "me", [], True),
        (0o600, "users", [], False),
    ],
)
def test_only_the_group_of_this_user_alone_is_not_others(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    group: str,
    members: list[str],
    *,
    expected: bool,
) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda _: SimpleNamespace(pw_name="me"))
    found = SimpleNamespace(gr_name=group, gr_mem=members)
    monkeypatch.setattr(grp, "getgrgid", lambda _: found)
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(mode)
    tmp_path.chmod(0o755)
    assert is_open_to_others(tmp_path / "file") is expected
    (tmp_path / "file").chmod(mode | (mode & 0o044) >> 1)
    assert is_changeable_by_others(tmp_path / "file") is expected
    tmp_path.chmod(0o700)
    assert not is_open_to_others(tmp_path / "file"), "others cannot enter the folder"
