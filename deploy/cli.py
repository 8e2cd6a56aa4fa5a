"""The verbs ``flash``, ``status`` and ``rollback``."""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from deploy.agent.agent import slot_not_writable
from deploy.cli_selftest import print_modes
from deploy.cli_shared import (
    add_json_argument,
    add_package_argument,
    open_whole_package,
    print_json,
    print_line,
    print_step,
)
from deploy.cli_trial import add_again_argument, add_trial_arguments, trial_options
from deploy.cli_trust import add_keys_options, keys_from
from deploy.flashing import (
    error_of,
    flash_target,
    prepared_delivery,
    read_target_status,
)
from deploy.installer import open_installer
from deploy.results import (
    FlashResults,
    PackageName,
    StatusReport,
    TargetResult,
)
from deploy.sbom import read_sbom
from deploy.status import HEALTH_IS_OLD_S
from deploy.target import (
    FlashTarget,
    SshTarget,
    Target,
    UsbTarget,
    not_a_line_pc,
    parse_target,
)
from deploy.transports.delivery import FlashOptions, PackageDelivery
from deploy.transports.ssh import read_remote_sbom, roll_back_remote
from deploy.trial import summary
from deploy.trust.key_repository import KeyRepository
from deploy.trust.local_keys import has_default_keys, prepare_local
from models.counted import counted
from models.errors import ExitCode, InstallError
from models.package import Package
from models.shown_text import on_one_line
from models.slot_files import Proof
from models.trial_report import TrialPhase, TrialReport

PARALLEL_MAX = 64


def add_flash_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline flash``."""
    add_package_argument(parser)
    parser.add_argument(
        "targets",
        metavar="TARGET",
        nargs="+",
        help="line PCs: ssh://[user@]host[:port][/slot]; local:DIR, a slot of this "
        "machine; usb:DIR, a stick that is carried to the line PC",
    )
    add_keys_options(parser)
    parser.add_argument(
        "--no-wait",
        action="store_true",
        help="do not wait for the self-test and the trial on the line PC",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only show what would be sent"
    )
    parser.add_argument(
        "--parallel",
        metavar="N",
        type=int,
        default=8,
        help="targets at the same time (default %(default)s)",
    )
    add_trial_arguments(parser)
    add_again_argument(parser)
    add_json_argument(parser)


def run_flash(args: argparse.Namespace) -> int:
    """Put a package in force on line PCs."""
    targets = [parse_target(text) for text in dict.fromkeys(args.targets)]
    package = open_whole_package(args.package)
    options = replace(trial_options(args), wait=not args.no_wait, dry_run=args.dry_run)
    with _delivery(args, targets, package) as delivery:
        if len(targets) > 1:
            results = _flash_several(delivery, targets, options, args)
            if args.json:
                print_json(FlashResults(results=tuple(results)))
            return _exit_code(results)
        result = flash_target(delivery, targets[0], options, print_step)
    if (error := error_of(result)) is not None:
        raise error
    if args.json:
        return print_json(result.report or result)
    if result.report:
        print_modes(result.report.proof)
        if result.report.trial:
            print_line(f"trial: {result.report.trial}")
    print_line(result.message)
    if result.previous:
        print_line(f"previous: {result.previous}")
    return ExitCode.OK


@contextmanager
def _delivery(
    args: argparse.Namespace, targets: Sequence[Target], package: Package
) -> Iterator[PackageDelivery]:
    """Yield the release for all targets; nothing is signed for a dry run."""
    if args.dry_run:
        yield PackageDelivery(package, package.folder, b"")
        return
    with prepared_delivery(package, keys_for(args, targets)) as delivery:
        yield delivery


def keys_for(args: argparse.Namespace, targets: Sequence[Target]) -> KeyRepository:
    """Return the keys to sign with; for local slots alone they are made here.

    Raises:
        ConfigError: There are none, or they cannot be used.
        InstallError: The first slot trusts other keys, or cannot be written.
    """
    first, *_ = targets
    is_local = all(isinstance(each, FlashTarget) for each in targets)
    has_keys = args.keys is not None or has_default_keys()
    if has_keys or not is_local or not isinstance(first, FlashTarget):
        return keys_from(args)
    try:
        return prepare_local(first.slot, first.name, print_step)
    except OSError as exc:
        raise slot_not_writable(first.slot, exc) from exc


def _flash_several(
    delivery: PackageDelivery,
    targets: Sequence[Target],
    options: FlashOptions,
    args: argparse.Namespace,
) -> list[TargetResult]:
    """Flash targets at the same time, and print one line for each that has ended."""

    def flash_one(target: Target) -> TargetResult:
        result = flash_target(
            delivery,
            target,
            options,
            lambda step: print_step(f"{target.name}: {step}"),
        )
        text = str(error_of(result) or result.message)
        if args.json:
            print_step(text)
        else:
            print_line(text)
        return result

    workers = max(1, min(args.parallel, PARALLEL_MAX, len(targets)))
    with ThreadPoolExecutor(workers, thread_name_prefix="flash") as pool:
        return list(pool.map(flash_one, targets))


def _exit_code(results: Sequence[TargetResult]) -> int:
    """Return the code of the failures where all have the same one."""
    codes = {each.exit_code for each in results if each.exit_code}
    if len(codes) > 1:
        return InstallError.exit_code
    return codes.pop() if codes else ExitCode.OK


def add_status_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline status``."""
    _add_target(parser)
    parser.add_argument(
        "--sbom",
        action="store_true",
        help="print the parts and licences of the package in force; with --json its "
        "CycloneDX document",
    )
    add_json_argument(parser)


def run_status(args: argparse.Namespace) -> int:
    """Show what a line PC runs; the exit code is not 0 where it has faults."""
    if args.sbom:
        return _print_sbom(args)
    report = read_target_status(parse_target(args.target))
    if args.json:
        print_json(report)
    else:
        _print_status(report)
    return InstallError.exit_code if report.faults else ExitCode.OK


def add_rollback_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``graftline rollback``."""
    _add_target(parser)
    add_json_argument(parser)


def run_rollback(args: argparse.Namespace) -> int:
    """Switch back to the previous package."""
    target = parse_target(args.target)
    match target:
        case FlashTarget():
            report = open_installer(target, print_step).rollback()
        case SshTarget():
            report = roll_back_remote(target)
        case UsbTarget():
            raise not_a_line_pc(target)
    if args.json:
        return print_json(report)
    print_line(f"rolled back: {report.current} is in force on {report.target}")
    print_line(f"previous: {report.previous or 'not readable'}")
    return ExitCode.OK


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="the line PC: local:DIR, a slot of this machine, or "
        "ssh://[user@]host[:port][/slot]",
    )


def _print_sbom(args: argparse.Namespace) -> int:
    """Print the parts of the package in force."""
    target = parse_target(args.target)
    match target:
        case FlashTarget():
            document = read_sbom(target)
        case SshTarget():
            document = read_remote_sbom(target)
        case UsbTarget():
            raise not_a_line_pc(target)
    if args.json:
        print(document.text)
        return ExitCode.OK
    from rich.console import Console  # noqa: PLC0415 - not for --json
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=on_one_line(f"Parts of the package in force on {target.name}"))
    for heading in ("part", "version", "licence"):
        table.add_column(heading)
    for part in document.parts:
        table.add_row(*map(on_one_line, (part.name, part.version, part.licence)))
    Console(markup=False).print(table)
    return ExitCode.OK


def _print_status(report: StatusReport) -> None:
    since = f" since {report.since:%Y-%m-%d %H:%M:%S} UTC" if report.since else ""
    print_line(f"{report.target}: {report.state}{since}")
    if report.reason:
        print_line(f"  reason:   {report.reason}")
    print_line(f"  current:  {_name(report.current)}")
    print_line(f"  previous: {_name(report.previous)}")
    if report.trial:
        print_line(f"  trial:    {report.trial}")
    if report.proof:
        _print_proof(report.proof)
    _print_daemon(report)
    for refused in report.refused:
        print_line(
            f"  refused:  {refused.package} on {refused.at:%Y-%m-%d %H:%M} UTC: "
            f"{refused.reason}"
        )
    if report.waiting:
        print_line(f"  inbox:    {counted(report.waiting, 'package')} waiting")
    if (delivery := report.last_delivery) and delivery.exit_code:
        print_line(
            f"  inbox:    not installed at {delivery.at:%Y-%m-%d %H:%M:%S} UTC: "
            f"{delivery.message} {delivery.why}"
        )
    for fault in report.faults:
        print_line(f"  FAULT: {fault}")


def _print_proof(proof: Proof) -> None:
    """Print how a package runs, and which of its run modes were refused."""
    mode = proof.chosen
    print_line(
        f"  runs as:  {mode.variant} {mode.precision_hint}, p50 "
        f"{mode.latency_ms_p50:.1f} ms, p99 {mode.latency_ms_p99:.1f} ms"
    )
    for other in proof.modes:
        if not other.passed:
            print_line(
                f"  not as:   {other.variant} {other.precision_hint}: {other.reason}"
            )


def _print_daemon(report: StatusReport) -> None:
    health = report.health
    if health is None or report.health_age_s is None:
        print_line(f"  daemon:   {report.no_health or 'has never run here'}")
        return
    old = (
        ", so it is not running or cannot write its report"
        if report.health_age_s > HEALTH_IS_OLD_S
        else ""
    )
    print_line(
        f"  daemon:   {health.state}, {health.fps:.1f} frames/s, "
        f"reported {report.health_age_s:.0f} s ago{old}"
    )
    if health.reason:
        print_line(f"            {health.reason}")
    if health.trial:
        print_line(f"  on trial: {_trial_line(health.trial)}")


def _trial_line(trial: TrialReport) -> str:
    if trial.fault:
        return f"the old model is back: {trial.fault}"
    deciding = "new" if trial.phase is TrialPhase.DECIDE else "old"
    return f"the {deciding} model decides; start {trial.starts}; {summary(trial)}"


def _name(package: PackageName | None) -> str:
    return str(package) if package else "none"
