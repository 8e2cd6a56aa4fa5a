"""One daemon uses the file, and a damaged one is put aside."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from edge.delivery.outbox.recovery import (
    QUARANTINED_KEPT,
    is_damage,
    lock_outbox,
    open_outbox,
    quarantine,
)
from models.errors import DeliveryError

CAP_BYTES = 1 << 20
NOBODY = 65534


def test_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "new" / "outbox.db"
    lock = lock_outbox(path)
    with pytest.raises(DeliveryError, match="another daemon is using it"):
        lock_outbox(path)
    os.close(lock)
    os.close(lock_outbox(path))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [("SELECT * FROM absent", True), ("nonsense", False)],
)
def test_error_of_sqlite_is_damage_or_not(statement: str, *, expected: bool) -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.DatabaseError) as caught:
        connection.execute(statement)
    connection.close()
    assert is_damage(caught.value) is expected


def test_error_of_the_check_is_damage() -> None:
    assert is_damage(sqlite3.DatabaseError("its header is damaged"))


def test_damaged_file_moves_aside_with_its_log(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"rubbish")
    (tmp_path / "outbox.db-wal").write_bytes(b"log")
    quarantine(path, "test")
    assert not path.exists()
    names = sorted(each.name for each in tmp_path.iterdir())
    assert len(names) == 2
    assert names[0].startswith("outbox.db.damaged-")
    assert names[1] == f"{names[0]}-wal"


def test_only_the_newest_damaged_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    for number in range(QUARANTINED_KEPT + 2):
        path.write_text(str(number))
        quarantine(path, "test")
    kept = sorted(tmp_path.glob("outbox.db.damaged-*Z"))
    assert [each.read_text() for each in kept] == ["2", "3"]


def test_damaged_file_is_replaced_by_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"rubbish" * 1000)
    database = open_outbox(path, CAP_BYTES)
    assert database.depth == database.last_seq == 0
    database.close()


def test_folder_in_place_of_the_file_is_an_error_with_a_fix(tmp_path: Path) -> None:
    folder = tmp_path / "outbox.db"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(DeliveryError, match="cannot be opened") as caught:
        open_outbox(folder, CAP_BYTES)
    assert "outbox.path" in caught.value.fix


def start_with(path: Path) -> None:
    os.close(lock_outbox(path))
    open_outbox(path, CAP_BYTES).close()


@pytest.mark.fault(91)
@pytest.mark.parametrize("what", ["file", "folder"])
def test_outbox_of_another_user_is_named_with_both_users(
    tmp_path: Path, what: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to act as another user")
    path = tmp_path / "outbox.db"
    open_outbox(path, CAP_BYTES).close()
    tmp_path.chmod(0o700 if what == "folder" else 0o755)
    modes = {each: each.stat().st_mode for each in tmp_path.parents[:-2]}
    for folder, mode in modes.items():
        folder.chmod(mode | 0o055)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(DeliveryError) as caught:
            start_with(path)
    finally:
        os.seteuid(0)
        for folder, mode in modes.items():
            folder.chmod(mode)
    assert f"belongs to user 0, the daemon is user {NOBODY}" in caught.value.why
    assert "to the daemon's user" in caught.value.fix


@pytest.mark.parametrize("content", [b"", b"rubbish" * 999], ids=["new", "damaged"])
def test_outbox_and_its_lock_are_private_whatever_the_umask(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "new" / "outbox.db"
    if content:
        path.parent.mkdir(0o700)
        path.write_bytes(content)
    before = os.umask(0)
    try:
        lock = lock_outbox(path)
        open_outbox(path, CAP_BYTES).close()
    finally:
        os.umask(before)
    os.close(lock)
    files = [path.parent, *path.parent.iterdir()]
    assert {stat.S_IMODE(file.stat().st_mode) & 0o077 for file in files} == {0}


def test_lock_that_is_a_planted_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outbox.db.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DeliveryError, match="is a link"):
        lock_outbox(tmp_path / "outbox.db")
    assert not (tmp_path / "elsewhere").exists()
