"""States of the daemon: one table; every other transition is refused.

Pure: no clock, no thread, no file. The daemon publishes the state that ``next_state``
returns. The daemon never publishes ``lost`` itself: the broker does it (the last will)
when the connection ends without a disconnect.

Source:
    The shape (a dict of dicts, one lookup that refuses everything else) is h11's.
"""

from collections.abc import Mapping
from enum import StrEnum

from models.messages import DaemonState


class DaemonEvent(StrEnum):
    """Events in the life of the daemon."""

    SETTLED = "settled"  # model loaded, every camera is up or has ended
    SETTLED_WITH_FAULTS = "settled-with-faults"  # model loaded, but there are faults
    FAULT = "fault"  # the first fault
    CLEARED = "cleared"  # no faults are left
    STOPPED = "stopped"  # stopped on request, and drained
    VANISHED = "vanished"  # ended without a disconnect; the broker reports it
    STARTED = "started"  # a new daemon at the same station


S, E = DaemonState, DaemonEvent
TRANSITIONS: Mapping[DaemonState, Mapping[DaemonEvent, DaemonState]] = {
    S.INIT: {
        E.SETTLED: S.READY,
        E.SETTLED_WITH_FAULTS: S.DEGRADED,
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
    """An event that cannot happen in a state: a bug in the daemon."""


def next_state(state: DaemonState, event: DaemonEvent) -> DaemonState:
    """Return the state after an event.

    Raises:
        TransitionError: The table does not have this pair.

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
    """Return the state that follows from the current faults.

    Args:
        is_settled: Model loaded, and each camera up, ended or declared lost.
        faults: Current faults; empty = no faults.

    >>> state_of(DaemonState.INIT, is_settled=True, faults=()).value
    'ready'
    """
    match state:
        case S.INIT if is_settled:
            return next_state(state, E.SETTLED_WITH_FAULTS if faults else E.SETTLED)
        case S.READY if faults:
            return next_state(state, E.FAULT)
        case S.DEGRADED if not faults:
            return next_state(state, E.CLEARED)
        case _:  # nothing happened, or the daemon has stopped
            return state
