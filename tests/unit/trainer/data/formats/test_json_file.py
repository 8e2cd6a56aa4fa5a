"""A JSON file is read once; the reason of a failure is kept."""

from pathlib import Path

import pytest

from trainer.data.formats.json_file import read_json


def test_content_is_kept_without_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": [1]}')
    file = read_json(tmp_path / "a.json")
    assert (file.content, file.fault, file.is_readable) == ({"a": [1]}, "", True)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", "It is not JSON"),
        (b"\xff\xff", "It is not JSON"),
        (b"", "It is not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"9" * 5000, "It is not JSON"),
    ],
)
def test_damaged_content_is_a_fault_of_a_readable_file(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    file = read_json(tmp_path / "a.json")
    assert fault in file.fault
    assert (file.content, file.is_readable) == (None, True)


def test_missing_file_is_not_readable(tmp_path: Path) -> None:
    file = read_json(tmp_path / "a.json")
    assert (file.content, file.is_readable) == (None, False)
    assert "No such file" in file.fault
