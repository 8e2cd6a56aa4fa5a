"""Good, bad or unknown, from the answer of a PC."""

from datetime import timedelta

import pytest

from deploy.fleet.inventory import FleetPc
from deploy.fleet.pc_state import judge_answer, unreached
from deploy.fleet.state import PcState
from deploy.results import OPERATOR_ROLLBACK
from models.slot_files import Health
from models.slot_states import SlotState
from tests.simulators.fleet import NEW, NOON, status_of

PC = FleetPc("pc1", "local:/1")
LATER = NOON + timedelta(minutes=1)


def health(state: str = "ready", reason: str = "") -> Health:
    return Health(at=NOON, boot_id="1", state=state, reason=reason)


def test_healthy_pc_is_good_and_shows_its_proof() -> None:
    seen = judge_answer(PC, status_of(NEW), LATER)
    assert (seen.state, seen.reason, seen.is_proven) == (PcState.GOOD, "", True)
    assert (seen.package, seen.since, seen.proven_at) == (NEW, NOON, NOON)
    assert (seen.variant, seen.latency_ms_p99) == ("openvino-fp32 f32", 2)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"faults": ("damaged",)}, "damaged"),
        ({"current": None}, "no package is in force"),
        ({"proof": None}, "no proof"),
        ({"state": SlotState.ROLLED_BACK, "reason": "too slow"}, "too slow"),
        ({"state": SlotState.IDLE, "reason": "Interrupted."}, "Interrupted."),
        ({"state": SlotState.IDLE}, "ended in state idle"),
        ({"health": health(), "health_age_s": 31.0}, "does not run"),
        ({"health": health("degraded", "dark"), "health_age_s": 1.0}, "degraded: dark"),
        ({"health": health("disconnected"), "health_age_s": 1.0}, "no reason given"),
    ],
)
def test_pc_with_a_fault_is_bad(changes: dict[str, object], reason: str) -> None:
    seen = judge_answer(PC, status_of(NEW, **changes), LATER)
    assert seen.state is PcState.BAD
    assert reason in seen.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"health": health(), "health_age_s": 29.0},
        {"health": health("init"), "health_age_s": 1.0},
        {"state": SlotState.ROLLED_BACK, "reason": OPERATOR_ROLLBACK},
    ],
)
def test_pc_that_only_looks_unusual_is_good(changes: dict[str, object]) -> None:
    assert judge_answer(PC, status_of(NEW, **changes), LATER).state is PcState.GOOD


def test_daemon_that_does_not_run_does_not_take_the_proof_from_the_model() -> None:
    seen = judge_answer(PC, status_of(NEW, health=health(), health_age_s=99.0), LATER)
    assert (seen.state, seen.is_proven) == (PcState.BAD, True)


@pytest.mark.parametrize(
    ("state", "minutes", "expected"),
    [
        (SlotState.SELFTEST, 1, PcState.UNKNOWN),
        (SlotState.SELFTEST, 20, PcState.BAD),
        (SlotState.TRIAL, 20, PcState.UNKNOWN),
        (SlotState.TRIAL, 2000, PcState.BAD),
    ],
)
def test_pc_with_a_running_installation_is_unknown_until_it_must_have_ended(
    state: SlotState, minutes: int, expected: PcState
) -> None:
    now = NOON + timedelta(minutes=minutes)
    seen = judge_answer(PC, status_of(NEW, state=state), now)
    assert seen.state is expected
    assert not seen.is_proven
    assert state in seen.reason


def test_pc_that_does_not_answer_keeps_what_it_answered_before() -> None:
    before = judge_answer(PC, status_of(NEW), LATER)
    seen = unreached(PC, "off", before)
    assert (seen.state, seen.reason, seen.is_reached) == (PcState.UNKNOWN, "off", False)
    assert (seen.package, seen.seen_at) == (NEW, LATER)
    never = unreached(PC, "off", None)
    assert (never.package, never.seen_at) == (None, None)
