"""The verb ``fleet``: flash all line PCs of an inventory, and show their states."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from deploy.cli import PARALLEL_MAX, keys_for
from deploy.cli_shared import (
    add_json_argument,
    add_package_argument,
    open_whole_package,
    print_json,
    print_line,
    print_step,
)
from deploy.cli_trial import add_again_argument, add_trial_arguments, trial_options
from deploy.cli_trust import add_keys_options, keys_from, root_file_from
from deploy.flashing import prepared_delivery
from deploy.fleet.enrolment import enroll_fleet
from deploy.fleet.inventory import FleetPc, choose_pcs, read_inventory
from deploy.fleet.line_pcs import LinePcFlash, is_there, look_at_line_pc
from deploy.fleet.look import read_fleet
from deploy.fleet.reports import FleetReport, FleetStatus, PcResult
from deploy.fleet.rollout import FleetFlash
from deploy.fleet.state import FleetState, SeenPc, operator_name
from deploy.results import PackageName
from deploy.target import parse_target
from deploy.trust.key_repository import KeyRepository
from models.counted import counted
from models.errors import ExitCode
from models.shown_text import on_one_line

PARALLEL = 8
STATE_SUFFIX = ".state"
EXIT_CODES = (
    "Exit codes: 0 all PCs are good, 8 one is bad, 7 none is bad and some are left for "
    "later (off, or outside of their window): give the same command again."
)


def add_fleet_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of ``graftline fleet`` with their arguments."""
    parser.epilog = EXIT_CODES
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    flash = actions.add_parser(
        "flash",
        help="flash all PCs in waves: one, a quarter, the rest",
        description="Flash all PCs of an inventory in waves: one, a quarter, the rest. "
        "The first failure stops it; the same command goes on.",
        epilog=EXIT_CODES,
    )
    add_package_argument(flash)
    _add_shared_arguments(flash)
    add_keys_options(flash)
    add_trial_arguments(flash)
    add_again_argument(flash)
    flash.add_argument(
        "--now", action="store_true", help="also outside of maintenance windows"
    )
    flash.add_argument(
        "--dry-run", action="store_true", help="show the waves and change nothing"
    )
    enroll = actions.add_parser(
        "enroll",
        help="make all PCs trust your keys, once",
        description="Make all PCs of an inventory trust the keys of a workshop, as "
        "graftline enroll does for one.",
        epilog=EXIT_CODES,
    )
    _add_shared_arguments(enroll)
    add_keys_options(enroll)
    enroll.add_argument(
        "--root",
        metavar="FILE",
        type=Path,
        help="what `keys show --root FILE` wrote, in the place of the keys",
    )
    status = actions.add_parser(
        "status",
        help="show what every PC runs",
        description="Ask every PC of an inventory what it runs.",
        epilog=EXIT_CODES,
    )
    _add_shared_arguments(status)


def run_fleet(args: argparse.Namespace) -> int:
    """Run one action of ``graftline fleet``."""
    pcs = choose_pcs(read_inventory(args.inventory), args.limit)
    folder = args.state or args.inventory.with_suffix(STATE_SUFFIX)
    state = FleetState(folder.absolute(), operator_name())
    if args.action == "flash":
        return _run_flash(args, pcs, state)
    if args.action == "enroll":
        return _run_enroll(args, pcs, state)
    status = read_fleet(pcs, state, look_at_line_pc, args.parallel)
    if args.json:
        print_json(status)
    else:
        _print_status(status)
    return status.exit_code


def _run_flash(
    args: argparse.Namespace, pcs: tuple[FleetPc, ...], state: FleetState
) -> int:
    package = open_whole_package(args.package)
    run = FleetFlash(
        pcs=pcs,
        package=PackageName.of(package),
        state=state,
        look=look_at_line_pc,
        on_step=print_step,
        parallel=args.parallel,
        ignore_windows=args.now,
    )
    if args.dry_run:
        return _print_plan(run)
    with (
        state.locked(),
        prepared_delivery(package, _keys(args, pcs)) as delivery,
    ):
        report = run.run(LinePcFlash(delivery, trial_options(args)))
    if args.json:
        print_json(report)
    else:
        _print_report(report)
    return report.exit_code


def _run_enroll(
    args: argparse.Namespace, pcs: tuple[FleetPc, ...], state: FleetState
) -> int:
    root = root_file_from(args)
    with state.locked():
        report = enroll_fleet(pcs, root, state, args.parallel)
    if args.json:
        print_json(report)
        return report.exit_code
    for pc in report.pcs:
        done = "enrolled" if pc.is_new else "nothing to do: trusts these keys already"
        text = f"{pc.state}: {pc.reason}" if pc.reason else done
        print_line(f"{pc.name}: {text}")
        if pc.fix:
            print_line(f"  Fix: {pc.fix}")
    return report.exit_code


def _keys(args: argparse.Namespace, pcs: tuple[FleetPc, ...]) -> KeyRepository:
    targets = [parse_target(pc.target) for pc in pcs]
    # Keys are made for a slot that is there: not for one on a disk that is away.
    there = [target for target in targets if is_there(target)]
    return keys_for(args, there) if there else keys_from(args)


def _add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--inventory",
        metavar="FILE",
        type=Path,
        required=True,
        help="the PCs: an Ansible inventory in TOML",
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        help=f"folder of the state (default: the inventory's name with {STATE_SUFFIX})",
    )
    parser.add_argument(
        "--limit",
        metavar="NAME",
        nargs="+",
        default=[],
        help="only these PCs or groups",
    )
    parser.add_argument(
        "--parallel",
        metavar="N",
        type=_parallel,
        default=PARALLEL,
        help=f"PCs at the same time, 1 to {PARALLEL_MAX} (default: %(default)s)",
    )
    add_json_argument(parser)


def _parallel(text: str) -> int:
    number = int(text)
    if not 1 <= number <= PARALLEL_MAX:
        message = f"expected 1 to {PARALLEL_MAX}"
        raise argparse.ArgumentTypeError(message)
    return number


def _print_plan(run: FleetFlash) -> int:
    for wave in run.plan():
        print_line(f"wave {wave.number}: {', '.join(wave.names)}")
    for name, result in run.left_out.items():
        print_line(f"{result}: {name}")
    return ExitCode.OK


def _print_report(report: FleetReport) -> None:
    for row in report.pcs:
        if row.result is not PcResult.GOOD:
            reason = f": {row.reason}" if row.reason else ""
            print_line(f"{row.name}: {row.result}{reason}")
        if row.fix:
            print_line(f"  Fix: {row.fix}")
    counts = [
        f"{number} {result}" for result in PcResult if (number := report.count(result))
    ]
    new = counted(sum(row.is_new for row in report.pcs), "PC")
    print_line(f"{report.package}: {', '.join(counts)}; {new} flashed now")
    if report.stopped_by:
        print_line(
            f"stopped by {report.stopped_by}: correct it, then give the same "
            "command again"
        )


def _print_status(status: FleetStatus) -> None:
    heading = ("PC", "state", "model", "build", "since (UTC)", "proven (UTC)")
    rows = [(*heading, "variant", "p99 ms"), *map(_cells, status.pcs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
    for pc in status.pcs:
        if pc.reason:
            is_old = pc.seen_at and not pc.is_reached
            old = f" (last answer {_minute(pc.seen_at)})" if is_old else ""
            print_line(f"{pc.name}: {pc.state}: {pc.reason}{old}")


def _cells(pc: SeenPc) -> tuple[str, ...]:
    """Return the row of a PC; of one that is off, what it answered last."""
    package, p99 = pc.package, pc.latency_ms_p99
    return (
        on_one_line(pc.name),
        pc.state,
        on_one_line(package.name) if package else "-",
        str(package.build) if package else "-",
        _minute(pc.since),
        _minute(pc.proven_at),
        on_one_line(pc.variant) or "-",
        f"{p99:.1f}" if p99 is not None else "-",
    )


def _minute(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" if moment else "-"
