"""Brings a package to all line PCs in waves, and stops at the first failure.

Before anything is flashed, every PC is asked what it runs: the answers count, not the
state on the disk. So a PC that was off is caught up by the same command, and so is one
that was switched back by hand.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deploy.fleet.inventory import FleetPc
from deploy.fleet.look import look_at, look_at_all
from deploy.fleet.one_pc import FlashOne, LookAtOne
from deploy.fleet.parallel import in_parallel
from deploy.fleet.pc_state import with_proof
from deploy.fleet.reports import FleetReport, FleetRow, PcResult
from deploy.fleet.state import (
    FleetState,
    PcState,
    Rollout,
    RolloutResult,
    SeenPc,
)
from deploy.fleet.waves import PcOutcome, Wave, next_wave, plan_waves
from deploy.fleet.windows import is_open
from deploy.results import PackageName, TargetOutcome, TargetResult
from models.counted import counted
from models.errors import ExitCode


def local_now() -> datetime:
    """Return the wall clock of the workstation, for maintenance windows."""
    return datetime.now().astimezone()


@dataclass(slots=True)
class FleetFlash:
    """One run of ``fleet flash``.

    Attributes:
        pcs: In the order of the inventory.
        package: What is brought to them.
        state: On the disk; the caller holds its lock.
        look: Asks one PC.
        on_step: Called with a sentence at each step, from several threads.
        parallel: How many PCs at the same time.
        ignore_windows: Whether PCs are flashed outside of their windows too.
        local_now: The wall clock of the workstation.
    """

    pcs: Sequence[FleetPc]
    package: PackageName
    state: FleetState
    look: LookAtOne
    on_step: Callable[[str], None]
    parallel: int
    ignore_windows: bool = False
    local_now: Callable[[], datetime] = local_now
    _rollout: Rollout = field(init=False)
    _seen: dict[str, SeenPc] = field(init=False, default_factory=dict)
    _left_out: dict[str, PcResult] = field(init=False, default_factory=dict)
    _fixes: dict[str, str] = field(init=False, default_factory=dict)
    _new: set[str] = field(init=False, default_factory=set)
    _tried: set[str] = field(init=False, default_factory=set)
    _stopped_by: str = field(init=False, default="")

    def run(self, flash_one: FlashOne) -> FleetReport:
        """Flash wave after wave until all PCs are done, or one fails.

        Args:
            flash_one: Flashes one PC.

        Raises:
            ConfigError: The state is damaged, or cannot be written.
        """
        self._begin()
        self._look_at_all()
        while not self._stopped_by and (wave := self._next_wave()):
            names = ", ".join(wave.names)
            self.on_step(f"wave {wave.number}: {names}")
            work = functools.partial(self._flash, flash_one)
            started = self._startable(wave)
            for pc, (seen, result) in in_parallel(started, work, self.parallel):
                self._record_result(pc, seen, result)
        self._end()
        return self._report()

    def plan(self) -> list[Wave]:
        """Ask every PC, and return the waves that would follow; nothing is changed.

        Raises:
            ConfigError: The state is damaged.
        """
        self._rollout = self._rollout_before() or self._new_rollout()
        answers = look_at_all(self.pcs, self.look, self.parallel, self.state.seen())
        outcomes = self._rollout.outcomes
        for name, seen in answers.items():
            if not seen.is_reached:
                self._left_out[name] = PcResult.UNKNOWN
            elif self._is_in_force(seen):
                outcomes[name] = PcOutcome.GOOD
            elif outcomes.get(name) is PcOutcome.GOOD:
                del outcomes[name]
        self._leave_out_closed()
        return plan_waves([pc.name for pc in self.pcs], outcomes, self._left_out)

    @property
    def left_out(self) -> dict[str, PcResult]:
        """The PCs that are not tried now, and why."""
        return dict(self._left_out)

    def _begin(self) -> None:
        before = self._rollout_before()
        self._rollout = before or self._new_rollout()
        what = "rollout continued" if before else "rollout started"
        self.state.audit(what, package=self.package)
        self.state.save_rollout(self._rollout)

    def _rollout_before(self) -> Rollout | None:
        before = self.state.rollout()
        return before if before and before.package == self.package else None

    def _new_rollout(self) -> Rollout:
        now = datetime.now(UTC)
        return Rollout(package=self.package, started_at=now, by=self.state.by)

    def _look_at_all(self) -> None:
        """Ask every PC; those that do not answer are left out of this run."""
        self.on_step(f"asking {counted(len(self.pcs), 'PC')}")
        before = self.state.seen()
        answers = look_at_all(self.pcs, self.look, self.parallel, before)
        self._seen = before | answers
        results = dict(self._rollout.results)
        for name, seen in answers.items():
            known = results.get(name)
            if not seen.is_reached:
                self._leave_out_unknown(name, seen.reason)
            elif self._is_in_force(seen):
                if known is None or known.outcome is not PcOutcome.GOOD:
                    self._record(name, PcOutcome.GOOD, "found in force", "")
            elif known and known.outcome is PcOutcome.GOOD:
                self.on_step(f"{name}: the package is no longer in force")
                self._forget(name)
        self.state.save_seen(self._seen)

    def _is_in_force(self, seen: SeenPc) -> bool:
        """Whether the package is in force, whatever else is wrong with the PC."""
        sha256 = seen.package.sha256 if seen.package else ""
        return seen.is_proven and sha256 == self.package.sha256

    def _leave_out_unknown(self, name: str, reason: str) -> None:
        self._left_out[name] = PcResult.UNKNOWN
        self.on_step(f"{name}: unknown: {reason}")
        known = self._rollout.results.get(name)
        if known is None or known.outcome is not PcOutcome.GOOD:
            self._record(name, PcOutcome.UNKNOWN, "not reached", reason)

    def _leave_out_closed(self) -> None:
        """Leave out the PCs whose window is closed at this moment."""
        now = self.local_now()
        for pc in self.pcs:
            if not self.ignore_windows and not is_open(pc.windows, now):
                self._left_out.setdefault(pc.name, PcResult.CLOSED)

    def _next_wave(self) -> Wave | None:
        self._leave_out_closed()
        names = [pc.name for pc in self.pcs]
        left_out = self._tried | self._left_out.keys()
        return next_wave(names, self._rollout.outcomes, left_out)

    def _startable(self, wave: Wave) -> Iterator[FleetPc]:
        """Yield the PCs of a wave, each written down as started, until one fails."""
        pc_of = {pc.name: pc for pc in self.pcs}
        for name in wave.names:
            self._leave_out_closed()
            if self._stopped_by:
                return
            if name not in self._left_out:
                self._record(name, PcOutcome.STARTED, "flash started", "")
                yield pc_of[name]

    def _flash(
        self, flash_one: FlashOne, pc: FleetPc
    ) -> tuple[SeenPc, TargetResult | None]:
        """Flash one PC, in a thread; None if it is off at this moment."""
        seen = look_at(pc, self.look, self._seen.get(pc.name))
        if not seen.is_reached:
            return seen, None
        return seen, flash_one(pc, lambda step: self.on_step(f"{pc.name}: {step}"))

    def _record_result(
        self, pc: FleetPc, seen: SeenPc, result: TargetResult | None
    ) -> None:
        """Write down how the flash of a PC ended; the first failure stops the run."""
        self._tried.add(pc.name)
        if result is None:
            self._leave_out_unknown(pc.name, seen.reason)
            self._seen[pc.name] = seen
            return
        if result.exit_code == ExitCode.OK:
            self._new.add(pc.name)
            self._seen[pc.name] = _seen_after(seen, result)
            self._record(pc.name, PcOutcome.GOOD, str(result.outcome), "")
            self.on_step(f"{pc.name}: good: {self.package} is in force")
            return
        # A PC that answered, and is lost during its flash, may have been lost by it.
        is_lost = result.outcome is TargetOutcome.UNREACHABLE
        outcome = PcOutcome.UNKNOWN if is_lost else PcOutcome.BAD
        reason = f"{result.message} {result.why}".strip()
        self._stopped_by = self._stopped_by or pc.name
        self._fixes[pc.name] = result.fix
        update = {"state": PcState(outcome.value), "reason": reason}
        self._seen[pc.name] = seen.model_copy(update=update)
        self._record(pc.name, outcome, str(result.outcome), reason)
        self.on_step(f"{pc.name}: {outcome}: {reason}")

    def _record(self, name: str, outcome: PcOutcome, what: str, reason: str) -> None:
        """Write an outcome to the disk, and a row of the audit."""
        result = RolloutResult(outcome=outcome, at=datetime.now(UTC), reason=reason)
        self._save({**self._rollout.results, name: result})
        self.state.audit(what, name, self.package, reason)

    def _forget(self, name: str) -> None:
        results = dict(self._rollout.results)
        del results[name]
        self._save(results)
        self.state.audit("found no longer in force", name, self.package)

    def _save(self, results: dict[str, RolloutResult]) -> None:
        self._rollout = self._rollout.model_copy(update={"results": results})
        self.state.save_rollout(self._rollout)

    def _end(self) -> None:
        self.state.save_seen(self._seen)
        stopped = self._stopped_by
        what = f"rollout stopped by {stopped}" if stopped else "rollout ended"
        self.state.audit(what, package=self.package)

    def _report(self) -> FleetReport:
        return FleetReport(
            package=self.package,
            started_at=self._rollout.started_at,
            stopped_by=self._stopped_by,
            pcs=tuple(map(self._row, self.pcs)),
        )

    def _row(self, pc: FleetPc) -> FleetRow:
        known = self._rollout.results.get(pc.name)
        return FleetRow(
            name=pc.name,
            target=pc.target,
            result=self._result_of(pc.name, known.outcome if known else None),
            is_new=pc.name in self._new,
            reason=known.reason if known else "",
            fix=self._fixes.get(pc.name, ""),
            at=known.at if known else None,
        )

    def _result_of(self, name: str, known: PcOutcome | None) -> PcResult:
        if known is PcOutcome.GOOD:
            return PcResult.GOOD
        if name in self._left_out:
            return self._left_out[name]
        if known is PcOutcome.BAD:
            return PcResult.BAD
        return PcResult.UNKNOWN if name in self._tried else PcResult.NOT_TRIED


def _seen_after(seen: SeenPc, result: TargetResult) -> SeenPc:
    """Return the state of a PC after a flash that succeeded."""
    now = datetime.now(UTC)
    update: dict[str, object] = {
        "state": PcState.GOOD,
        "reason": "",
        "seen_at": now,
        "package": result.package,
        "is_proven": True,
        "since": now,
    }
    after = seen.model_copy(update=update)
    return with_proof(after, result.report.proof if result.report else None)
