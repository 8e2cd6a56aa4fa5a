"""The commands of the demo are this installation's, wherever it is started."""

import subprocess
from pathlib import Path

from demo.children import ChildCommand


def test_files_in_the_current_folder_are_not_run(tmp_path: Path) -> None:
    for name in ("graftline.py", "argparse.py"):
        (tmp_path / name).write_text("raise SystemExit(77)")
    argv = ChildCommand("version", ("graftline", "--version")).argv
    ended = subprocess.run(
        argv, cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
