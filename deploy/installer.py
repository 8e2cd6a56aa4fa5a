"""Puts a package in force and rolls it back: the composition root of ``deploy``.

::

    verify package -> store -> self-test -> proof.json -> trial -> previous, current

If any step fails, the old package stays in force: ``current`` moves last, by one
rename, to a package that is complete, durable and tested. After a power cut at any
point, repeat the flash; a trial goes on.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.journal import Journal
from deploy.links import (
    clean_links,
    end_trial,
    linked_packages,
    locked,
    switch_link,
)
from deploy.refused import RefusedPackages
from deploy.results import (
    OPERATOR_ROLLBACK,
    FlashOutcome,
    FlashReport,
    PackageName,
    RollbackReport,
)
from deploy.selftest.process import Selftest
from deploy.slots import SlotEvent, is_at_rest
from deploy.store import PackageStore
from deploy.target import FlashTarget
from deploy.trial import TrialSettings, TrialStep, TrialVerdict
from deploy.trial_run import (
    NO_DAEMON,
    DaemonSign,
    TrialRun,
    is_ordered,
    order_trial,
    why_no_trial,
)
from models.counted import counted
from models.errors import GraftlineError, InstallError, PackageError
from models.machine import machine_name, this_platform
from models.manifest import build_number
from models.package import Package
from models.slot_files import Proof, SlotFolder

DEFAULT_TRIAL = TrialSettings()
FUTURE_MAX_S = 86_400  # clocks differ, and time zones are set wrong
logger = logging.getLogger(__name__)

StepCallback = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Installer:
    """Flashes one line PC, and rolls it back.

    Attributes:
        target: As the operator wrote it, with its slot folder.
        journal: ``state.json`` and ``proof.json``.
        selftest: Runs the self-test in a separate process.
        on_step: Called with a sentence at each step.
    """

    target: FlashTarget
    store: PackageStore
    journal: Journal
    selftest: Selftest
    on_step: StepCallback

    @property
    def slot(self) -> SlotFolder:
        """The slot folder."""
        return self.target.slot

    @property
    def refused(self) -> RefusedPackages:
        """``refused.json``."""
        return RefusedPackages(self.slot)

    def flash(
        self, package: Package, trial: TrialSettings = DEFAULT_TRIAL
    ) -> FlashReport:
        """Put a package in force, if it passes the self-test and its trial.

        Args:
            package: A verified package, anywhere on this machine.
            trial: How it is tried where a daemon runs.

        Returns:
            The outcome; a package that is in force already is only repaired.

        Raises:
            InstallError: It is older than the one in force, failed the self-test or
                the trial, was rolled back here before, or the slot cannot be written;
                the old package is still in force.
            PackageError: It changed while it was copied.
        """
        with self._translated_errors(), locked(self.slot):
            clean_links(self.slot)
            self.store.clean()
            if self._is_interrupted(package.sha256):
                return self._resume(package.sha256, trial)
            end_trial(self.slot)
            current = self.slot.package_of(self.slot.current)
            self._refuse_older(package, current)
            if found := self._find_in_force(package.sha256):
                return found[1]
            self._refuse_refused(package, trial)
            daemon = DaemonSign.of(self.slot)
            # One flash hashes the package four times: in the verb, after the copy, in
            # the store and in the self-test's process. This is intended: each of them
            # trusts only the bytes that it has read itself. What is in force already
            # is hashed twice: in the verb, and in the store by `find_in_force`.
            self.journal.start(package.sha256)
            stored = self._store(package)
            proof = self._run_selftest(stored)
            return self._try(stored, proof, trial, daemon)

    def find_in_force(self, sha256: str) -> tuple[Package, FlashReport] | None:
        """Return a package that needs no flash, with the outcome of flashing it.

        Every file of the stored package is verified; what crashed attempts left behind
        is removed.

        Returns:
            None if it is not in force, damaged, in a trial, or not proven on this
            machine: then ``flash`` is needed.

        Raises:
            InstallError: The slot cannot be read, or another flash is running.
        """
        if not self.slot.exists:
            return None
        with self._translated_errors(), locked(self.slot):
            found = self._find_in_force(sha256)
            if found is not None:
                clean_links(self.slot)
                self.store.clean()
                end_trial(self.slot)
            return found

    def resume(self, trial: TrialSettings = DEFAULT_TRIAL) -> FlashReport | None:
        """Go on with a trial that a power cut or a restart interrupted.

        Returns:
            None if there is no such trial.

        Raises:
            InstallError: The trial was bad, or the slot cannot be written; the old
                package is still in force.
        """
        if not self.slot.exists:
            return None
        with self._translated_errors(), locked(self.slot):
            links = (self.slot.trial, self.slot.current)
            sha256 = next(filter(None, map(self.slot.package_of, links)), "")
            if not sha256 or not self._is_interrupted(sha256):
                return None
            clean_links(self.slot)
            return self._resume(sha256, trial)

    def rollback(self) -> RollbackReport:
        """Switch back to the previous package.

        Raises:
            InstallError: There is no previous package, it is damaged, it failed the
                self-test of this machine, or the slot cannot be written; nothing has
                changed.
        """
        if not self.slot.exists:
            raise self._no_previous()
        with self._translated_errors(), locked(self.slot):
            current = self.slot.package_of(self.slot.current)
            previous = self._open_previous(current)
            self.journal.recover()
            clean_links(self.slot)
            end_trial(self.slot)
            proof = self._valid_proof(previous.sha256)
            if proof is None:
                self.on_step("self-test: the previous package was not tested here")
                proof = self.selftest.run(previous).proof()
                self.journal.save_proof(proof)
            # ``current`` first: a power cut between the two links leaves the wanted
            # package in force.
            switch_link(self.slot, self.slot.current, previous.sha256)
            before = self._name_of(current)
            if before:
                switch_link(self.slot, self.slot.previous, current)
            self.journal.record(SlotEvent.ROLLBACK_ASKED, current, OPERATOR_ROLLBACK)
            return RollbackReport(
                target=self.target.name,
                current=PackageName.of(previous),
                previous=before,
                proof=proof,
            )

    def _refuse_older(self, package: Package, current: str) -> None:
        """Refuse a package with an older build than the one in force."""
        _refuse_future(package)
        in_force = self._name_of(current)
        if current and in_force is None:
            self.on_step(
                "warning: the package in force is damaged: builds not compared"
            )
        build = package.manifest.build
        if in_force is None or build >= in_force.build:
            return
        fix = "Pack that run again: the package gets a new build number."
        if package.sha256 == self.slot.package_of(self.slot.previous):
            fix = f"graftline rollback {self.target.name}"
        raise InstallError(
            f"{package.folder}: build {build} is older than build {in_force.build}, "
            f"which is in force on {self.target.name}.",
            why="Flashing only goes forward.",
            fix=fix,
        )

    def _find_in_force(self, sha256: str) -> tuple[Package, FlashReport] | None:
        if sha256 != self.slot.package_of(self.slot.current):
            return None
        at_rest = is_at_rest(self.journal.state())
        if not (at_rest and self.journal.agrees_with(sha256)):
            return None
        proof, stored = self._valid_proof(sha256), self.store.find(sha256)
        if proof is None or stored is None:
            return None
        return stored, self._report(FlashOutcome.ALREADY_IN_FORCE, stored, proof)

    def _valid_proof(self, sha256: str) -> Proof | None:
        """Return the proof of a package if it was measured on this machine.

        Run mode and speed are those of one processor: after the disk has moved to
        another machine the self-test runs again.
        """
        proof = self.journal.proof_of(sha256)
        if proof is None or proof.machine != machine_name():
            return None
        return None if proof.differences(this_platform()) else proof

    def _store(self, package: Package) -> Package:
        """Copy the package into the store, and verify the copy."""
        sha256 = package.sha256
        self.on_step(f"store: copying {PackageName.of(package)}")
        self.store.add(package)
        self.journal.record(SlotEvent.FILES_COMPLETE, sha256)
        try:
            stored = self.store.open(sha256)
        except PackageError as exc:
            self.journal.record(SlotEvent.REFUSED, sha256, str(exc))
            raise
        self.journal.record(SlotEvent.TRUSTED, sha256)
        seal = " and the sealed manifest" if stored.manifest.sealed else ""
        files = counted(len(stored.manifest.files), "file")
        self.on_step(f"verified: {files}{seal}")
        return stored

    def _run_selftest(self, stored: Package) -> Proof:
        """Run the self-test and save its proof; its failure ends the flash."""
        self.journal.record(SlotEvent.SELFTEST_STARTED, stored.sha256)
        self.on_step("self-test: golden frames in every run mode of this machine")
        try:
            proof = self.selftest.run(stored).proof()
        except InstallError as exc:
            name = _name_and_build(stored)
            self.journal.record(SlotEvent.GOLDEN_FAILED, stored.sha256, str(exc), name)
            raise
        self.journal.save_proof(proof)
        return proof

    def _is_interrupted(self, sha256: str) -> bool:
        """Return whether this package is in a trial that can go on, or just was."""
        links = (self.slot.trial, self.slot.current)
        return (
            sha256 in map(self.slot.package_of, links)
            and self.journal.is_in_trial(sha256)
            and self._valid_proof(sha256) is not None
            and self.store.holds(sha256)
        )

    def _resume(self, sha256: str, trial: TrialSettings) -> FlashReport:
        stored, proof = self.store.open(sha256), self._valid_proof(sha256)
        if proof is None:  # `_is_interrupted` has just read it
            raise AssertionError(sha256)
        self.journal.record(SlotEvent.RESUMED, sha256, package=_name_and_build(stored))
        self.on_step(f"trial: going on with {PackageName.of(stored)}")
        why = "" if is_ordered(self.slot, sha256) else NO_DAEMON
        return self._report(
            FlashOutcome.COMMITTED, stored, proof, self._end_trial(stored, trial, why)
        )

    def _try(
        self, stored: Package, proof: Proof, trial: TrialSettings, daemon: DaemonSign
    ) -> FlashReport:
        """Start the trial of a package that passed the self-test, and end it."""
        sha256, current = stored.sha256, self.slot.package_of(self.slot.current)
        outcome, why = FlashOutcome.COMMITTED, ""
        if not current:
            why = "nothing was in force before"
        elif current == sha256:
            outcome, why = FlashOutcome.REPAIRED, "it was in force before"
        elif trial.is_off:
            why = "switched off"
        else:
            why = why_no_trial(self.slot, daemon)
        if not why:  # first: without an order a trial that goes on is not waited for
            order_trial(self.slot, sha256, trial)
        switch_link(self.slot, self.slot.trial, sha256)
        name = _name_and_build(stored)
        self.journal.record(SlotEvent.GOLDEN_PASSED, sha256, package=name)
        return self._report(outcome, stored, proof, self._end_trial(stored, trial, why))

    def _end_trial(self, stored: Package, trial: TrialSettings, why: str) -> str:
        """Put a package in force after its trial, or roll it back.

        Args:
            why: Why there is no trial; empty = it is ordered.

        Returns:
            What the trial measured, or why there was none.
        """
        current = self.slot.package_of(self.slot.current)
        if not why and current != stored.sha256:
            verdict = self._run_trial(stored, trial)
            if verdict.step is TrialStep.ROLL_BACK:
                raise self._roll_back(stored, verdict)
            why = verdict.reason
        self._commit(stored, current)
        self._prune()
        return why

    def _run_trial(self, stored: Package, trial: TrialSettings) -> TrialVerdict:
        order = order_trial(self.slot, stored.sha256, trial)
        self.on_step(
            f"trial: {counted(trial.frames, 'frame')} and {trial.seconds:g} s on the "
            "line"
        )
        try:
            return TrialRun(self.slot, order, trial, self.on_step).run()
        except KeyboardInterrupt:
            reason = "stopped by a person before the end of the trial"
            self._roll_back(stored, TrialVerdict(TrialStep.ROLL_BACK, reason))
            raise

    def _commit(self, stored: Package, current: str) -> None:
        """Put a package in force."""
        sha256 = stored.sha256
        # A damaged package must not replace a good one in ``previous``.
        if current != sha256 and self.store.holds(current):
            switch_link(self.slot, self.slot.previous, current)
        switch_link(self.slot, self.slot.current, sha256)
        end_trial(self.slot)
        name = _name_and_build(stored)
        self.journal.record(SlotEvent.HEALTH_PASSED, sha256, package=name)
        self.refused.forget(sha256)
        self.on_step(f"in force: {PackageName.of(stored)}")

    def _roll_back(self, stored: Package, verdict: TrialVerdict) -> InstallError:
        """End a bad trial, and return the error that says why."""
        sha256, name = stored.sha256, _name_and_build(stored)
        if verdict.is_refused:  # first: after a power cut it is not tried again
            self.refused.add(sha256, name, verdict.reason)
        end_trial(self.slot)
        self.journal.record(SlotEvent.HEALTH_FAILED, sha256, verdict.reason, name)
        self.on_step(f"rolled back: {name}")
        fix = "Flash it again: it was not found to be bad."
        if verdict.is_refused:
            fix = "Train it again; to try it again as it is, add --again."
        return InstallError(
            f"{self.target.name}: {name} was rolled back after its trial.",
            why=f"{_sentence(verdict.reason)} The package that was in force still is.",
            fix=fix,
        )

    def _refuse_refused(self, package: Package, trial: TrialSettings) -> None:
        """Refuse a package that a trial rolled back here before."""
        refused = self.refused.of(package.sha256)
        if refused is None or trial.tries_again:
            return
        raise InstallError(
            f"{self.target.name}: {refused.package} was rolled back here on "
            f"{refused.at:%Y-%m-%d %H:%M} UTC.",
            why=_sentence(refused.reason),
            fix="Flash another package; to try it again, add --again.",
        )

    def _prune(self) -> None:
        """Remove old packages; the flash has succeeded even if this fails."""
        try:
            kept = self.store.prune(linked_packages(self.slot))
            self.journal.prune_proofs(kept)
        except OSError as exc:
            logger.warning("old_packages_not_removed why=%s", exc)

    def _open_previous(self, current: str) -> Package:
        previous = self.slot.package_of(self.slot.previous)
        if not previous or previous == current:
            raise self._no_previous()
        try:
            return self.store.open(previous)
        except PackageError as exc:
            raise InstallError(
                f"{self.target.name}: the previous package is damaged.",
                why=f"{exc.what} {exc.why}",
                fix="Flash a good package; the one in force was not touched.",
            ) from exc

    def _no_previous(self) -> InstallError:
        return InstallError(
            f"{self.target.name}: there is no previous package.",
            why="A rollback needs two packages that were flashed one after another.",
            fix="Flash the package that should be in force.",
        )

    def _name_of(self, sha256: str) -> PackageName | None:
        """Return the name of a stored package; None if it is not readable."""
        try:
            return PackageName.stored(self.store.folder / sha256) if sha256 else None
        except PackageError:
            return None

    def _report(
        self, outcome: FlashOutcome, package: Package, proof: Proof, trial: str = ""
    ) -> FlashReport:
        return FlashReport(
            target=self.target.name,
            outcome=outcome,
            package=PackageName.of(package),
            previous=self._name_of(self.slot.package_of(self.slot.previous)),
            proof=proof,
            trial=trial,
        )

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Translate an error of the disk into an ``InstallError``."""
        try:
            yield
        except GraftlineError:
            raise
        except OSError as exc:
            raise InstallError(
                f"{self.target.name}: the slot cannot be written.",
                why=str(exc),
                fix="Check disk, free space and permissions, and try again; the "
                "package that was in force still is.",
            ) from exc


def _name_and_build(package: Package) -> str:
    return f"{package.manifest.name} build {package.manifest.build}"


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}."


def _refuse_future(package: Package) -> None:
    """Refuse a build of the future: every later package would be older than it."""
    build, now = package.manifest.build, build_number(datetime.now(UTC))
    if build > now + FUTURE_MAX_S:
        raise InstallError(
            f"{package.folder}: build {build} is in the future.",
            why=f"A build is the second of packing; this machine's clock gives {now}. "
            "After it, flashing would refuse every package as older.",
            fix="Set the clock of this machine; if it is right, pack the run again on "
            "a machine whose clock is right.",
        )


def open_installer(
    target: FlashTarget, on_step: StepCallback, selftest: Selftest | None = None
) -> Installer:
    """Return the installer of one line PC.

    Args:
        on_step: Called with a sentence at each step.
        selftest: None = ``graftline selftest`` of this installation.
    """
    return Installer(
        target=target,
        store=PackageStore(target.slot.store),
        journal=Journal(target.slot),
        selftest=selftest or Selftest(),
        on_step=on_step,
    )
