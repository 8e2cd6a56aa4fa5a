"""The verbs of the line PC: ``run`` (the daemon) and ``doctor`` (its checks)."""

import argparse
import contextlib
import json
import signal
import sys
from pathlib import Path

from edge.config.station import EdgeSettings, load_edge_config, render_config
from edge.doctor.check_result import CheckResult, Grade, exit_code_of
from models.errors import ExitCode, GraftlineError
from models.shown_text import on_one_line


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline run``."""
    _add_config_argument(parser)
    parser.add_argument(
        "--exit-at-end",
        action="store_true",
        help="end when all sources have ended and everything is delivered",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="at the end, print state and counters as one JSON",
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print the configuration with all defaults, and exit",
    )


def add_doctor_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``graftline doctor``."""
    _add_config_argument(parser)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON on stdout, no table"
    )


def _add_config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="configuration, TOML"
    )


def run_run(args: argparse.Namespace) -> int:
    """Run the daemon.

    Returns:
        Exit code: 0, or 130 after Ctrl-C.

    Raises:
        GraftlineError: See ``edge.daemon.run_daemon``.
    """
    settings = load_edge_config(args.config)
    if args.print_config:
        print(render_config(settings))
        _print_silent_rules(settings)
        return ExitCode.OK
    from edge.daemon import run_daemon  # noqa: PLC0415 (--help needs none of it)

    result = run_daemon(
        settings,
        config=args.config,
        exits_at_end=args.exit_at_end,
        show_progress=_print_progress,
    )
    if args.json:
        print(json.dumps(result.summary))
    if result.error is not None:
        raise result.error
    interrupted = result.signal_number == signal.SIGINT
    return ExitCode.INTERRUPTED if interrupted else ExitCode.OK


def run_doctor(args: argparse.Namespace) -> int:
    """Check the line PC and print the results.

    Returns:
        Exit code of the first failed check; 0 where no check failed.

    Raises:
        ConfigError: The configuration cannot be read.
    """
    from edge.doctor.checks import run_doctor_checks  # noqa: PLC0415 (--help needs none of it)

    results = run_doctor_checks(load_edge_config(args.config), args.config)
    code = exit_code_of(results)
    if args.json:
        rows = [result.document() for result in results]
        print(json.dumps({"exit_code": code, "findings": rows}))
        return code
    _print_table(results)
    print(_conclusion(results))
    return code


def _conclusion(results: list[CheckResult]) -> str:
    from edge.doctor.rules_check import is_degraded  # noqa: PLC0415 (--help needs none of it)

    failed = sum(result.grade is Grade.FAIL for result in results)
    if failed:
        return f"{failed} of {len(results)} checks failed."
    silent = [result.check for result in results if is_degraded(result)]
    if silent:
        return f"Degraded: {', '.join(silent)}."
    return "Fit to inspect."


def _print_silent_rules(settings: EdgeSettings) -> None:
    """Print on stderr which rules hide every defect: stdout is one JSON."""
    from edge.inspection.known_defects import configured_silent_rules  # noqa: PLC0415 (--help needs none of it)

    try:
        silent = configured_silent_rules(settings)
    except GraftlineError as error:
        _print_progress(f"The rules are not compared with the model. {error}")
        return
    for rule in silent:
        _print_progress(f"degraded: {rule}. Fix: {rule.fix}")


def _print_progress(line: str) -> None:
    # Who reads the terminal may be gone: it inspects, and it ends in order.
    with contextlib.suppress(OSError):
        print(on_one_line(line), file=sys.stderr, flush=True)


def _print_table(results: list[CheckResult]) -> None:
    from rich.console import Console  # noqa: PLC0415 (not for --json)
    from rich.table import Table  # noqa: PLC0415

    table = Table()
    for heading in ("check", "", "what was found"):
        table.add_column(heading, overflow="fold")
    for result in results:
        lines = [result.what]
        lines += [result.why] if result.why else []
        lines += [f"Fix: {result.fix}"] if result.fix else []
        text = "\n".join(map(on_one_line, lines))
        table.add_row(result.check, result.grade.value, text)
    Console(markup=False).print(table)
