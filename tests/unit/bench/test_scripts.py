"""Every bench imports names that exist, so that it starts when it is needed."""

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench"
OWN = {
    *("bench", "measuring", "models", "trainer", "edge", "deploy", "dashboard"),
    *("demo", "pretraining", "tests"),
}
SCRIPTS = sorted([*BENCH.glob("*.py"), *(BENCH / "measuring").glob("*.py")])


def imported_names(script: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of each ``from ... import`` of this repository."""
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in OWN:
            yield from ((str(node.module), alias.name) for alias in node.names)


def exists(module: str, name: str) -> bool:
    if hasattr(importlib.import_module(module), name):
        return True
    return importlib.util.find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_bench_imports_names_that_exist(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(BENCH)])
    missing = [
        f"{module}.{name}"
        for module, name in imported_names(script)
        if not exists(module, name)
    ]
    assert missing == []
