"""Lengths and names (``style.md`` S2, S3), and what may stand in no file at all."""

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.laws import REPOSITORY, Finding, Law, Source, our_sources

MODULE_CAP_LINES = 600
FUNCTION_CAP_LINES = 60
BANNED_WORDS = {"utils", "util", "helpers", "helper", "misc", "common", "manager"}
BANNED_PREFIXES = ("do_", "process_")

# Built from pieces, so that this file does not contain what it forbids.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org/whl"),
        ("anaconda", "org"),
        ("npmjs", "org"),
        ("pypi", "ngc", "nvidia", "com"),
    )
)


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
            yield 1, f"the name {part!r} says nothing"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.lstrip("_").startswith(BANNED_PREFIXES):
                yield node.lineno, f"the name {node.name!r} says nothing"
        elif isinstance(node, ast.ClassDef) and node.name.endswith(
            ("Manager", "Helper", "Utils")
        ):
            yield node.lineno, f"the name {node.name!r} says nothing"


LAWS = [
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
        "names say something",
        find_banned_name,
        bad_path="edge/camera_utils.py",
        bad_text="class CameraManager: pass\ndef process_frame(): pass\n",
    ),
]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_law_is_kept(law: Law) -> None:
    findings = [text for source in our_sources() for text in law.findings(source)]
    assert not findings, "\n".join(["", *findings])


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_breaking_the_law_is_found(law: Law) -> None:
    assert law.findings(Source.at(law.bad_path, law.bad_text))


def test_function_of_exactly_the_cap_is_lawful() -> None:
    text = 'def f():\n    """A.\n\n    B.\n    """\n' + "    x = 1\n" * 59
    assert not list(find_long_function(Source.at("edge/daemon.py", text)))


def find_registry_hosts(text: str) -> list[str]:
    return [host for host in REGISTRY_HOSTS if host in text]


def files_of_the_repository() -> list[Path]:
    """Return what git would publish: tracked, or new and not ignored."""
    git = shutil.which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        pytest.skip("needs git and a checkout")
    listing = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        timeout=60,
    )
    names = listing.stdout.decode().split("\0")
    return [REPOSITORY / name for name in names if (REPOSITORY / name).is_file()]


def test_no_file_names_a_package_registry() -> None:
    findings = [
        f"{file.relative_to(REPOSITORY)}: {host}"
        for file in files_of_the_repository()
        for host in find_registry_hosts(file.read_text("utf-8", errors="replace"))
    ]
    assert not findings, "\n".join(["", *findings])


def test_registry_host_would_be_found() -> None:
    assert find_registry_hosts(f"--index-url https://{REGISTRY_HOSTS[0]}/simple")
