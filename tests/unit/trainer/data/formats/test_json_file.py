"""A JSON file is read once; the reason of a failure is kept."""

from pathlib import Path

import pytest

from models.errors import DatasetError
from trainer.data.formats.json_file import JsonFile, read_json, refuse_damaged


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


@pytest.mark.parametrize(
    "text", ['{"a": 1, "b": 2, "a": 3}', '[{"b": {"a": 1, "a": 1}}]'], ids=["top", "in"]
)
def test_key_that_is_twice_in_one_object_is_a_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text, "utf-8")
    file = read_json(tmp_path / "a.json")
    assert file.content is None
    assert "the key 'a' is twice in one object" in file.fault


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_start_of_a_damaged_file_is_kept_as_text(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_bytes('{"images": ['.encode(encoding))
    file = read_json(tmp_path / "a.json")
    assert '{"images": [' in file.start


def test_one_damaged_file_of_several_is_refused_with_the_others_named() -> None:
    whole = JsonFile(Path("train.json"), {})
    cut_off = JsonFile(Path("val.json"), None, "It is not JSON: cut off.")
    refuse_damaged([whole], "Export again.")
    with pytest.raises(DatasetError, match=r"val\.json: damaged\.") as caught:
        refuse_damaged([whole, cut_off], "Export again.")
    assert caught.value.why == (
        "It is not JSON: cut off. train.json can be read, but is only a part of the "
        "labels."
    )
