"""With ``CI=true`` nothing is left out in silence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ci_rules import read_allowed_skips

ALLOWED = "needs an NVIDIA GPU"


def run_pytest(
    folder: Path, repository: Path, reason: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one test that skips itself, with this plugin of the repository only."""
    test = folder / "test_skipping.py"
    test.write_text(
        f"import pytest\ndef test_skips():\n    pytest.skip({reason!r})\n"
        "def test_passes():\n    pass\n"
        "@pytest.mark.xfail\ndef test_fails_as_expected():\n    assert 0\n"
    )
    inherited = {k: v for k, v in os.environ.items() if k != "CI"}
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", os.devnull),
            *("-p", "tests.ci_rules", "-p", "no:cacheprovider", str(test)),
        ],
        cwd=repository,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_unlisted_skip_fails_in_ci(tmp_path: Path, repository: Path) -> None:
    result = run_pytest(tmp_path, repository, "no broker here", CI="true")
    assert result.returncode == pytest.ExitCode.TESTS_FAILED
    assert "this skip is not allowed: 'no broker here'" in result.stdout


def test_listed_skip_passes_in_ci(tmp_path: Path, repository: Path) -> None:
    result = run_pytest(tmp_path, repository, f"{ALLOWED} (none found)", CI="true")
    assert result.returncode == pytest.ExitCode.OK
    assert f"1 x {ALLOWED} (none found)" in result.stdout


def test_any_skip_passes_on_a_workstation_but_is_reported(
    tmp_path: Path, repository: Path
) -> None:
    result = run_pytest(tmp_path, repository, "no broker here")
    assert result.returncode == pytest.ExitCode.OK
    assert "1 x no broker here" in result.stdout


def test_comments_of_the_list_are_not_reasons(tmp_path: Path) -> None:
    file = tmp_path / "allowed.txt"
    file.write_text("# nothing\n\nneeds a robot  # it is on holiday\n")
    assert read_allowed_skips(file) == ["needs a robot"]
