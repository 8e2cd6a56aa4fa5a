"""The states of one installation, as a table. Pure: no file, no clock.

A package moves forward one step at a time, and each step is written down before the
next one begins. Whatever is not in the table is refused by ``next_state``; the diagram
in ``docs/reference/slot-states.md`` is drawn from the same table.

Source:
    A table instead of code, as h11 does it; the words are RAUC's.
"""

from enum import StrEnum

from models.slot_states import SlotState


class SlotEvent(StrEnum):
    """What can happen to an installation."""

    FLASH_STARTED = "flash-started"
    INTERRUPTED = "interrupted"  # the line PC lost power, or flashing was killed
    FILES_COMPLETE = "files-complete"
    TRUSTED = "trusted"
    REFUSED = "refused"
    SELFTEST_STARTED = "selftest-started"
    GOLDEN_PASSED = "golden-passed"
    GOLDEN_FAILED = "golden-failed"
    HEALTH_PASSED = "health-passed"
    HEALTH_FAILED = "health-failed"
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

    Args:
        state: Where the installation stands.
        event: What happened.

    Raises:
        ValueError: The event cannot happen in this state: a bug of the caller.
    """
    known = TRANSITIONS[state]
    if event not in known:
        msg = f"{event} cannot happen in {state}; known: {', '.join(known)}"
        raise ValueError(msg)
    return known[event]


def is_at_rest(state: SlotState) -> bool:
    """Return whether no installation is under way in this state.

    Args:
        state: As read from ``state.json``.
    """
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
    """Return a state's name without the dash that mermaid would misread."""
    return state.name.lower()


def states_page() -> str:
    """Return ``docs/reference/slot-states.md``."""
    return (
        "# States of a flash\n\n"
        "Drawn from the table in `deploy/slots.py`; `state.json` on the line PC holds "
        "the state.\nAfter `interrupted` the old package is in force as before: flash "
        f"again.\n\n```mermaid\n{draw_states()}\n```\n"
    )
