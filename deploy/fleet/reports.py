"""The results of ``fleet flash`` and ``fleet status``, as ``--json`` prints them."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deploy.fleet.state import PcState, SeenPc
from deploy.results import PackageName
from models.errors import ExitCode, InstallError

EXIT_UNKNOWN = 7  # as for a broker that cannot be reached


class PcResult(StrEnum):
    """What one ``fleet flash`` did with one PC."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"  # off: the same command catches it up
    CLOSED = "closed"  # outside of its maintenance window
    NOT_TRIED = "not-tried"  # the run stopped before it


class FleetRow(BaseModel):
    """One PC in the result of ``fleet flash``."""

    model_config = ConfigDict(frozen=True)

    name: str
    target: str
    result: PcResult
    is_new: bool = Field(description="Whether this run put the package in force.")
    reason: str = ""
    fix: str = ""
    at: AwareDatetime | None = Field(default=None, description="Of the result.")


class FleetReport(BaseModel):
    """Result of ``fleet flash``."""

    model_config = ConfigDict(frozen=True)

    package: PackageName
    started_at: AwareDatetime = Field(description="Of the first run with it.")
    stopped_by: str = Field(default="", description="PC that failed; empty = none.")
    pcs: tuple[FleetRow, ...]

    def count(self, result: PcResult) -> int:
        """Return how many PCs have a result."""
        return sum(row.result is result for row in self.pcs)

    @property
    def exit_code(self) -> int:
        """0 = in force everywhere, 8 = a PC failed, 7 = some are left for later."""
        if self.stopped_by or self.count(PcResult.BAD):
            return InstallError.exit_code
        is_done = self.count(PcResult.GOOD) == len(self.pcs)
        return ExitCode.OK if is_done else EXIT_UNKNOWN


class FleetStatus(BaseModel):
    """Result of ``fleet status``."""

    model_config = ConfigDict(frozen=True)

    pcs: tuple[SeenPc, ...]

    def count(self, state: PcState) -> int:
        """Return how many PCs have a state."""
        return sum(pc.state is state for pc in self.pcs)

    @property
    def exit_code(self) -> int:
        """See ``exit_code_of``."""
        return exit_code_of([pc.state for pc in self.pcs])


def exit_code_of(states: Sequence[PcState]) -> int:
    """Return 0 = all are good, 8 = some are bad, 7 = none is bad, some are unknown."""
    if PcState.BAD in states:
        return InstallError.exit_code
    return EXIT_UNKNOWN if PcState.UNKNOWN in states else ExitCode.OK
