"""The journal of flashing: ``state.json`` and ``proof.json``.

Every step is on the disk before the next one starts, so that the next flash detects an
interruption, such as a power cut.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.slots import SlotEvent, is_at_rest, next_state
from models.slot_files import (
    Proof,
    ProofFile,
    SlotFolder,
    SlotRecord,
    read_or_none,
    write_file,
)
from models.slot_states import SlotState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Journal:
    """The two files of one slot, whose folder exists. The owner holds its lock."""

    slot: SlotFolder

    def state(self) -> SlotState:
        """Return the state of the last installation; ``IDLE`` without a valid file.

        Raises:
            InstallError: A newer Graftline wrote the file.
        """
        record = self._record()
        return record.state if record else SlotState.IDLE

    def agrees_with(self, current: str) -> bool:
        """Return whether the last flash, if it succeeded, put this package in force.

        Args:
            current: SHA-256 of the package that the link names.

        Raises:
            InstallError: A newer Graftline wrote the file.
        """
        record = self._record()
        if record is None or record.state is not SlotState.COMMITTED:
            return True
        return record.package_sha256 == current

    def is_in_trial(self, sha256: str) -> bool:
        """Return whether the trial of a package was interrupted.

        Raises:
            InstallError: A newer Graftline wrote the file.
        """
        record = self._record()
        if record is None or record.state is not SlotState.TRIAL:
            return False
        return record.package_sha256 == sha256

    def start(self, sha256: str) -> None:
        """Record the start of a flash, even after one that was interrupted.

        Raises:
            InstallError: A newer Graftline wrote the file.
            OSError: The folder cannot be written.
        """
        self.recover()
        self.record(SlotEvent.FLASH_STARTED, sha256)

    def recover(self) -> None:
        """Record that the last flash was interrupted, if it did not end.

        Raises:
            InstallError: A newer Graftline wrote the file.
            OSError: The folder cannot be written.
        """
        state = self.state()
        if not is_at_rest(state):
            logger.warning("flash_was_interrupted state=%s", state)
            self.record(SlotEvent.INTERRUPTED, "", f"Interrupted in state {state}.")

    def record(
        self, event: SlotEvent, sha256: str, reason: str = "", package: str = ""
    ) -> None:
        """Write the state after an event.

        Args:
            event: Known in the present state, see ``deploy.slots``.
            sha256: The package that is being installed; empty if it is unknown.
            reason: Cause of a failure; empty otherwise.
            package: Its name and build; empty if it is unknown.

        Raises:
            OSError: The folder cannot be written.
        """
        state = next_state(self.state(), event)
        logger.info("slot_state state=%s event=%s sha256=%s", state, event, sha256)
        record = SlotRecord(
            state=state,
            package_sha256=sha256,
            reason=reason,
            package=package,
            at=datetime.now(UTC),
        )
        write_file(self.slot.state, record)

    def proof_of(self, sha256: str) -> Proof | None:
        """Return the proof of a package; None where there is no proof.

        Raises:
            InstallError: A newer Graftline wrote the file.
        """
        return self._proofs().get(sha256)

    def save_proof(self, proof: Proof) -> None:
        """Add a proof, or replace the package's older one.

        Raises:
            OSError: The folder cannot be written.
        """
        proofs = {**self._proofs(), proof.package_sha256: proof}
        write_file(self.slot.proof, ProofFile(proofs=proofs))

    def prune_proofs(self, stored: list[str]) -> None:
        """Remove the proofs of packages that are no longer in the store.

        Args:
            stored: SHA-256 of the packages in the store.

        Raises:
            OSError: The folder cannot be written.
        """
        proofs = self._proofs()
        kept = {sha256: proofs[sha256] for sha256 in proofs if sha256 in stored}
        if len(kept) < len(proofs):
            write_file(self.slot.proof, ProofFile(proofs=kept))

    def _record(self) -> SlotRecord | None:
        """Return the content of ``state.json``; None without a valid file."""
        return read_or_none(self.slot.state, SlotRecord)

    def _proofs(self) -> dict[str, Proof]:
        """Return all proofs; a damaged file holds none."""
        file = read_or_none(self.slot.proof, ProofFile)
        return file.proofs if file else {}
