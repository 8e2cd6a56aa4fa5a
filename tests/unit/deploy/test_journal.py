from datetime import UTC, datetime

import pytest

from deploy.journal import Journal
from deploy.slots import SlotEvent
from models.errors import InstallError
from models.manifest import PrecisionHint, VariantName
from models.slot_files import Proof, RunMode, SlotFolder
from models.slot_states import SlotState
from tests.simulators.target import SimTarget

MODE = RunMode(
    variant=VariantName.OPENVINO_FP32,
    precision_hint=PrecisionHint.F32,
    passed=True,
    latency_ms_p50=1,
    latency_ms_p99=2,
)


@pytest.fixture
def journal(line_pc: SimTarget) -> Journal:
    line_pc.root.mkdir()
    return Journal(SlotFolder(line_pc.root))


def proof_of(sha256: str) -> Proof:
    return Proof(
        package_sha256=sha256,
        at=datetime.now(UTC),
        machine="here",
        golden_frames=1,
        chosen=MODE,
        modes=(MODE,),
    )


def test_line_pc_without_files_is_idle_and_has_no_proof(journal: Journal) -> None:
    assert journal.state() is SlotState.IDLE
    assert journal.proof_of("a") is None


def test_event_that_cannot_happen_writes_nothing(journal: Journal) -> None:
    with pytest.raises(ValueError, match="cannot happen"):
        journal.record(SlotEvent.GOLDEN_PASSED, "a")
    assert not journal.slot.state.exists()


def test_interrupted_flash_is_recorded_and_the_next_one_starts(
    journal: Journal, line_pc: SimTarget
) -> None:
    journal.start("a")
    journal.record(SlotEvent.FILES_COMPLETE, "a")
    journal.recover()
    assert line_pc.record().reason == "Interrupted in state downloaded."
    journal.start("b")
    assert line_pc.record().package_sha256 == "b"


def test_damaged_files_count_as_missing(journal: Journal) -> None:
    journal.slot.state.write_bytes(b'{"state": "comm')
    journal.slot.proof.write_bytes(b"")
    assert journal.state() is SlotState.IDLE
    assert journal.proof_of("a") is None
    journal.start("a")
    journal.save_proof(proof_of("a"))
    assert journal.proof_of("a") is not None


NEWER = '{"schema_version": 2, "field": "unknown"}'


def test_state_of_a_newer_graftline_is_not_overwritten(journal: Journal) -> None:
    journal.slot.state.write_text(NEWER)
    with pytest.raises(InstallError, match="newer than this runtime"):
        journal.start("a")
    assert journal.slot.state.read_text() == NEWER


def test_proofs_of_a_newer_graftline_are_not_overwritten(journal: Journal) -> None:
    journal.slot.proof.write_text(NEWER)
    with pytest.raises(InstallError, match="newer than this runtime"):
        journal.save_proof(proof_of("a"))
    assert journal.slot.proof.read_text() == NEWER


def test_only_the_proofs_of_stored_packages_are_kept(journal: Journal) -> None:
    for name in ("a", "b", "c"):
        journal.save_proof(proof_of(name))
    journal.prune_proofs(["a", "c"])
    assert journal.proof_of("a") == proof_of("a").model_copy(
        update={"at": journal.proof_of("a").at}  # type: ignore[union-attr]
    )
    assert journal.proof_of("b") is None
