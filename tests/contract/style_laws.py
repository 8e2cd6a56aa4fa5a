"""The laws on lengths and names (``style.md`` S2, S3)."""

import ast
from collections.abc import Iterator

from tests.contract.laws import Finding, Law, Source

MODULE_CAP_LINES = 600
FUNCTION_CAP_LINES = 60
BANNED_WORDS = {"utils", "util", "helpers", "helper", "misc", "common", "manager"}
BANNED_PREFIXES = ("do_", "process_")


def find_long_module(source: Source) -> Iterator[Finding]:
    lines = source.text.count("\n")
    if lines > MODULE_CAP_LINES:
        yield lines, f"{lines} lines; the cap is {MODULE_CAP_LINES}"


def find_long_function(source: Source) -> Iterator[Finding]:
    """Count what is between the def and the end, the docstring left out.

    A docstring explains shapes and sources (S9); it must not cost room.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                lines -= (first.end_lineno or 0) - first.lineno + 1
            if lines > FUNCTION_CAP_LINES:
                yield (
                    node.lineno,
                    f"{node.name}() has {lines} lines; the cap is {FUNCTION_CAP_LINES}",
                )


def find_banned_name(source: Source) -> Iterator[Finding]:
    for part in source.path.with_suffix("").parts:
        if set(part.split("_")) & BANNED_WORDS:
            yield 1, f"the name {part!r} has no meaning"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.lstrip("_").startswith(BANNED_PREFIXES):
                yield node.lineno, f"the name {node.name!r} has no meaning"
        elif isinstance(node, ast.ClassDef) and node.name.endswith(
            ("Manager", "Helper", "Utils")
        ):
            yield node.lineno, f"the name {node.name!r} has no meaning"


STYLE_LAWS = [
    Law(
        "modules are short",
        find_long_module,
        bad_path="edge/daemon.py",
        bad_text="x = 1\n" * (MODULE_CAP_LINES + 1),
    ),
    Law(
        "functions are short",
        find_long_function,
        bad_path="edge/daemon.py",
        bad_text="def f():\n" + "    x = 1\n" * FUNCTION_CAP_LINES,
    ),
    Law(
        "names have a meaning",
        find_banned_name,
        bad_path="edge/camera_utils.py",
        bad_text="class CameraManager: pass\ndef process_frame(): pass\n",
    ),
]
