"""What flashing writes down: ``state.json`` and ``proof.json``.

Every step is on the disk before the next one begins, so that after a power cut the
next flash knows that it was interrupted.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.slots import SlotEvent, is_at_rest, next_state
from models.slot_files import (
    Proof,
    ProofFile,
    SlotFileDamagedError,
    SlotFolder,
    SlotRecord,
    read_file,
    write_file,
)
from models.slot_states import SlotState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Journal:
    """The two files of one slot. Its owner holds the slot's lock.

    Attributes:
        slot: The slot; its folder exists.
    """

    slot: SlotFolder

    def state(self) -> SlotState:
        """Return where the last installation stands.

        Raises:
            InstallError: A newer Graftline wrote the file.
        """
        try:
            record = read_file(self.slot.state, SlotRecord)
        except SlotFileDamagedError as exc:
            logger.warning("slot_file_damaged why=%s", exc)
            return SlotState.IDLE
        return record.state if record else SlotState.IDLE

    def begin(self, sha256: str) -> None:
        """Note that a flash begins, also after one that never ended.

        Args:
            sha256: The package.

        Raises:
            InstallError: A newer Graftline wrote the file.
            OSError: The folder cannot be written.
        """
        self.recover()
        self.note(SlotEvent.FLASH_STARTED, sha256)

    def recover(self) -> None:
        """Note that the last flash never ended, if that is so.

        Raises:
            InstallError: A newer Graftline wrote the file.
            OSError: The folder cannot be written.
        """
        state = self.state()
        if not is_at_rest(state):
            logger.warning("flash_was_interrupted state=%s", state)
            self.note(SlotEvent.INTERRUPTED, "", f"Interrupted in state {state}.")

    def note(self, event: SlotEvent, sha256: str, reason: str = "") -> None:
        """Write down what happened.

        Args:
            event: What; it must be able to happen now.
            sha256: The package it happened to.
            reason: Why, where it went wrong.

        Raises:
            OSError: The folder cannot be written.
        """
        state = next_state(self.state(), event)
        logger.info("slot_state state=%s event=%s sha256=%s", state, event, sha256)
        record = SlotRecord(
            state=state, package_sha256=sha256, reason=reason, at=datetime.now(UTC)
        )
        write_file(self.slot.state, record)

    def proof_of(self, sha256: str) -> Proof | None:
        """Return what the self-test found for a package, if it is known.

        Args:
            sha256: The package.

        Raises:
            InstallError: A newer Graftline wrote the file.
        """
        return self._proofs().get(sha256)

    def keep_proof(self, proof: Proof) -> None:
        """Add a proof, or replace the package's older one.

        Args:
            proof: From the self-test.

        Raises:
            OSError: The folder cannot be written.
        """
        proofs = {**self._proofs(), proof.package_sha256: proof}
        write_file(self.slot.proof, ProofFile(proofs=proofs))

    def forget_proofs(self, stored: list[str]) -> None:
        """Drop the proofs of packages that are no longer in the store.

        Args:
            stored: SHA-256 of the packages in the store.

        Raises:
            OSError: The folder cannot be written.
        """
        proofs = self._proofs()
        kept = {sha256: proofs[sha256] for sha256 in proofs if sha256 in stored}
        if len(kept) < len(proofs):
            write_file(self.slot.proof, ProofFile(proofs=kept))

    def _proofs(self) -> dict[str, Proof]:
        """Return all proofs; a damaged file holds none."""
        try:
            file = read_file(self.slot.proof, ProofFile)
        except SlotFileDamagedError as exc:
            logger.warning("slot_file_damaged why=%s", exc)
            return {}
        return file.proofs if file else {}
