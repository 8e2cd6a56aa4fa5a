"""The line PCs themselves: how the fleet asks and flashes one of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from deploy.fleet.inventory import FleetPc
from deploy.fleet.one_pc import PcOffError
from deploy.installer import open_installer
from deploy.results import (
    PackageName,
    StatusReport,
    TargetOutcome,
    TargetResult,
)
from deploy.status import read_status
from deploy.target import FlashTarget, parse_target
from models.errors import ExitCode, GraftlineError
from models.package import Package


def look_at_line_pc(pc: FleetPc) -> StatusReport:
    """Return what a line PC runs.

    Raises:
        PcOffError: It does not answer.
        GraftlineError: It has no slot, or it cannot be read.
    """
    target = parse_target(pc.target)
    _refuse_absent(target)
    return read_status(target)


@dataclass(frozen=True, slots=True)
class LinePcFlash:
    """Brings one package to line PCs."""

    package: Package

    def __call__(self, pc: FleetPc, on_step: Callable[[str], None]) -> TargetResult:
        """Put the package in force; every expected failure is a result."""
        started_s = time.monotonic()
        target = parse_target(pc.target)
        try:
            report = open_installer(target, on_step).flash(self.package)
        except GraftlineError as exc:
            return TargetResult(
                target=target.name,
                outcome=TargetOutcome.FAILED,
                exit_code=exc.exit_code,
                message=exc.what,
                why=exc.why,
                fix=exc.fix,
                package=PackageName.of(self.package),
            )
        return TargetResult(
            target=target.name,
            outcome=TargetOutcome(report.outcome),
            exit_code=ExitCode.OK,
            message="",
            package=report.package,
            previous=report.previous,
            report=report,
            seconds=round(time.monotonic() - started_s, 3),
        )


def _refuse_absent(target: FlashTarget) -> None:
    """Refuse a local target whose disk is not there, as a PC that is off."""
    root = target.slot.root
    if not root.parent.is_dir() or (root.is_symlink() and not root.exists()):
        raise PcOffError(
            f"{target.name}: its disk is not there.",
            why=f"There is no folder {root.parent}.",
            fix="Mount it, or make the folder.",
        )
