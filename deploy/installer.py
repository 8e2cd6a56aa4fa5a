"""Puts a package in force and takes it back: the place where the parts are joined.

::

    verify package -> store -> self-test -> proof.json -> trial -> previous, current

Whatever fails on the way, the old package stays in force: ``current`` moves last, by
one rename, to a package that is whole, durable and proven. A flash that was cut off
at any point is simply repeated.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from deploy.journal import Journal
from deploy.links import clean_links, locked, referenced, remove_link, switch_link
from deploy.report import FlashOutcome, FlashReport, PackageName, RollbackReport
from deploy.selftest import Selftest
from deploy.slots import SlotEvent, is_at_rest
from deploy.store import PackageStore
from deploy.target import FlashTarget
from models.errors import GraftlineError, InstallError, PackageError
from models.machine import machine_name
from models.package import Package
from models.slot_files import Proof, SlotFolder

logger = logging.getLogger(__name__)

StepCallback = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Installer:
    """Flash and rollback of one line PC.

    Attributes:
        target: As the operator wrote it, with its slot folder.
        store: The packages.
        journal: What is written down.
        selftest: How the self-test is run.
        tell: Is told each step in a sentence.
    """

    target: FlashTarget
    store: PackageStore
    journal: Journal
    selftest: Selftest
    tell: StepCallback

    @property
    def slot(self) -> SlotFolder:
        """The slot folder."""
        return self.target.slot

    def flash(self, package: Package) -> FlashReport:
        """Put a package in force, if it proves itself on this machine.

        Args:
            package: A verified package, anywhere on this machine.

        Returns:
            How it ended; a package that is in force already is only mended.

        Raises:
            InstallError: It is older than the one in force, failed the self-test,
                or the slot cannot be written; the old package is still in force.
            PackageError: It changed while it was copied.
        """
        with self._translated_errors(), locked(self.slot):
            clean_links(self.slot)
            self.store.clean()
            current = self.slot.package_of(self.slot.current)
            self._refuse_older(package, current)
            if current == package.sha256 and (proof := self._proof_in_force(current)):
                return self._flashed(FlashOutcome.ALREADY_IN_FORCE, package, proof)
            self.journal.begin(package.sha256)
            stored = self._store(package)
            proof = self._prove(stored)
            self._switch(stored, current)
            self._forget_old()
            outcome = FlashOutcome.COMMITTED
            if current == package.sha256:
                outcome = FlashOutcome.MENDED
            return self._flashed(outcome, stored, proof)

    def rollback(self) -> RollbackReport:
        """Put the previous package back in force.

        Raises:
            InstallError: There is none, it is damaged, it failed the self-test of
                this machine, or the slot cannot be written; nothing has changed.
        """
        if not self.slot.is_there:
            raise self._nothing_before()
        with self._translated_errors(), locked(self.slot):
            current = self.slot.package_of(self.slot.current)
            previous = self._open_previous(current)
            self.journal.recover()
            clean_links(self.slot)
            proof = self._known_proof(previous.sha256)
            if proof is None:
                self.tell("self-test: the previous package was not proven here")
                proof = self.selftest.run(previous).proof()
                self.journal.keep_proof(proof)
            # First what must be in force, then what to go back to: a cut between
            # the two leaves the wanted package in force.
            switch_link(self.slot, self.slot.current, previous.sha256)
            before = self._name_of(current)
            if before:
                switch_link(self.slot, self.slot.previous, current)
            reason = "Asked for by an operator."
            self.journal.note(SlotEvent.ROLLBACK_ASKED, current, reason)
            return RollbackReport(
                target=self.target.name,
                current=PackageName.of(previous),
                previous=before,
                proof=proof,
            )

    def _refuse_older(self, package: Package, current: str) -> None:
        """Refuse to go back in time by flashing."""
        in_force = self._name_of(current)
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

    def _proof_in_force(self, sha256: str) -> Proof | None:
        """Return the proof of a package that needs nothing more, else nothing."""
        if is_at_rest(self.journal.state()) and self.store.holds(sha256):
            return self._known_proof(sha256)
        return None

    def _known_proof(self, sha256: str) -> Proof | None:
        """Return the proof of a package if it was measured on this machine."""
        proof = self.journal.proof_of(sha256)
        return proof if proof and proof.machine == machine_name() else None

    def _store(self, package: Package) -> Package:
        """Bring the package into the store, and trust only what arrived there."""
        sha256 = package.sha256
        self.tell(f"store: copying {PackageName.of(package)}")
        self.store.adopt(package)
        self.journal.note(SlotEvent.FILES_COMPLETE, sha256)
        try:
            stored = self.store.open(sha256)
        except PackageError as exc:
            self.journal.note(SlotEvent.REFUSED, sha256, str(exc))
            raise
        self.journal.note(SlotEvent.TRUSTED, sha256)
        self.tell(f"verified: {len(stored.manifest.files)} files")
        return stored

    def _prove(self, stored: Package) -> Proof:
        """Run the self-test and keep its proof; its failure ends the flash."""
        self.journal.note(SlotEvent.SELFTEST_STARTED, stored.sha256)
        self.tell("self-test: golden frames in every run mode of this machine")
        try:
            proof = self.selftest.run(stored).proof()
        except InstallError as exc:
            self.journal.note(SlotEvent.GOLDEN_FAILED, stored.sha256, str(exc))
            raise
        self.journal.keep_proof(proof)
        return proof

    def _switch(self, stored: Package, current: str) -> None:
        """Put a proven package in force.

        Here the trial is a state that is passed through: the daemon does not yet
        compare the new package with the old one on live frames.
        """
        sha256 = stored.sha256
        switch_link(self.slot, self.slot.trial, sha256)
        self.journal.note(SlotEvent.GOLDEN_PASSED, sha256)
        # A damaged package must not push a good one out of ``previous``.
        if current != sha256 and self.store.holds(current):
            switch_link(self.slot, self.slot.previous, current)
        switch_link(self.slot, self.slot.current, sha256)
        remove_link(self.slot, self.slot.trial)
        self.journal.note(SlotEvent.HEALTH_PASSED, sha256)
        self.tell(f"in force: {PackageName.of(stored)}")

    def _forget_old(self) -> None:
        """Remove old packages; the flash has succeeded, whatever happens here."""
        try:
            kept = self.store.prune(referenced(self.slot))
            self.journal.forget_proofs(kept)
        except OSError as exc:
            logger.warning("old_packages_not_removed why=%s", exc)

    def _open_previous(self, current: str) -> Package:
        """Return the package to go back to."""
        previous = self.slot.package_of(self.slot.previous)
        if not previous or previous == current:
            raise self._nothing_before()
        try:
            return self.store.open(previous)
        except PackageError as exc:
            raise InstallError(
                f"{self.target.name}: the previous package is damaged.",
                why=f"{exc.what} {exc.why}",
                fix="Flash a good package; the one in force was not touched.",
            ) from exc

    def _nothing_before(self) -> InstallError:
        """Return the error of a line PC with nothing to go back to."""
        return InstallError(
            f"{self.target.name}: there is no previous package.",
            why="A rollback needs two packages that were flashed one after another.",
            fix="Flash the package that shall be in force.",
        )

    def _name_of(self, sha256: str) -> PackageName | None:
        """Return the name of a stored package, or nothing if it is not readable."""
        try:
            return PackageName.stored(self.store.folder / sha256) if sha256 else None
        except PackageError:
            return None

    def _flashed(
        self, outcome: FlashOutcome, package: Package, proof: Proof
    ) -> FlashReport:
        """Return the answer of a flash."""
        return FlashReport(
            target=self.target.name,
            outcome=outcome,
            package=PackageName.of(package),
            previous=self._name_of(self.slot.package_of(self.slot.previous)),
            proof=proof,
        )

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Say of a disk that failed what that means."""
        try:
            yield
        except GraftlineError:
            raise
        except OSError as exc:
            raise InstallError(
                f"{self.target.name}: the slot cannot be written.",
                why=str(exc),
                fix="Mend the disk, its room or its permissions, and try again; the "
                "package that was in force still is.",
            ) from exc


def open_installer(
    target: FlashTarget, tell: StepCallback, selftest: Selftest | None = None
) -> Installer:
    """Return the installer of one line PC.

    Args:
        target: Which.
        tell: Is told each step in a sentence.
        selftest: How the self-test is run; none = the one of this product.
    """
    return Installer(
        target=target,
        store=PackageStore(target.slot.store),
        journal=Journal(target.slot),
        selftest=selftest or Selftest(),
        tell=tell,
    )
