"""What several verbs share: their lines on the terminal, and common arguments."""

import argparse
import sys
from pathlib import Path

from pydantic import BaseModel

from models.errors import ExitCode
from models.golden import read_golden_set
from models.package import Package, open_package, package_notices
from models.shown_text import on_one_line


def print_step(step: str) -> None:
    """Print a step on stderr: stdout holds only the result."""
    # With its end in one piece: several line PCs are flashed at the same time.
    print(f"{on_one_line(step)}\n", end="", file=sys.stderr, flush=True)


def print_line(text: str) -> None:
    """Print a line of stdout; names of packages and files are not obeyed."""
    print(f"{on_one_line(text)}\n", end="")


def print_json(report: BaseModel) -> int:
    """Print one JSON on stdout; return the exit code of success."""
    print(report.model_dump_json())
    return ExitCode.OK


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON on stdout, and nothing else"
    )


def add_package_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``PACKAGE``."""
    parser.add_argument("package", metavar="PACKAGE", type=Path, help="package folder")


def open_with_notices(folder: Path) -> Package:
    """Return a package after every file was verified, and print what to know of it.

    Raises:
        PackageError: It is damaged.
    """
    package = open_package(folder)
    for notice in package_notices(package):
        print_step(notice)
    return package


def open_whole_package(folder: Path) -> Package:
    """Return a package that is whole: files, thresholds and decisions.

    Raises:
        PackageError: It is damaged, or its golden frames do not fit it.
    """
    package = open_with_notices(folder)
    read_golden_set(package)
    return package
