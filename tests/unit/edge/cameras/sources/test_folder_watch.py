import os
from pathlib import Path

import pytest

from edge.cameras.sources.folder_watch import (
    LIST_AFTER_S,
    UNREADABLE_AFTER_S,
    WHOLE_AFTER_S,
    FolderWatch,
    digest_of,
)

NOW = 1_800_000_000.0


def write(path: Path, content: bytes = b"x", age_s: float = 0) -> Path:
    path.write_bytes(content)
    os.utime(path, (NOW - age_s, NOW - age_s))
    return path


@pytest.fixture
def watch(tmp_path: Path) -> FolderWatch:
    return FolderWatch(tmp_path, frozenset())


def drain(watch: FolderWatch, now_s: float) -> list[str]:
    """Inspect all whole pictures; return their names."""
    names = []
    while (found := watch.next(now_s, NOW + now_s)) is not None:
        watch.finish(found)
        names.append(found.path.name)
    return names


def test_old_pictures_are_whole_at_once_and_come_in_natural_order(
    watch: FolderWatch, tmp_path: Path
) -> None:
    for name in ("p-10.png", "p-2.png", "note.txt"):
        write(tmp_path / name, age_s=60)
    assert drain(watch, 0) == ["p-2.png", "p-10.png"]
    assert drain(watch, 100) == []


def test_new_picture_is_whole_when_it_has_not_changed_for_a_second(
    watch: FolderWatch, tmp_path: Path
) -> None:
    write(tmp_path / "a.png", b"half")
    assert drain(watch, 0) == []
    write(tmp_path / "a.png", b"all of it", age_s=-1)
    assert drain(watch, WHOLE_AFTER_S) == []  # it changed since
    assert drain(watch, 2 * WHOLE_AFTER_S) == ["a.png"]


def test_picture_of_a_clock_that_is_ahead_is_whole_after_a_second_too(
    watch: FolderWatch, tmp_path: Path
) -> None:
    write(tmp_path / "a.png", age_s=-3600)
    assert drain(watch, 0) == []
    assert drain(watch, WHOLE_AFTER_S) == ["a.png"]


def test_picture_that_is_written_again_is_another_one(
    watch: FolderWatch, tmp_path: Path
) -> None:
    write(tmp_path / "a.png", age_s=60)
    assert drain(watch, 0) == ["a.png"]
    write(tmp_path / "a.png", b"the next part", age_s=50)
    assert drain(watch, LIST_AFTER_S) == ["a.png"]


def test_inspected_pictures_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", age_s=60)
    write(tmp_path / "b.png", age_s=60)
    done = frozenset({digest_of(path, path.stat())})
    assert drain(FolderWatch(tmp_path, done), 0) == ["b.png"]


def test_picture_that_cannot_be_decoded_gets_more_time(
    watch: FolderWatch, tmp_path: Path
) -> None:
    write(tmp_path / "slow.png")
    write(tmp_path / "whole.png")
    watch.next(0, NOW)
    slow = watch.next(WHOLE_AFTER_S, NOW)
    assert slow is not None
    assert watch.postpone(slow)
    assert drain(watch, WHOLE_AFTER_S) == ["whole.png"]  # it does not block others
    again = watch.next(UNREADABLE_AFTER_S, NOW)
    assert again is slow
    assert not watch.postpone(slow)


def test_picture_that_changed_while_it_was_read_is_read_again(
    watch: FolderWatch, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.png", age_s=60)
    found = watch.next(0, NOW)
    assert found is not None
    assert not watch.is_changed(found)
    write(path, b"longer", age_s=50)
    assert watch.is_changed(found)
    assert drain(watch, LIST_AFTER_S) == ["a.png"]


def test_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        FolderWatch(tmp_path / "gone", frozenset()).next(0, NOW)
