"""A package whose weaknesses could not be looked up is never reported as sound."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

# As pip-audit 2.10.1 prints them.
SOUND = {"name": "idna", "version": "3.10", "vulns": []}
WEAK = {
    "name": "idna",
    "version": "3.4",
    "vulns": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"], "aliases": []}],
}
SKIPPED = {
    "name": "uv",
    "skip_reason": "Dependency not found on PyPI and could not be audited: uv (0.13.9)",
}


@pytest.fixture(scope="module")
def audit(repository: Path) -> ModuleType:
    path = repository / "requirements" / "audit_packages.py"
    spec = importlib.util.spec_from_file_location("audit_packages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("packages", "code", "line"),
    [
        ([SOUND, SOUND], 0, "2 packages, no known weakness"),
        ([SOUND, WEAK], 1, "idna 3.4: PYSEC-2024-60, fixed in 3.7"),
        ([SOUND, SKIPPED], 3, "1 of 2 packages were not looked up: uv"),
        ([WEAK, SKIPPED], 1, "1 of 2 packages were not looked up: uv"),
        ([], 3, "0 of 0 packages were not looked up: the file has none"),
    ],
    ids=["sound", "weak", "not looked up", "weak and not looked up", "no package"],
)
def test_exit_code_and_line_state_what_was_found(
    audit: ModuleType, packages: list[dict[str, Any]], code: int, line: str
) -> None:
    result, lines = audit.verdict({"dependencies": packages, "fixes": []})
    assert result == code
    assert line in lines


def test_pip_audit_that_prints_no_list_is_a_failure(
    audit: ModuleType, repository: Path
) -> None:
    # The environment of the tests has no pip-audit.
    code, lines = audit.look_up(repository / "requirements" / "uv.txt", "pypi")
    assert code == audit.NOT_LOOKED_UP
    assert "No module named pip_audit" in lines[0]
