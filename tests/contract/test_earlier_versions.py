"""What version 0.1 wrote is read by this version.

``tests/data/written_by_0_1`` was written by the code before the modules moved: a slot
with two packages, an outbox with three alerts and a verdict, a history of the same
events, and the record of a training run.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dashboard.messages import RejectionReason
from deploy.installer import open_installer
from deploy.target import FlashTarget
from edge.delivery.outbox.events import EventKind, render
from edge.delivery.outbox.outbox import Outbox
from models.golden import read_golden
from models.package import open_package
from models.slot_files import ProofFile, SlotFolder, SlotRecord, read_file
from models.slot_states import SlotState
from tests.simulators.alerts import ALERT_TOPIC, TOPICS, alert
from tests.unit.dashboard.history_file import HistoryFile, read
from trainer.run_record import RunRecord

NEWER = "11cf902b031bdbdd4dd0bffef3ce02b75310867396a6d7590a90f7536f1fbd0f"
OLDER = "690ddd380cb471ca7ce79070d3bbc009ad68b464d911f241eabe106fe7c9fd35"


@pytest.fixture
def written(tmp_path: Path, repository: Path) -> Path:
    """A copy: databases and slots are changed by who opens them."""
    folder = tmp_path / "written"
    shutil.copytree(
        repository / "tests" / "data" / "written_by_0_1", folder, symlinks=True
    )
    return folder


@pytest.mark.parametrize("sha256", [NEWER, OLDER])
def test_package_is_opened_and_verified(written: Path, sha256: str) -> None:
    package = open_package(written / "slot" / "store" / sha256)
    assert package.sha256 == sha256
    assert package.manifest.labels == ("bright", "red")
    assert len(read_golden(package)) == 16
    # Boxes of two labels are decided on their own, as when it was packed.
    assert package.manifest.thresholds.cross_class_iou is None


def test_slot_states_what_is_in_force(written: Path) -> None:
    slot = SlotFolder(written / "slot")
    state, proofs = read_file(slot.state, SlotRecord), read_file(slot.proof, ProofFile)
    assert state is not None
    assert state.state is SlotState.COMMITTED
    assert (slot.package_of(slot.current), slot.package_of(slot.previous)) == (
        NEWER,
        OLDER,
    )
    assert proofs is not None
    assert set(proofs.proofs) == {NEWER, OLDER}


def test_slot_is_rolled_back(written: Path) -> None:
    slot = SlotFolder(written / "slot")
    target = FlashTarget(f"local:{slot.root}", slot)
    open_installer(target, lambda _: None).rollback()
    assert slot.package_of(slot.current) == OLDER


def test_outbox_is_read_and_its_sequence_continues(written: Path) -> None:
    outbox = Outbox(written / "outbox.sqlite3", TOPICS, 64 << 20)
    outbox.start()
    try:
        events = outbox.read(0, 100, was_sent=False)
        assert events is not None
        kinds = [each.event.kind for each in events]
        assert kinds == [EventKind.ALERT] * 3 + [EventKind.VERDICT]
        assert [json.loads(each.event.data)["frame_id"] for each in events] == [
            *(0, 1, 2),
            7,
        ]
        assert all(each.is_whole for each in events)
        added = outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(9))
        assert added.result(10) == 5
    finally:
        outbox.close()


def test_earlier_history_is_read_and_events_sent_again_are_duplicates(
    written: Path,
) -> None:
    outbox = Outbox(written / "outbox.sqlite3", TOPICS, 64 << 20)
    outbox.start()
    events = outbox.read(0, 100, was_sent=False)
    outbox.close()
    assert events is not None
    again = [
        read(
            each.event.topic,
            render(each, outbox.stream, replayed=True, with_image=False).payload,
        )
        for each in events
    ]
    history = HistoryFile(written)
    try:
        before = history.history.alerts(limit=10)
        committed = history.record(*again)
        assert committed.duplicates == len(events)
        after = history.history.alerts(limit=10)
    finally:
        history.close()
    assert before == after
    assert [each["frame_id"] for each in after] == [2, 1, 0]
    proven = {seq for _, ack in committed.acks for seq, _ in ack.digests}
    assert proven == {each.seq for each in events}


def test_other_content_under_the_id_of_an_earlier_event_is_refused(
    written: Path,
) -> None:
    outbox = Outbox(written / "outbox.sqlite3", TOPICS, 64 << 20)
    outbox.start()
    events = outbox.read(0, 100, was_sent=False)
    outbox.close()
    assert events is not None
    history = HistoryFile(written)
    try:
        for each in events:
            data = json.loads(each.event.data) | {"boot_id": "another"}
            changed = replace(each.event, data=json.dumps(data).encode())
            other = replace(each, event=changed)
            sent = render(other, outbox.stream, replayed=True, with_image=False)
            committed = history.record(read(each.event.topic, sent.payload))
            assert committed.acks == []
            (rejection,) = committed.rejections
            assert rejection.reason is RejectionReason.CONFLICT
    finally:
        history.close()


def test_record_of_a_run_is_read_and_written_the_same(written: Path) -> None:
    stored = json.loads((written / "run.json").read_text("utf-8"))
    record = RunRecord.model_validate(stored)
    # Fields that are new since then have their defaults.
    assert json.loads(record.model_dump_json(exclude_unset=True)) == stored
    assert record.recipe["freeze"] == "nothing"
