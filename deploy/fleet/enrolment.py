"""Makes all line PCs trust the keys of a workshop, once, before the first flash."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from deploy.fleet.inventory import FleetPc
from deploy.fleet.line_pcs import off_as_error, target_of
from deploy.fleet.one_pc import PcOffError
from deploy.fleet.parallel import in_parallel
from deploy.fleet.reports import exit_code_of
from deploy.fleet.state import FleetState, PcState
from deploy.target import FlashTarget, SshTarget, UsbTarget, not_a_line_pc
from deploy.transports.ssh import enroll_remote
from deploy.trust.enrolment import EnrollOutcome, EnrollReport, enroll_slot
from models.errors import GraftlineError


class EnrolledPc(BaseModel):
    """One PC in the result of ``fleet enroll``."""

    model_config = ConfigDict(frozen=True)

    name: str
    target: str
    state: PcState = Field(description="good: it trusts the keys.")
    is_new: bool = Field(default=False, description="Whether it trusts them since now.")
    reason: str = ""
    fix: str = ""


class FleetEnrolment(BaseModel):
    """Result of ``fleet enroll``."""

    model_config = ConfigDict(frozen=True)

    pcs: tuple[EnrolledPc, ...]

    @property
    def exit_code(self) -> int:
        """See ``exit_code_of``."""
        return exit_code_of([pc.state for pc in self.pcs])


def enroll_fleet(
    pcs: Sequence[FleetPc], root: bytes, state: FleetState, parallel: int
) -> FleetEnrolment:
    """Enroll every PC that answers; one that trusts the keys already is left alone.

    Args:
        pcs: The PCs.
        root: Root metadata of the keys.
        state: For the rows of the audit; the caller holds its lock.
        parallel: How many at the same time.

    Raises:
        ConfigError: The state cannot be written.
    """

    def enroll(pc: FleetPc) -> EnrolledPc:
        return _enroll_one(pc, root)

    results = {}
    for pc, result in in_parallel(pcs, enroll, parallel):
        results[pc.name] = result
        if result.is_new:
            state.audit("enrolled", pc.name)
    return FleetEnrolment(pcs=tuple(results[pc.name] for pc in pcs))


def _enroll_one(pc: FleetPc, root: bytes) -> EnrolledPc:
    state, reason, fix, is_new = PcState.GOOD, "", "", False
    try:
        report = _report_of(pc, root)
        is_new = report.outcome is EnrollOutcome.ENROLLED
    except PcOffError as exc:
        state, reason = PcState.UNKNOWN, f"{exc.what} {exc.why}"
    except GraftlineError as exc:
        state, reason, fix = PcState.BAD, f"{exc.what} {exc.why}", exc.fix
    except OSError as exc:
        state, reason = PcState.BAD, str(exc)
    return EnrolledPc(
        name=pc.name,
        target=pc.target,
        state=state,
        is_new=is_new,
        reason=reason,
        fix=fix,
    )


def _report_of(pc: FleetPc, root: bytes) -> EnrollReport:
    target = target_of(pc)
    with off_as_error():
        match target:
            case SshTarget():
                return enroll_remote(target, root, [])
            case FlashTarget():
                return enroll_slot(target.slot, root, target_name=target.name)
            case UsbTarget():
                raise not_a_line_pc(target)
