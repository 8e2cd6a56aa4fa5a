"""Asks all line PCs at the same time what they run."""

from collections.abc import Sequence
from datetime import UTC, datetime

from deploy.fleet.inventory import FleetPc
from deploy.fleet.one_pc import LookAtOne, PcOffError
from deploy.fleet.parallel import in_parallel
from deploy.fleet.pc_state import judge_answer, unreached
from deploy.fleet.reports import FleetStatus
from deploy.fleet.state import FleetBusyError, FleetState, PcState, SeenPc
from models.errors import GraftlineError


def read_fleet(
    pcs: Sequence[FleetPc], state: FleetState, look: LookAtOne, parallel: int
) -> FleetStatus:
    """Return the state of every PC, now; one without an answer keeps what it said.

    Args:
        pcs: The PCs to ask.
        state: What is known from before; updated unless a ``fleet flash`` runs.
        look: Asks one PC.
        parallel: How many are asked at the same time.

    Raises:
        ConfigError: The state is damaged, or cannot be written.
    """
    found = look_at_all(pcs, look, parallel, state.seen())
    if state.folder.is_dir():
        try:
            with state.locked():
                state.save_seen(state.seen() | found)
        except FleetBusyError:
            pass  # the flash that runs saves what it sees
    return FleetStatus(pcs=tuple(found[pc.name] for pc in pcs))


def look_at_all(
    pcs: Sequence[FleetPc],
    look: LookAtOne,
    parallel: int,
    before: dict[str, SeenPc],
) -> dict[str, SeenPc]:
    """Return the state of every PC by its name.

    Args:
        look: Asks one PC.
        parallel: How many are asked at the same time.
        before: What the PCs answered last.
    """

    def ask(pc: FleetPc) -> SeenPc:
        return look_at(pc, look, before.get(pc.name))

    return {pc.name: seen for pc, seen in in_parallel(pcs, ask, parallel)}


def look_at(pc: FleetPc, look: LookAtOne, before: SeenPc | None) -> SeenPc:
    """Ask one PC and return its state.

    Args:
        look: Asks it.
        before: What it answered last.
    """
    now = datetime.now(UTC)
    try:
        return judge_answer(pc, look(pc), now)
    except PcOffError as exc:
        return unreached(pc, f"{exc.what} {exc.why}".strip(), before)
    except GraftlineError as exc:
        return SeenPc(
            name=pc.name,
            target=pc.target,
            state=PcState.BAD,
            reason=str(exc),
            is_reached=True,
            seen_at=now,
        )
