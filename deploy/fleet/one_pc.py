"""What the fleet needs of one line PC: an answer, and a flash. Interfaces.

They are called from several threads at the same time.
"""

from collections.abc import Callable
from typing import Protocol

from deploy.fleet.inventory import FleetPc
from deploy.results import StatusReport, TargetResult
from models.errors import InstallError


class PcOffError(InstallError):
    """A PC does not answer: it is off, or the network is. Nothing was changed."""


class LookAtOne(Protocol):
    """Asks one PC what it runs."""

    def __call__(self, pc: FleetPc) -> StatusReport:
        """Return what a PC runs.

        Raises:
            PcOffError: It does not answer.
            GraftlineError: It answers, but not with a status.
        """


class FlashOne(Protocol):
    """Brings one package to one PC after another."""

    def __call__(self, pc: FleetPc, on_step: Callable[[str], None]) -> TargetResult:
        """Put the package in force; every expected failure is a result."""
