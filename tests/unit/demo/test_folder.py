"""The demo writes into a folder of its own."""

from pathlib import Path

import pytest

from demo.folder import MARKER, demo_folder
from models.errors import ConfigError


def test_folder_is_made_with_its_parents(tmp_path: Path) -> None:
    with demo_folder(tmp_path / "a" / "b") as out:
        assert (out / MARKER).is_file()
        assert (out / "logs").is_dir()


def test_files_of_an_earlier_demo_are_removed(tmp_path: Path) -> None:
    with demo_folder(tmp_path / "out") as out:
        (out / "data").mkdir()
        (out / "summary.json").write_text("{}")
    with demo_folder(out):
        assert sorted(path.name for path in out.iterdir()) == [MARKER, "logs"]


def test_link_inside_is_removed_and_its_target_is_not(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    with demo_folder(tmp_path / "out") as out:
        (out / "link").symlink_to(kept)
    with demo_folder(out):
        assert not (out / "link").is_symlink()
    assert kept.is_dir()


def test_foreign_folder_is_refused_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(ConfigError, match="not from an earlier demo"),
        demo_folder(tmp_path),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_folder_of_a_running_demo_is_refused(tmp_path: Path) -> None:
    with demo_folder(tmp_path / "out") as out:
        (out / "data").mkdir()
        with pytest.raises(ConfigError, match="another demo"), demo_folder(out):
            pass
        assert (out / "data").is_dir()


def test_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match="is a file"), demo_folder(file):
        pass
    with pytest.raises(ConfigError, match="cannot be written"), demo_folder(file / "x"):
        pass
