"""Text files of datasets, as the editors of Windows write them too."""

from pathlib import Path

import pytest

from models.errors import DatasetError
from trainer.data.formats.text_file import read_damaged_text, read_text


@pytest.mark.parametrize(
    "content",
    [
        "Drück\n".encode(),
        "Drück\n".encode("utf-8-sig"),
        "Drück\n".encode("utf-16"),
        b"\xfe\xff" + "Drück\n".encode("utf-16-be"),
    ],
    ids=["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"],
)
def test_text_is_read_without_its_mark(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert read_text(path) == read_damaged_text(path) == "Drück\n"


@pytest.mark.parametrize("content", ["Drück".encode("cp1252"), b"\xff\xfea"])
def test_other_bytes_are_refused_or_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.txt: not UTF-8"):
        read_text(path)
    assert "\ufffd" in read_damaged_text(path)


def test_empty_file_and_mark_alone_are_empty_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content in (b"", b"\xef\xbb\xbf", b"\xff\xfe"):
        path.write_bytes(content)
        assert read_text(path) == ""
