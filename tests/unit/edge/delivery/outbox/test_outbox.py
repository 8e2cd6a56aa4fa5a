"""What was put is on disk, in order, once, and stays until it is acknowledged."""

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.delivery.outbox import database
from edge.delivery.outbox import outbox as outbox_module
from edge.delivery.outbox.events import QueuedEvent
from edge.delivery.outbox.outbox import EventKind, Outbox
from models.errors import ConfigError, DeliveryError
from models.messages import THUMBNAIL_MAX_BYTES
from models.topics import StationTopics
from tests.simulators.alerts import (
    ALERT_TOPIC,
    TOPICS,
    VERDICT_TOPIC,
    alert,
    jpeg,
    verdict,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

MEBIBYTE = 1 << 20
Open = Callable[..., Outbox]


@pytest.fixture
def open_outbox(tmp_path: Path) -> Iterator[Open]:
    """Open an outbox at the usual place; all are closed at the end."""
    opened: list[Outbox] = []

    def start(max_bytes: int = 64 * MEBIBYTE, topics: StationTopics = TOPICS) -> Outbox:
        outbox = Outbox(tmp_path / "outbox.db", topics, max_bytes)
        outbox.start()
        opened.append(outbox)
        return outbox

    yield start
    for outbox in opened:
        outbox.close()


def put(outbox: Outbox, frame_id: int, image: bytes | None = None) -> "Future[int]":
    return outbox.put(EventKind.ALERT, ALERT_TOPIC, alert(frame_id, image), image)


def fill(outbox: Outbox, count: int, first: int = 0) -> list[int]:
    futures = [put(outbox, first + number) for number in range(count)]
    return [future.result(10) for future in futures]


def queued(outbox: Outbox, *, was_sent: bool = False) -> list[QueuedEvent]:
    events = outbox.read(0, 100_000, was_sent=was_sent)
    assert events is not None
    return events


def settle(outbox: Outbox) -> None:
    """Wait until everything before has been written."""
    outbox.put(EventKind.VERDICT, VERDICT_TOPIC, verdict(0)).result(10)


def test_events_are_read_back_in_the_order_in_which_they_were_put(
    open_outbox: Open,
) -> None:
    outbox = open_outbox()
    assert fill(outbox, 450) == list(range(1, 451))
    frames = [json.loads(each.event.data)["frame_id"] for each in queued(outbox)]
    assert frames == list(range(450))
    assert outbox.depth() == 450


def test_committed_event_is_on_disk_without_closing(
    open_outbox: Open, tmp_path: Path
) -> None:
    put(open_outbox(), 1).result(10)
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        assert other.execute("SELECT count(*) FROM event").fetchone() == (1,)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


def test_every_commit_is_synchronized(open_outbox: Open) -> None:
    file = open_outbox()._writer._database  # noqa: SLF001 - no other way to see it
    assert file is not None
    assert file.connection.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.fault(59)
def test_positions_continue_after_the_outbox_has_drained_and_restarted(
    open_outbox: Open,
) -> None:
    outbox = open_outbox()
    fill(outbox, 3)
    outbox.acknowledge(outbox.stream, ((1, 3),))
    outbox.close()
    again = open_outbox()
    assert again.depth() == 0
    assert fill(again, 1) == [4]
    assert again.stream == outbox.stream


def test_lost_file_is_a_new_stream(open_outbox: Open, tmp_path: Path) -> None:
    first = open_outbox()
    first.close()
    (tmp_path / "outbox.db").unlink()
    assert open_outbox().stream != first.stream
    assert first.stream.startswith("station-1-")


def test_acknowledged_events_are_gone_and_others_stay(open_outbox: Open) -> None:
    outbox = open_outbox()
    fill(outbox, 10)
    outbox.acknowledge(outbox.stream, ((1, 3), (5, 6), (9, 9)))
    settle(outbox)
    assert [each.seq for each in queued(outbox)][:5] == [4, 7, 8, 10, 11]
    assert outbox.depth() == 5
    assert outbox.acknowledged == 6


def test_confirmed_events_stay_and_are_read_apart(open_outbox: Open) -> None:
    outbox = open_outbox()
    fill(outbox, 3)
    outbox.mark_sent(outbox.stream, 2)
    settle(outbox)
    assert [each.seq for each in queued(outbox, was_sent=True)] == [2]
    assert [each.seq for each in queued(outbox)] == [1, 3, 4]
    assert outbox.unsent() == 3


def test_known_collector_is_remembered_after_a_restart(open_outbox: Open) -> None:
    outbox = open_outbox()
    assert not outbox.collector_known
    outbox.note_collector()
    outbox.close()
    assert open_outbox().collector_known


@pytest.mark.fault(18)
def test_second_daemon_on_the_same_outbox_is_refused(open_outbox: Open) -> None:
    open_outbox()
    with pytest.raises(DeliveryError, match="another daemon is using it"):
        open_outbox()


RENAMED = [
    StationTopics("other", TOPICS.line, TOPICS.station),
    StationTopics(TOPICS.site, "other", TOPICS.station),
    StationTopics(TOPICS.site, TOPICS.line, "other"),
]


def forget_owner(path: Path) -> None:
    """Make it a file of the version that did not store its owner."""
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM meta WHERE name = 'owner'")
    other.close()


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("topics", RENAMED)
def test_renamed_station_does_not_start_while_events_of_the_old_one_wait(
    open_outbox: Open, tmp_path: Path, topics: StationTopics, *, is_old: bool
) -> None:
    first = open_outbox()
    fill(first, 2)
    first.close()
    if is_old:
        forget_owner(tmp_path / "outbox.db")
    with pytest.raises(ConfigError, match=f"2 events of {TOPICS.root} wait") as caught:
        open_outbox(topics=topics)
    assert topics.root in caught.value.what
    assert "outbox.path" in caught.value.fix
    again = open_outbox()  # nothing was lost, and it is free
    assert (again.depth(), again.stream) == (2, first.stream)


@pytest.mark.parametrize("is_old", [False, True])
@pytest.mark.parametrize("topics", RENAMED)
def test_renamed_station_starts_a_new_stream_once_all_is_delivered(
    open_outbox: Open, tmp_path: Path, topics: StationTopics, *, is_old: bool
) -> None:
    first = open_outbox()
    fill(first, 2)
    first.acknowledge(first.stream, ((1, 2),))
    first.close()
    if is_old:
        forget_owner(tmp_path / "outbox.db")
    renamed = open_outbox(topics=topics)
    epoch = first.stream.removeprefix(f"{TOPICS.station}-")
    assert renamed.stream.startswith(f"{topics.station}-")
    assert not renamed.stream.endswith(epoch)
    renamed.close()
    again = open_outbox(topics=topics)
    assert again.stream == renamed.stream
    assert fill(again, 1) == [1]


def test_outbox_of_an_older_version_continues_its_stream(
    open_outbox: Open, tmp_path: Path
) -> None:
    first = open_outbox()
    fill(first, 2)
    first.close()
    forget_owner(tmp_path / "outbox.db")
    again = open_outbox()
    assert again.stream == first.stream
    assert fill(again, 1) == [3]


def test_outbox_is_free_again_after_close(open_outbox: Open) -> None:
    open_outbox().close()
    assert open_outbox().depth() == 0


def test_folder_that_cannot_be_created_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    outbox = Outbox(tmp_path / "file" / "outbox.db", TOPICS, MEBIBYTE)
    with pytest.raises(DeliveryError, match="cannot be opened") as caught:
        outbox.start()
    assert caught.value.exit_code == 7
    assert caught.value.fix
    outbox.close()


def test_layout_of_a_newer_version_is_refused_and_kept(
    open_outbox: Open, tmp_path: Path
) -> None:
    open_outbox().close()
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("PRAGMA user_version = 2")
        other.execute("UPDATE meta SET value = '2' WHERE name = 'layout'")
    other.close()
    with pytest.raises(DeliveryError, match="newer than this runtime"):
        open_outbox()
    assert not list(tmp_path.glob("*.damaged-*"))


def test_put_after_close_fails_its_future(open_outbox: Open) -> None:
    outbox = open_outbox()
    outbox.close()
    with pytest.raises(DeliveryError):
        put(outbox, 1).result(1)
    assert outbox.refused == 1


def test_image_that_no_collector_accepts_is_left_out(open_outbox: Open) -> None:
    outbox = open_outbox()
    put(outbox, 1, jpeg(1, THUMBNAIL_MAX_BYTES + 1)).result(10)
    put(outbox, 2, jpeg(2, THUMBNAIL_MAX_BYTES)).result(10)
    sizes = [len(each.event.image or b"") for each in queued(outbox)]
    assert sizes == [0, THUMBNAIL_MAX_BYTES]


# --- damage ------------------------------------------------------------------------


@pytest.mark.fault(17)
@pytest.mark.parametrize("offset", [0, 20, 100, 4096])
def test_damaged_file_is_put_aside_and_a_new_stream_starts(
    open_outbox: Open, tmp_path: Path, offset: int
) -> None:
    outbox = open_outbox()
    fill(outbox, 50)
    outbox.close()
    path = tmp_path / "outbox.db"
    content = bytearray(path.read_bytes())
    content[offset : offset + 64] = b"\xa5" * 64
    path.write_bytes(content)
    again = open_outbox()
    assert again.stream != outbox.stream
    assert again.depth() == 0
    assert fill(again, 2) == [1, 2]
    assert len(list(tmp_path.glob("outbox.db.damaged-*Z"))) == 1


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_file_that_is_no_database_does_not_stop_the_daemon(
    open_outbox: Open, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "outbox.db").write_bytes(content)
    assert fill(open_outbox(), 1) == [1]


def test_only_the_newest_damaged_files_are_kept(
    open_outbox: Open, tmp_path: Path
) -> None:
    for _ in range(4):
        (tmp_path / "outbox.db").write_bytes(b"rubbish" * 1000)
        open_outbox().close()
    assert len(list(tmp_path.glob("outbox.db.damaged-*Z"))) == 2


@pytest.mark.fault(17)
@pytest.mark.parametrize("seed", range(12))
def test_bytes_changed_anywhere_never_stop_the_daemon(
    open_outbox: Open, tmp_path: Path, seed: int
) -> None:
    outbox = open_outbox()
    for number in range(40):
        put(outbox, number, jpeg(number, 3000))
    outbox.close()
    path = tmp_path / "outbox.db"
    content = bytearray(path.read_bytes())
    chance = random.Random(seed)
    for _ in range(20):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    again = open_outbox()
    (seq,) = fill(again, 1, 999)
    events = again.read(0, 1000, was_sent=False)
    if events is None:  # found only now: the writer puts it aside
        (seq,) = fill(again, 1, 999)
        events = queued(again)
    assert events[-1].seq == seq
    for each in events:
        if each.is_whole:
            frame_id = json.loads(each.event.data)["frame_id"]
            assert frame_id in {each.seq - 1, 999}
            assert each.event.image in {None, jpeg(frame_id, 3000)}


def test_file_damaged_while_running_is_put_aside_and_nothing_waiting_is_lost(
    open_outbox: Open, tmp_path: Path
) -> None:
    outbox = open_outbox()
    stream = outbox.stream
    fill(outbox, 300)
    for end in ("", "-wal"):
        path = tmp_path / f"outbox.db{end}"
        path.write_bytes(b"\xa5" * path.stat().st_size)
    future = put(outbox, 1000)
    assert future.result(20) >= 1
    fill(outbox, 1)
    if outbox.stream == stream:  # the damage was not in the way of writing
        assert outbox.read(0, 10_000, was_sent=False) is None
        assert put(outbox, 1001).result(20) == 1
    assert outbox.stream != stream


def test_answer_for_the_old_stream_does_not_touch_the_new_one(
    open_outbox: Open, tmp_path: Path
) -> None:
    outbox = open_outbox()
    stream = outbox.stream
    fill(outbox, 20)
    outbox._writer.close()  # noqa: SLF001 - the disk went away for a moment
    for path in tmp_path.glob("outbox.db*"):
        if not path.name.endswith(".lock"):
            path.unlink()
    assert fill(outbox, 3) == [1, 2, 3]
    assert outbox.stream != stream
    outbox.acknowledge(stream, ((1, 20),))  # it came late
    outbox.mark_sent(stream, 1)
    settle(outbox)
    assert outbox.acknowledged == 0
    assert [each.seq for each in queued(outbox)] == [1, 2, 3, 4]


# --- the disk takes nothing ----------------------------------------------------------


def test_events_wait_while_the_disk_refuses_writes_and_are_written_once(
    open_outbox: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(outbox_module, "RETRY_INTERVAL_S", 0.05)
    outbox = open_outbox()
    fill(outbox, 2)
    blocker = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    futures = [put(outbox, 10 + number) for number in range(300)]
    with pytest.raises(TimeoutError):
        futures[0].result(0.5)
    assert outbox.is_failing
    assert outbox.depth() == 302
    blocker.execute("ROLLBACK")
    blocker.close()
    assert [each.result(10) for each in futures] == list(range(3, 303))
    assert not outbox.is_failing
    assert outbox.depth() == len(queued(outbox)) == 302


@pytest.mark.fault(15)
def test_event_without_room_on_disk_and_in_memory_fails_its_future(
    open_outbox: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(outbox_module, "RETRY_INTERVAL_S", 0.05)
    monkeypatch.setattr("edge.delivery.outbox.write_queue.MEMORY_MAX_BYTES", 20_000)
    outbox = open_outbox()
    blocker = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    futures = [put(outbox, number, jpeg(number, 600)) for number in range(100)]
    failed = [each for each in futures if each.done() and each.exception(0)]
    assert 0 < len(failed) < 90
    assert outbox.refused == len(failed)
    with pytest.raises(DeliveryError, match="could not be kept"):
        failed[0].result(0)
    assert not futures[-1].done(), "the newest is kept"
    blocker.close()
    written = [each.result(20) for each in futures if each not in failed]
    assert written == sorted(written)
    settle(outbox)
    lost = losses(outbox)
    assert lost["alert"] == {"count": len(failed), "first": 0}
    alerts = [e for e in queued(outbox) if e.event.kind is EventKind.ALERT]
    without = sum(each.event.image is None for each in alerts)
    assert without > 0, "pictures go before alerts"
    assert lost["image"]["count"] == without + len(failed)


# --- eviction ------------------------------------------------------------------------


def losses(outbox: Outbox) -> dict[str, dict[str, int]]:
    """Return the loss records by kind, counts added up."""
    found: dict[str, dict[str, int]] = {}
    for each in queued(outbox):
        if each.event.kind is EventKind.LOSS:
            data = json.loads(each.event.data)
            entry = found.setdefault(data["kind"], {"count": 0, "first": 10**9})
            entry["count"] += data["count"]
            entry["first"] = min(entry["first"], data["first_seq"])
    return found


@pytest.mark.fault(14)
def test_images_are_evicted_first_and_the_loss_is_recorded(open_outbox: Open) -> None:
    outbox = open_outbox(MEBIBYTE)
    for number in range(60):
        put(outbox, number, jpeg(number, 30_000)).result(10)
    alerts = [e for e in queued(outbox) if e.event.kind is EventKind.ALERT]
    with_image = [e.seq for e in alerts if e.event.image]
    assert len(alerts) == 60, "no alert may go while there are images"
    assert 0 < len(with_image) < 40
    assert alerts[-1].event.image, "the newest image is kept"
    assert alerts[0].event.image is None, "the oldest goes first"
    lost = losses(outbox)
    assert list(lost) == ["image"]
    assert lost["image"] == {"count": 60 - len(with_image), "first": 1}


@pytest.mark.fault(14)
def test_verdicts_are_evicted_before_alerts(open_outbox: Open) -> None:
    outbox = open_outbox(MEBIBYTE)
    for number in range(2000):
        outbox.put(EventKind.VERDICT, VERDICT_TOPIC, verdict(number))
        if number % 8 == 0:
            put(outbox, number)
    fill(outbox, 100, 5000)
    kinds = [each.event.kind for each in queued(outbox)]
    assert kinds.count(EventKind.ALERT) == 350  # for which alone there is room
    lost = losses(outbox)
    assert list(lost) == ["verdict"]
    assert kinds.count(EventKind.VERDICT) + lost["verdict"]["count"] == 2000


@pytest.mark.fault(14)
def test_file_never_grows_beyond_its_cap_and_every_loss_is_counted(
    open_outbox: Open, tmp_path: Path
) -> None:
    outbox = open_outbox(MEBIBYTE)
    fill(outbox, 3000)
    assert (tmp_path / "outbox.db").stat().st_size <= MEBIBYTE
    left = [e for e in queued(outbox) if e.event.kind is EventKind.ALERT]
    assert len(left) + losses(outbox)["alert"]["count"] == 3000
    newest = json.loads(left[-1].event.data)["frame_id"]
    assert newest == 2999
    assert outbox.depth() == len(queued(outbox))


def test_confirmed_events_go_first_and_are_no_loss_where_no_collector_acknowledges(
    open_outbox: Open,
) -> None:
    outbox = open_outbox(MEBIBYTE)
    outbox.treat_confirmed_as_delivered(is_delivered=True)
    for start in range(0, 3000, 100):
        for seq in fill(outbox, 100, start):
            outbox.mark_sent(outbox.stream, seq)
        settle(outbox)
    assert losses(outbox) == {}
    assert outbox.depth() < 1500


def test_confirmed_events_are_a_loss_where_a_collector_must_acknowledge(
    open_outbox: Open,
) -> None:
    outbox = open_outbox(MEBIBYTE)
    for start in range(0, 2000, 100):
        for seq in fill(outbox, 100, start):
            outbox.mark_sent(outbox.stream, seq)
    assert losses(outbox)["alert"]["count"] > 0


@pytest.mark.fault(89)
@pytest.mark.parametrize("how", ["moved", "deleted", "replaced"])
def test_file_that_vanishes_under_the_daemon_is_replaced_with_a_fault(
    open_outbox: Open, tmp_path: Path, how: str
) -> None:
    outbox = open_outbox()
    assert fill(outbox, 3) == [1, 2, 3]
    stream, path = outbox.stream, tmp_path / "outbox.db"
    if how == "deleted":
        path.unlink()
    else:
        path.rename(tmp_path / "elsewhere.db")
    if how == "replaced":
        path.touch()
    assert fill(outbox, 1, first=3) == [1]
    assert outbox.stream != stream, "no position is given twice"
    assert [each.seq for each in queued(outbox)] == [1]
    assert "was moved or deleted while the daemon ran: 3 events" in outbox.fault
    outbox.close()
    assert open_outbox().depth() == 1, "it is on the disk"


def test_eviction_is_a_fault_for_ten_minutes(
    open_outbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = open_outbox(max_bytes=MEBIBYTE)
    assert outbox.fault == ""
    for number in range(12):
        put(outbox, number, jpeg(number, 100_000)).result(10)
    assert "the oldest events and pictures are deleted" in outbox.fault
    monkeypatch.setattr(outbox_module, "SHED_ALARM_S", 0)
    assert outbox.fault == ""
