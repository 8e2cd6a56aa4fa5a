import itertools

import pytest

from edge.rules.lifecycle import (
    TRANSITIONS,
    DaemonEvent,
    TransitionError,
    next_state,
    state_of,
)
from models.messages import DaemonState

PAIRS = list(itertools.product(DaemonState, DaemonEvent))
KNOWN = {(s, e): target for s, row in TRANSITIONS.items() for e, target in row.items()}


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair_is_in_the_table_or_refused(
    state: DaemonState, event: DaemonEvent
) -> None:
    if (state, event) in KNOWN:
        assert next_state(state, event) is KNOWN[state, event]
    else:
        with pytest.raises(TransitionError, match=f"{event} cannot happen in {state}"):
            next_state(state, event)


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(DaemonState)


def test_every_state_can_be_reached_from_every_other() -> None:
    for start in DaemonState:
        reached, edge = {start}, {start}
        while edge:
            edge = {t for s in edge for t in TRANSITIONS[s].values()} - reached
            reached |= edge
        assert reached == set(DaemonState)


def test_running_daemon_can_always_stop_or_vanish() -> None:
    for state in (DaemonState.INIT, DaemonState.READY, DaemonState.DEGRADED):
        assert next_state(state, DaemonEvent.STOPPED) is DaemonState.DISCONNECTED
        assert next_state(state, DaemonEvent.VANISHED) is DaemonState.LOST


@pytest.mark.parametrize(
    ("before", "is_settled", "faults", "after"),
    [
        (DaemonState.INIT, False, (), DaemonState.INIT),
        (DaemonState.INIT, False, ("x",), DaemonState.INIT),
        (DaemonState.INIT, True, (), DaemonState.READY),
        (DaemonState.INIT, True, ("x",), DaemonState.DEGRADED),
        (DaemonState.READY, True, (), DaemonState.READY),
        (DaemonState.READY, True, ("x",), DaemonState.DEGRADED),
        (DaemonState.DEGRADED, True, ("x",), DaemonState.DEGRADED),
        (DaemonState.DEGRADED, True, (), DaemonState.READY),
        (DaemonState.DISCONNECTED, True, ("x",), DaemonState.DISCONNECTED),
    ],
)
def test_state_follows_from_the_faults(
    before: DaemonState, is_settled: bool, faults: tuple[str, ...], after: DaemonState
) -> None:
    assert state_of(before, is_settled=is_settled, faults=faults) is after
