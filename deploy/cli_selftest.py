"""The verb ``selftest``.

Each flash starts it in a process of its own, so this module imports no more than it
needs: no signatures, no ways to a line PC.
"""

import argparse

from deploy.cli_shared import (
    add_json_argument,
    add_package_argument,
    open_whole_package,
    print_json,
    print_line,
)
from deploy.results import SelftestReport
from models.errors import ExitCode
from models.shown_text import on_one_line
from models.slot_files import Proof


def add_selftest_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline selftest``."""
    add_package_argument(parser)
    add_json_argument(parser)


def run_selftest(args: argparse.Namespace) -> int:
    """Run a package's golden frames on this machine, in every run mode."""
    from deploy.selftest.process import limited_self  # noqa: PLC0415 - as below
    from deploy.selftest.run_modes import measure_run_modes  # noqa: PLC0415 - imports the runtimes

    with limited_self():
        report = measure_run_modes(open_whole_package(args.package))
    if args.json:
        print_json(report)
    else:
        print_modes(report)
    report.proof()  # raises where no run mode passed
    return ExitCode.OK


def print_modes(report: Proof | SelftestReport) -> None:
    """Print a table of all run modes."""
    from rich.console import Console  # noqa: PLC0415 - not for --json
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        title=f"Self-test on {report.machine}, {report.golden_frames} golden frames"
    )
    for heading in ("variant", "precision", "golden frames"):
        table.add_column(heading)
    for heading in ("p50 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for mode in report.modes:
        verdict = "as expected" if mode.passed else "not as expected"
        chosen = " (chosen)" if mode == report.chosen else ""
        p50 = f"{mode.latency_ms_p50:.1f}" if mode.passed else "-"
        p99 = f"{mode.latency_ms_p99:.1f}" if mode.passed else "-"
        table.add_row(mode.variant + chosen, mode.precision_hint, verdict, p50, p99)
    Console(markup=False).print(table)
    for mode in report.modes:  # a table cuts long lines
        if not mode.passed:
            reason = on_one_line(mode.reason)
            print_line(f"not {mode.variant} {mode.precision_hint}: {reason}")
