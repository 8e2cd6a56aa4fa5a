"""Whether a line PC is good or bad, from what it answered. Pure: no clock, no file."""

from datetime import datetime, timedelta

from deploy.fleet.inventory import FleetPc
from deploy.fleet.state import PcState, SeenPc
from deploy.results import OPERATOR_ROLLBACK, StatusReport
from deploy.slots import is_at_rest
from deploy.status import HEALTH_IS_OLD_S
from models.messages import DaemonState
from models.slot_files import Proof
from models.slot_states import SlotState

FINE_DAEMON = {DaemonState.INIT, DaemonState.READY}
# An installation that runs longer was interrupted. The self-test may take 5 minutes, a
# trial as long as its options say.
INSTALLATION_MAX = timedelta(minutes=15)
TRIAL_MAX = timedelta(days=1)


def judge_answer(pc: FleetPc, report: StatusReport, now: datetime) -> SeenPc:
    """Return the state of a PC that answered.

    Args:
        report: Its answer.
        now: Time of the answer.

    Returns:
        ``UNKNOWN`` while an installation runs: it is not known how it ends.
    """
    state, reason = PcState.GOOD, ""
    model_reason = _reason_of_model(report)
    if _is_installing(report, now):
        state, reason = PcState.UNKNOWN, f"an installation runs: {report.state}"
    elif reason := model_reason or _reason_of_daemon(report):
        state = PcState.BAD
    seen = SeenPc(
        name=pc.name,
        target=pc.target,
        state=state,
        reason=reason,
        is_reached=True,
        seen_at=now,
        package=report.current,
        is_proven=not model_reason,
        since=report.since,
    )
    return with_proof(seen, report.proof)


def with_proof(seen: SeenPc, proof: Proof | None) -> SeenPc:
    """Return a PC with what the self-test of its package found."""
    if proof is None:
        return seen
    chosen = proof.chosen
    update = {
        "proven_at": proof.at,
        "variant": f"{chosen.variant} {chosen.precision_hint}",
        "latency_ms_p99": chosen.latency_ms_p99,
    }
    return seen.model_copy(update=update)


def unreached(pc: FleetPc, reason: str, before: SeenPc | None) -> SeenPc:
    """Return a PC that gave no answer, with what it answered before.

    Args:
        reason: Why it is not reached.
        before: Its last state; None = never seen.
    """
    known = before or SeenPc(
        name=pc.name,
        target=pc.target,
        state=PcState.UNKNOWN,
        is_reached=False,
        seen_at=None,
    )
    update = {
        "state": PcState.UNKNOWN,
        "reason": reason,
        "is_reached": False,
        "target": pc.target,
    }
    return known.model_copy(update=update)


def _is_installing(report: StatusReport, now: datetime) -> bool:
    if is_at_rest(report.state):
        return False
    limit = TRIAL_MAX if report.state is SlotState.TRIAL else INSTALLATION_MAX
    return report.since is None or now - report.since < limit


def _reason_of_model(report: StatusReport) -> str:
    """Return the first reason why the package is not in force as it should be."""
    if report.faults:
        return report.faults[0]
    if report.current is None:
        return report.reason or "no package is in force"
    if not is_at_rest(report.state):
        return f"an installation was interrupted in state {report.state}"
    if report.state is not SlotState.COMMITTED and report.reason != OPERATOR_ROLLBACK:
        return report.reason or f"the last installation ended in state {report.state}"
    return "" if report.proof else "the package in force has no proof of a self-test"


def _reason_of_daemon(report: StatusReport) -> str:
    """Return why the daemon is bad; one that has never run here is not."""
    health, age_s = report.health, report.health_age_s
    if health is None or age_s is None:
        return ""
    if age_s > HEALTH_IS_OLD_S:
        return f"the daemon does not run: its last report is {age_s:.0f} s old"
    if health.state not in FINE_DAEMON:
        return f"the daemon is {health.state}: {health.reason or 'no reason given'}"
    return ""
