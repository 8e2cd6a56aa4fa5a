"""The states of one installation, as a table. Pure: no file, no clock.

A package moves forward one step at a time, and each step is written to the disk before
the next one starts. ``next_state`` refuses every pair that is not in the table; the
diagram in ``docs/reference/slot-states.md`` is drawn from the same table.

Source:
    A table instead of code, as in h11; the terms are RAUC's.
"""

from enum import StrEnum

from models.slot_states import SlotState


class SlotEvent(StrEnum):
    """Events of an installation."""

    FLASH_STARTED = "flash-started"
    INTERRUPTED = "interrupted"  # the line PC lost power, or flashing was killed
    FILES_COMPLETE = "files-complete"
    TRUSTED = "trusted"
    REFUSED = "refused"
    SELFTEST_STARTED = "selftest-started"
    GOLDEN_PASSED = "golden-passed"  # and the trial starts
    GOLDEN_FAILED = "golden-failed"
    RESUMED = "resumed"  # a trial goes on after a power cut or a restart
    HEALTH_PASSED = "health-passed"  # the trial was good, or no daemon runs
    HEALTH_FAILED = "health-failed"  # the trial was bad, or had no result
    ROLLBACK_ASKED = "rollback-asked"


S, E = SlotState, SlotEvent
TRANSITIONS: dict[SlotState, dict[SlotEvent, SlotState]] = {
    S.IDLE: {
        E.FLASH_STARTED: S.IDLE,
        E.FILES_COMPLETE: S.DOWNLOADED,
        E.ROLLBACK_ASKED: S.ROLLED_BACK,
    },
    S.DOWNLOADED: {
        E.TRUSTED: S.VERIFIED,
        E.REFUSED: S.IDLE,
        E.INTERRUPTED: S.IDLE,
    },
    S.VERIFIED: {
        E.SELFTEST_STARTED: S.SELFTEST,
        E.INTERRUPTED: S.IDLE,
    },
    S.SELFTEST: {
        E.GOLDEN_PASSED: S.TRIAL,
        E.GOLDEN_FAILED: S.ROLLED_BACK,
        E.INTERRUPTED: S.IDLE,
    },
    S.TRIAL: {
        E.RESUMED: S.TRIAL,
        E.HEALTH_PASSED: S.COMMITTED,
        E.HEALTH_FAILED: S.ROLLED_BACK,
        E.INTERRUPTED: S.IDLE,
    },
    S.COMMITTED: {
        E.FLASH_STARTED: S.IDLE,
        E.ROLLBACK_ASKED: S.ROLLED_BACK,
    },
    S.ROLLED_BACK: {
        E.FLASH_STARTED: S.IDLE,
        E.ROLLBACK_ASKED: S.ROLLED_BACK,
    },
}


def next_state(state: SlotState, event: SlotEvent) -> SlotState:
    """Return the state after an event.

    Raises:
        ValueError: The event cannot happen in this state, a bug in the caller.
    """
    known = TRANSITIONS[state]
    if event not in known:
        msg = f"{event} cannot happen in {state}; known: {', '.join(known)}"
        raise ValueError(msg)
    return known[event]


def is_at_rest(state: SlotState) -> bool:
    """Return whether no installation is running in this state."""
    return E.INTERRUPTED not in TRANSITIONS[state]


def draw_states() -> str:
    """Return the table as a mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {_mermaid_name(S.IDLE)}"]
    for state, events in TRANSITIONS.items():
        lines += [
            f"    {_mermaid_name(state)} --> {_mermaid_name(after)}: {event}"
            for event, after in events.items()
        ]
    return "\n".join(lines)


def _mermaid_name(state: SlotState) -> str:
    # Not the value: mermaid would misread its dash.
    return state.name.lower()
