import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.errors import InstallError
from models.slot_files import (
    SCHEMA_VERSION,
    Health,
    ProofFile,
    SlotFileDamagedError,
    SlotFolder,
    SlotRecord,
    read_file,
    write_file,
)
from models.slot_states import SlotState

HEALTH = Health(
    at=datetime(2026, 1, 1, tzinfo=UTC), boot_id="b", state="ready", fps=12.5
)


def test_written_file_is_read_back(tmp_path: Path) -> None:
    slot = SlotFolder(tmp_path)
    write_file(slot.health, HEALTH)
    assert read_file(slot.health, Health) == HEALTH


def test_missing_file_is_none(tmp_path: Path) -> None:
    assert read_file(tmp_path / "state.json", SlotRecord) is None


def test_unknown_fields_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    text = HEALTH.model_dump_json().replace("{", '{"temperature_c": 41,', 1)
    path.write_text(text)
    read = read_file(path, Health)
    assert read is not None
    write_file(path, read)
    assert '"temperature_c": 41' in path.read_text()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"state": "new"}', b"[" * 100_000]
)
def test_damaged_file_is_an_error_of_its_own(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(SlotFileDamagedError, match=r"state\.json: cannot be read"):
        read_file(tmp_path / "state.json", SlotRecord)


def test_newer_file_is_refused_before_it_is_validated(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(f'{{"schema_version": {SCHEMA_VERSION + 1}, "novel": 1}}')
    with pytest.raises(InstallError, match="newer than this runtime") as caught:
        read_file(path, SlotRecord)
    assert not isinstance(caught.value, SlotFileDamagedError)


def test_unknown_state_is_refused(tmp_path: Path) -> None:
    record = SlotRecord(state=SlotState.TRIAL, at=HEALTH.at)
    write_file(tmp_path / "state.json", record)
    assert '"state": "trial"' in (tmp_path / "state.json").read_text()


def test_link_names_the_package_behind_it(tmp_path: Path) -> None:
    slot = SlotFolder(tmp_path)
    assert slot.package_of(slot.current) == ""
    slot.current.symlink_to("store/abc")
    assert slot.package_of(slot.current) == "abc"
    slot.previous.mkdir()  # a folder, not a link
    assert slot.package_of(slot.previous) == ""


def test_paths_of_the_slot_are_fixed(tmp_path: Path) -> None:
    slot = SlotFolder(tmp_path)
    names = [
        path.relative_to(tmp_path).as_posix()
        for path in (
            *(slot.store, slot.current, slot.previous, slot.trial),
            *(slot.state, slot.proof, slot.health),
        )
    ]
    assert names == [
        *("store", "current", "previous", "trial"),
        *("state.json", "proof.json", "health.json"),
    ]


def test_link_that_cannot_be_read_is_an_install_error(tmp_path: Path) -> None:
    slot = SlotFolder(tmp_path / ("x" * 300))
    with pytest.raises(InstallError, match="cannot be read"):
        slot.package_of(slot.current)


def proof_text(**changes: object) -> str:
    mode = {
        "variant": "openvino-fp32",
        "precision_hint": "f32",
        "passed": True,
        "latency_ms_p50": 1.5,
        "latency_ms_p99": 2.5,
    }
    proof = {
        "package_sha256": "a" * 64,
        "at": "2026-01-01T00:00:00Z",
        "machine": "test",
        "golden_frames": 16,
        "chosen": mode | changes,
        "modes": [mode, mode | {"variant": "openvino-int8", "passed": False}],
    }
    return json.dumps({"schema_version": 1, "proofs": {"a" * 64: proof}})


def test_proof_is_read(tmp_path: Path) -> None:
    path = tmp_path / "proof.json"
    path.write_text(proof_text())
    assert read_file(path, ProofFile) is not None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (proof_text(variant="openvino-int8"), "not one of those that passed"),
        (
            proof_text(variant="openvino-int8", passed=False),
            "not one of those that passed",
        ),
        (proof_text(streams=2), "not one of those that passed"),
        (
            proof_text().replace("a" * 64, "b" * 64, 1),
            "the proof of aaaaaaaaaaaa is under bbbbbbbbbbbb",
        ),
        (proof_text(latency_ms_p50=float("nan")), "NaN is not a finite number"),
        (
            proof_text().replace('"proofs"', '"proofs": {}, "proofs"'),
            "'proofs' is there twice",
        ),
    ],
    ids=["not measured", "failed", "streams", "other package", "nan", "twice"],
)
def test_proof_that_contradicts_itself_is_damaged(
    text: str, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "proof.json"
    path.write_text(text)
    with pytest.raises(SlotFileDamagedError) as caught:
        read_file(path, ProofFile)
    assert fault in caught.value.why
