"""States of the daemon: one table, and nothing that is not in it.

Pure: no clock, no thread, no file. The daemon asks ``next_state`` and announces what
it is told. ``lost`` is never said by the daemon itself: the broker says it in its name
(the last will) when it is gone without a word.

Source:
    The shape (a dict of dicts, one lookup that refuses everything else) is h11's.
"""

from collections.abc import Mapping
from enum import StrEnum

from models.messages import DaemonState


class DaemonEvent(StrEnum):
    """What can happen to the daemon."""

    SETTLED_WELL = "settled-well"  # model loaded, every camera is up or has ended
    SETTLED_ILL = "settled-ill"  # model loaded, but something is wrong
    FAULT = "fault"  # the first thing that goes wrong
    CLEARED = "cleared"  # nothing is wrong any more
    STOPPED = "stopped"  # told to stop, and drained
    VANISHED = "vanished"  # gone without a word; the broker notices
    STARTED = "started"  # a new daemon at the same station


S, E = DaemonState, DaemonEvent
TRANSITIONS: Mapping[DaemonState, Mapping[DaemonEvent, DaemonState]] = {
    S.INIT: {
        E.SETTLED_WELL: S.READY,
        E.SETTLED_ILL: S.DEGRADED,
        E.STOPPED: S.DISCONNECTED,
        E.VANISHED: S.LOST,
    },
    S.READY: {
        E.FAULT: S.DEGRADED,
        E.STOPPED: S.DISCONNECTED,
        E.VANISHED: S.LOST,
    },
    S.DEGRADED: {
        E.CLEARED: S.READY,
        E.STOPPED: S.DISCONNECTED,
        E.VANISHED: S.LOST,
    },
    S.DISCONNECTED: {E.STARTED: S.INIT},
    S.LOST: {E.STARTED: S.INIT},
}


class TransitionError(ValueError):
    """An event that cannot happen in a state: a bug of ours."""


def next_state(state: DaemonState, event: DaemonEvent) -> DaemonState:
    """Return the state after an event.

    Args:
        state: State before.
        event: What happened.

    Raises:
        TransitionError: The table does not know this pair.

    >>> next_state(DaemonState.READY, DaemonEvent.FAULT).value
    'degraded'
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        known = ", ".join(TRANSITIONS[state])
        msg = f"{event} cannot happen in {state}; {known} can"
        raise TransitionError(msg) from None


def state_of(
    state: DaemonState, *, is_settled: bool, faults: tuple[str, ...]
) -> DaemonState:
    """Return the state after a look at everything.

    Args:
        state: State before.
        is_settled: Model loaded, and each camera up, ended or declared lost.
        faults: What is wrong now; empty = nothing.

    >>> state_of(DaemonState.INIT, is_settled=True, faults=()).value
    'ready'
    """
    match state:
        case S.INIT if is_settled:
            return next_state(state, E.SETTLED_ILL if faults else E.SETTLED_WELL)
        case S.READY if faults:
            return next_state(state, E.FAULT)
        case S.DEGRADED if not faults:
            return next_state(state, E.CLEARED)
        case _:
            return state
