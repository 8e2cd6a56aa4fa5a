from pathlib import Path

import pytest

from edge.cameras.inspected_pictures import InspectedPictures
from edge.cameras.sources import folder_watch
from edge.cameras.sources.folder_watch import digest_of


def test_committed_pictures_are_known_to_the_next_daemon(tmp_path: Path) -> None:
    first = InspectedPictures(tmp_path)
    first.load("top", tmp_path)
    first.note_taken("top", "a" * 32)
    first.note_taken("top", "b" * 32)
    first.add("top", "a" * 32)
    assert first.known("top") == {"a" * 32, "b" * 32}
    second = InspectedPictures(tmp_path)
    second.load("top", tmp_path)
    second.load("side", tmp_path)
    assert second.known("top") == {"a" * 32}
    assert second.known("side") == frozenset()


def test_pictures_that_are_gone_are_removed_unless_all_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.cameras.inspected_pictures.SPARE_DIGESTS", 1)
    folder = tmp_path / "parts"
    folder.mkdir()
    old = InspectedPictures(tmp_path)
    path = folder / "a.png"
    path.write_bytes(b"x")
    kept = digest_of(path, path.stat())
    for digest in ("1" * 32, "2" * 32, kept):
        old.add("top", digest)
    text = (tmp_path / "inspected-top.txt").read_text("utf-8")
    path.rename(tmp_path / "a.png")
    empty = InspectedPictures(tmp_path)
    empty.load("top", folder)  # it may not be mounted
    assert (tmp_path / "inspected-top.txt").read_text("utf-8") == text
    (tmp_path / "a.png").rename(path)
    InspectedPictures(tmp_path).load("top", folder)
    assert (tmp_path / "inspected-top.txt").read_text("utf-8") == f"{kept}\n"


def test_file_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = InspectedPictures(tmp_path / "none")
    pictures.add("top", "a" * 32)
    pictures.add("top", "b" * 32)
    assert caplog.text.count("inspected_not_written camera=top") == 1


def test_digest_has_the_length_of_its_field(tmp_path: Path) -> None:
    path = tmp_path / "ü\udcff.png"
    assert len(digest_of(path, tmp_path.stat())) == 32
    assert folder_watch.SPARE_DIGESTS > 0
