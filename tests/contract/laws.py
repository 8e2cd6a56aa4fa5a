"""What a law of ``style.md`` is, for the tests that read our own source.

import-linter checks who imports whom. What it cannot see (calls, lengths,
handlers, names) is checked here on the syntax tree.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).resolve().parents[2]
ROOMS = ("models", "trainer", "edge", "deploy", "dashboard", "demo", "pretraining")


@dataclass(frozen=True)
class Source:
    """One file of the product: its path in the repository, its text and its tree."""

    path: PurePosixPath
    text: str

    @classmethod
    def at(cls, path: str, text: str) -> "Source":
        """Return a file that exists only in a test."""
        return cls(PurePosixPath(path), text)

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def is_in(self, *rooms: str) -> bool:
        """Whether it is one of the modules, or inside one of the packages."""
        name = ".".join(self.path.with_suffix("").parts)
        return any(name == room or name.startswith(f"{room}.") for room in rooms)


Finding = tuple[int, str]  # line, what is wrong there


@dataclass(frozen=True)
class Law:
    """One law, and a snippet that breaks it.

    ``find`` yields what is wrong in a file that the law applies to.
    """

    name: str
    find: Callable[[Source], Iterator[Finding]]
    bad_path: str
    bad_text: str
    applies: Callable[[Source], bool] = lambda _: True

    def findings(self, source: Source) -> list[str]:
        """Return ``path:line: message`` for all that is wrong in the file."""
        if not self.applies(source):
            return []
        return [f"{source.path}:{line}: {text}" for line, text in self.find(source)]

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


@cache
def our_sources() -> tuple[Source, ...]:
    """Return every Python file of the product; tests have their own ways."""
    files = [REPOSITORY / "graftline.py"]
    for room in ROOMS:
        files += sorted((REPOSITORY / room).rglob("*.py"))
    return tuple(
        Source(PurePosixPath(file.relative_to(REPOSITORY)), file.read_text("utf-8"))
        for file in files
    )


def dotted_name(node: ast.AST) -> str:
    """Return ``a.b.c`` for such an expression; unknown parts are ``?``."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted_name(node.value)}.{node.attr}"
    return "?"


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Yield every call with the dotted name of what is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, dotted_name(node.func)


def imported_modules(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"
