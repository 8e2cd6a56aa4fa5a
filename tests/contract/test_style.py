"""The cap of a function, and what no file of the repository may contain."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.contract.laws import REPOSITORY, Source
from tests.contract.style_laws import find_long_function

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


def test_function_of_exactly_the_cap_is_allowed() -> None:
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
