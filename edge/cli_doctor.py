"""The verb ``doctor``: is this line PC fit to inspect?"""

import argparse
import json
from pathlib import Path

from edge.doctor.finding import Finding, Grade, exit_code_of


def add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline doctor``.

    Args:
        parser: The verb's parser.
    """
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="configuration, TOML"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON on stdout, no table"
    )


def run_doctor(args: argparse.Namespace) -> int:
    """Examine the line PC and print what was found.

    Args:
        args: From ``add_doctor_arguments``.

    Returns:
        Exit code of the first broken part; 0 where nothing is broken.

    Raises:
        ConfigError: The configuration cannot be read.
    """
    from edge.config import load_edge_config  # noqa: PLC0415 (--help needs none of it)
    from edge.doctor.examination import examine  # noqa: PLC0415

    findings = examine(load_edge_config(args.config))
    code = exit_code_of(findings)
    if args.json:
        rows = [finding.document() for finding in findings]
        print(json.dumps({"exit_code": code, "findings": rows}))
        return code
    _print_table(findings)
    broken = sum(finding.grade is Grade.FAIL for finding in findings)
    print(
        f"{broken} of {len(findings)} checks failed." if broken else "Fit to inspect."
    )
    return code


def _print_table(findings: list[Finding]) -> None:
    """Print what was found, one check in a row, with why and fix below it."""
    from rich.console import Console  # noqa: PLC0415 (not for --json)
    from rich.table import Table  # noqa: PLC0415

    table = Table()
    for heading in ("check", "", "what was found"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        lines = [finding.what]
        lines += [finding.why] if finding.why else []
        lines += [f"Fix: {finding.fix}"] if finding.fix else []
        table.add_row(finding.check, finding.grade.value, "\n".join(lines))
    Console(markup=False).print(table)
