"""The line PCs themselves: how the fleet asks and flashes one of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deploy.flashing import flash_target, read_target_status
from deploy.fleet.inventory import FleetPc
from deploy.fleet.one_pc import PcOffError
from deploy.results import StatusReport, TargetResult
from deploy.target import FlashTarget, Target, parse_target
from deploy.transports.delivery import FlashOptions, PackageDelivery
from deploy.transports.ssh_errors import TargetError, TargetProblem

# A name that is not known may be that of a PC that is off: mDNS, DHCP.
OFF = {TargetProblem.UNREACHABLE, TargetProblem.CUT, TargetProblem.UNKNOWN_HOST}


def look_at_line_pc(pc: FleetPc) -> StatusReport:
    """Return what a line PC runs.

    Raises:
        PcOffError: It does not answer.
        GraftlineError: It has no slot, or cannot be read.
    """
    target = target_of(pc)
    with off_as_error():
        return read_target_status(target)


def target_of(pc: FleetPc) -> Target:
    """Return the target of a PC.

    Raises:
        PcOffError: It is a folder of this machine, and is not there.
    """
    target = parse_target(pc.target)
    if not is_there(target):
        raise PcOffError(
            f"{target.name}: its folder is not there.",
            why="A slot is made in a folder that exists.",
            fix="Mount its disk, or make the folder.",
        )
    return target


@contextmanager
def off_as_error() -> Iterator[None]:
    """Translate the errors of a PC that does not answer.

    Raises:
        PcOffError: It does not answer.
    """
    try:
        yield
    except TargetError as exc:
        if exc.problem not in OFF:
            raise
        raise PcOffError(exc.what, why=exc.why, fix=exc.fix) from exc


@dataclass(frozen=True, slots=True)
class LinePcFlash:
    """Brings one signed release to line PCs."""

    delivery: PackageDelivery
    options: FlashOptions

    def __call__(self, pc: FleetPc, on_step: Callable[[str], None]) -> TargetResult:
        """Put the package in force; every expected failure is a result."""
        target = parse_target(pc.target)
        return flash_target(self.delivery, target, self.options, on_step)


def is_there(target: Target) -> bool:
    """Return whether a target of this machine is there; others may be.

    The folder around the slot must exist: a slot in the folder of a disk that is not
    mounted would be another PC.
    """
    if not isinstance(target, FlashTarget):
        return True
    root = target.slot.root
    return root.parent.is_dir() and (root.exists() or not root.is_symlink())
