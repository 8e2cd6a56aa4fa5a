import pytest

from deploy.slots import (
    TRANSITIONS,
    SlotEvent,
    draw_states,
    is_at_rest,
    next_state,
)
from models.slot_states import SlotState

PAIRS = [(state, event) for state in SlotState for event in SlotEvent]
KNOWN = [(s, e) for s, e in PAIRS if e in TRANSITIONS[s]]
UNKNOWN = [(s, e) for s, e in PAIRS if e not in TRANSITIONS[s]]
FLASH = (
    (SlotEvent.FLASH_STARTED, SlotState.IDLE),
    (SlotEvent.FILES_COMPLETE, SlotState.DOWNLOADED),
    (SlotEvent.TRUSTED, SlotState.VERIFIED),
    (SlotEvent.SELFTEST_STARTED, SlotState.SELFTEST),
    (SlotEvent.GOLDEN_PASSED, SlotState.TRIAL),
    (SlotEvent.HEALTH_PASSED, SlotState.COMMITTED),
)


@pytest.mark.parametrize(("state", "event"), KNOWN)
def test_pair_in_the_table_leads_to_its_state(
    state: SlotState, event: SlotEvent
) -> None:
    assert next_state(state, event) is TRANSITIONS[state][event]


@pytest.mark.parametrize(("state", "event"), UNKNOWN)
def test_pair_that_is_not_in_the_table_is_refused(
    state: SlotState, event: SlotEvent
) -> None:
    with pytest.raises(ValueError, match=f"{event} cannot happen in {state}"):
        next_state(state, event)


def test_good_flash_passes_every_state_in_order() -> None:
    state = SlotState.COMMITTED
    for event, after in FLASH:
        state = next_state(state, event)
        assert state is after


def test_package_is_committed_only_after_its_golden_frames_passed() -> None:
    to_committed = {s for s, e in KNOWN if TRANSITIONS[s][e] is SlotState.COMMITTED}
    to_trial = {s for s, e in KNOWN if TRANSITIONS[s][e] is SlotState.TRIAL}
    assert to_committed == {SlotState.TRIAL}
    assert to_trial == {SlotState.SELFTEST, SlotState.TRIAL}
    assert TRANSITIONS[SlotState.TRIAL][SlotEvent.RESUMED] is SlotState.TRIAL


@pytest.mark.parametrize("state", SlotState)
def test_state_can_either_be_interrupted_or_start_a_flash(state: SlotState) -> None:
    events = set(TRANSITIONS[state])
    assert is_at_rest(state) == (SlotEvent.FLASH_STARTED in events)
    assert is_at_rest(state) == (SlotEvent.INTERRUPTED not in events)


def test_drawing_holds_every_transition_once() -> None:
    lines = draw_states().splitlines()
    assert len(lines) == len(set(lines)) == len(KNOWN) + 2
    assert "    selftest --> rolled_back: golden-failed" in lines
