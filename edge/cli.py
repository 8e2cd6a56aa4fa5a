"""The verb ``run``: the daemon on the line PC.

The verb ``doctor``: is this line PC fit to inspect?
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from edge.config.station import load_edge_config, render_config
from edge.doctor.finding import CheckResult, Grade, exit_code_of
from models.errors import ExitCode


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline run``.

    Args:
        parser: The verb's parser.
    """
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="configuration, TOML"
    )
    parser.add_argument(
        "--exit-at-end",
        action="store_true",
        help="end when all sources have ended and everything is delivered",
    )
    parser.add_argument(
        "--json", action="store_true", help="at the end, print the figures as one JSON"
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print what is understood of the configuration, and end",
    )


def run_run(args: argparse.Namespace) -> int:
    """Run the daemon.

    Args:
        args: From ``add_run_arguments``.

    Returns:
        Exit code: 0, or 130 after Ctrl-C.

    Raises:
        GraftlineError: See ``edge.daemon.run_daemon``.
    """
    settings = load_edge_config(args.config)
    if args.print_config:
        print(render_config(settings))
        return ExitCode.OK
    from edge.daemon import run_daemon  # noqa: PLC0415 (--help needs none of it)

    result = run_daemon(
        settings, config=args.config, exits_at_end=args.exit_at_end, tell=_tell
    )
    if args.json:
        print(json.dumps(result.summary))
    if result.error is not None:
        raise result.error
    interrupted = result.signal_number == signal.SIGINT
    return ExitCode.INTERRUPTED if interrupted else ExitCode.OK


def _tell(line: str) -> None:
    """Show a line to the person at the terminal."""
    print(line, file=sys.stderr, flush=True)


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
    from edge.config.station import load_edge_config  # noqa: PLC0415 (--help needs none of it)
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


def _print_table(findings: list[CheckResult]) -> None:
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
