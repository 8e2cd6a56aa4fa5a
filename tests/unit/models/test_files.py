import errno
import hashlib
import os
from pathlib import Path

import pytest

from models.files import CHUNK_BYTES, fsync_folder, sha256_of, write_atomically


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


def test_folder_that_does_not_exist_cannot_be_made_durable(tmp_path: Path) -> None:
    fsync_folder(tmp_path)
    with pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        fsync_folder(tmp_path / "nowhere")
