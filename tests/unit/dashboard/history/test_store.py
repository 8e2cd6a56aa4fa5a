import hashlib
import os
import random
import stat
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from dashboard.history import known_events
from dashboard.history.acknowledged_ranges import AHEAD_MAX, MAX_STREAMS_PER_STATION
from dashboard.history.database import Database
from dashboard.history.last_seen import MAX_CAMERAS_PER_STATION
from dashboard.history.tables import received
from dashboard.history.unannounced import MAX_PER_STATION
from dashboard.messages import (
    Image,
    Loss,
    PartVerdict,
    Record,
    RejectionReason,
    Sender,
)
from models.errors import ConfigError
from models.messages import (
    AlertEvent,
    LossData,
    LossEvent,
    VerdictData,
    VerdictEvent,
    VerdictKind,
)
from models.topics import StationTopics
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import (
    JPEG,
    JPEG_SHA256,
    NOW_MS,
    PRESS,
    HistoryFile,
    alert_record,
    image_record,
    read,
)

DAY_MS = 24 * 3600 * 1000
RAN_MS = 1000 * DAY_MS  # so long that retention trusts any clock of these tests


def acked(file: HistoryFile, *records: object) -> list[tuple[int, int]]:
    """Return all that may be forgotten by the stations after a commit."""
    ranges: list[tuple[int, int]] = []
    for _, ack in file.record(*records).acks:  # type: ignore[arg-type]
        ranges += [(1, ack.high_water)] * (ack.high_water > 0)
        ranges += ack.ranges
    return sorted(ranges)


def acknowledged_digests(file: HistoryFile, *records: Record) -> list[tuple[int, str]]:
    """Return the positions and digests that are acknowledged after a commit."""
    return [each for _, ack in file.record(*records).acks for each in ack.digests]


def conflicts(file: HistoryFile) -> list[tuple[str, str]]:
    """Return id and digest of the events that are kept beside, oldest first."""
    c = received.conflicts.c
    query = select(c.id, c.digest).order_by(c.received_ms)
    with file.database.read() as connection:
        return [(row.id, row.digest) for row in connection.execute(query)]


def without_picture(event: AlertEvent) -> AlertEvent:
    """Return an alert as it is sent again when its picture was evicted."""
    changes = {"thumbnail_sha256": None, "replayed": True}
    return event.model_copy(update={"data": event.data.model_copy(update=changes)})


def verdict_record(seq: int, kind: VerdictKind = VerdictKind.OK) -> PartVerdict:
    now = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)  # sent again, it is the same
    event = VerdictEvent(
        id=f"press-1-00ff:{seq}",
        source=PRESS.root,
        time=now,
        data=VerdictData(
            seq=seq,
            stream="press-1-00ff",
            site="plant",
            line="line-1",
            station="press-1",
            boot_id="boot-1",
            camera="top",
            part_id=f"part-{seq}",
            frame_id=seq,
            verdict=kind,
            captured_at=now,
        ),
    )
    record = read(PRESS.camera("top", "verdict"), event.model_dump_json())
    assert isinstance(record, PartVerdict)
    return record


def loss_record(seq: int, count: int, **changes: Any) -> Loss:
    values = {"kind": "image", "first_seq": 3, "last_seq": 9, **changes}
    data = LossData(
        seq=seq,
        stream="press-1-00ff",
        site="plant",
        line="line-1",
        station="press-1",
        boot_id="boot-1",
        count=count,
        **values,
    )
    now = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
    event = LossEvent(id=f"press-1-00ff:{seq}", source=PRESS.root, time=now, data=data)
    record = read(PRESS.loss, event.model_dump_json())
    assert isinstance(record, Loss)
    return record


def test_same_alert_twice_makes_one_row(file: HistoryFile) -> None:
    event = alert_event(PRESS, 1)
    file.record(alert_record(event))
    again = file.record(alert_record(event), alert_record(event))
    assert again.duplicates == 2
    assert again.alerts == []
    assert len(file.history.alerts(10)) == 1


def test_duplicate_is_acknowledged_again(file: HistoryFile) -> None:
    event = alert_event(PRESS, 1)
    file.record(alert_record(event))
    assert acked(file, alert_record(event)) == [(1, 1)]


def test_alert_is_acknowledged_only_with_its_picture(file: HistoryFile) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    assert acked(file, alert_record(event)) == []
    assert file.history.alerts(1)[0]["awaits_image"]
    assert acked(file, image_record(event)) == [(1, 1)]
    assert file.history.alerts(1)[0]["has_image"]


def test_picture_before_its_alert_completes_it(file: HistoryFile) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    assert acked(file, image_record(event)) == []
    assert acked(file, alert_record(event)) == [(1, 1)]


def test_wrong_picture_completes_nothing_and_the_right_one_replaces_it(
    file: HistoryFile,
) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    wrong = image_record(event, b"\xff\xd8\xff another")
    assert acked(file, wrong, alert_record(event)) == []
    assert file.history.picture(event.id) is None
    assert acked(file, image_record(event)) == [(1, 1)]
    file.record(wrong)
    picture = file.history.picture(event.id)
    assert picture is not None
    assert picture.jpeg == JPEG


def test_alert_sent_again_without_its_picture_is_complete(file: HistoryFile) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(alert_record(event))
    assert acked(file, alert_record(without_picture(event))) == [(1, 1)]
    assert not file.history.alerts(1)[0]["awaits_image"]


def test_later_picture_is_reported_with_its_alert(
    file: HistoryFile,
) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    (n,) = file.record(alert_record(event)).alerts
    assert file.record(image_record(event)).completed == [n]


def test_high_water_never_covers_what_was_not_seen(file: HistoryFile) -> None:
    # A station deletes everything up to high_water: 1 to 4 were never here.
    ((_, ack),) = file.record(
        *(alert_record(alert_event(PRESS, seq)) for seq in (5, 6, 8))
    ).acks
    assert ack.high_water == 0
    assert ack.ranges == ((5, 6), (8, 8))


def test_alert_that_awaits_its_picture_is_not_below_high_water(
    file: HistoryFile,
) -> None:
    waiting = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    assert acked(file, alert_record(waiting), alert_record(alert_event(PRESS, 2))) == [
        (2, 2)
    ]


@pytest.mark.parametrize("order", [(1, 2, 3, 4), (4, 3, 2, 1), (2, 4, 1, 3)])
def test_ranges_merge_in_any_order(file: HistoryFile, order: tuple[int, ...]) -> None:
    for seq in order:
        ranges = acked(file, verdict_record(seq))
    assert ranges == [(1, 4)]


@pytest.mark.parametrize("seed", range(5))
def test_ranges_cover_all_events_in_any_order_of_arrival(
    file: HistoryFile, seed: int
) -> None:
    chance, seen = random.Random(seed), set[int]()
    for _ in range(30):
        first = chance.randrange(1, 60)
        batch = set(
            range(first, first + chance.randrange(1, 12), chance.choice([1, 3]))
        )
        ranges = acked(file, *(verdict_record(seq) for seq in batch))
        seen |= batch
        covered = {seq for first, last in ranges for seq in range(first, last + 1)}
        assert batch <= covered <= seen
    ends = acked(file, *(verdict_record(seq) for seq in seen))
    apart = [(left[1], right[0]) for left, right in pairwise(ends)]
    assert all(right > left + 1 for left, right in apart), "touching ranges are one"
    assert {seq for a, b in ends for seq in range(a, b + 1)} == seen


def test_gap_is_visible_until_it_is_filled(file: HistoryFile) -> None:
    file.record(verdict_record(1), verdict_record(4))
    (gap,) = file.history.totals(NOW_MS)["gaps"]
    assert (gap["missing"], gap["first_seq"], gap["last_seq"]) == (2, 1, 4)
    (station,) = file.history.stations(NOW_MS)
    assert station["missing"] == 2
    file.record(verdict_record(2), verdict_record(3))
    assert file.history.totals(NOW_MS)["gaps"] == []


def test_loss_record_is_kept_and_acknowledged(file: HistoryFile) -> None:
    assert acked(file, loss_record(1, 5)) == [(1, 1)]
    assert file.history.totals(NOW_MS)["shed_by_stations"] == 5


@pytest.mark.fault(79)
@pytest.mark.parametrize("kind", ["alert", "verdict", "loss"])
def test_same_id_with_other_content_is_refused_and_kept_beside(
    file: HistoryFile, kind: str
) -> None:
    forged, real = {
        "alert": [alert_record(alert_event(PRESS, 1, frame_id=n)) for n in (1, 2)],
        "verdict": [verdict_record(1, each) for each in list(VerdictKind)[:2]],
        "loss": [loss_record(1, count) for count in (1, 2)],
    }[kind]
    file.record(forged)
    committed = file.record(real, real)
    assert committed.acks == []
    assert committed.duplicates == 0
    reasons = [each.reason for each in committed.rejections]
    assert reasons == [RejectionReason.CONFLICT] * 2
    assert "in the history with other content" in committed.rejections[0].detail
    assert conflicts(file) == [(real.event.id, real.digest)]
    assert acknowledged_digests(file, forged) == [(1, forged.digest)]


def test_same_id_as_another_kind_of_event_is_refused(file: HistoryFile) -> None:
    file.record(verdict_record(1))
    committed = file.record(alert_record(alert_event(PRESS, 1)), loss_record(1, 1))
    assert [each.reason for each in committed.rejections] == [
        RejectionReason.CONFLICT
    ] * 2
    assert committed.acks == []
    assert committed.alerts == []


def test_same_id_in_one_commit_with_other_content_is_refused(
    file: HistoryFile,
) -> None:
    first, second = (alert_record(alert_event(PRESS, 1, frame_id=n)) for n in (1, 2))
    committed = file.record(first, second)
    assert [each.reason for each in committed.rejections] == [RejectionReason.CONFLICT]
    ((_, ack),) = committed.acks
    assert ack.digests == ((1, first.digest),)


SMALLER = b"\xff\xd8\xff smaller"


def with_smaller_picture(event: AlertEvent) -> AlertEvent:
    changes = {"thumbnail_sha256": hashlib.sha256(SMALLER).hexdigest()}
    return event.model_copy(update={"data": event.data.model_copy(update=changes)})


@pytest.mark.parametrize("comes_first", ["alert", "picture"])
def test_smaller_picture_completes_an_alert_whose_picture_did_not_come(
    file: HistoryFile, comes_first: str
) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(alert_record(event))
    again = alert_record(with_smaller_picture(event))
    picture = image_record(event, SMALLER)
    if comes_first == "alert":
        assert acked(file, again) == []
        assert acked(file, picture) == [(1, 1)]
    else:
        assert acked(file, picture) == []
        assert acked(file, again) == [(1, 1)]
    stored = file.history.picture(event.id)
    assert stored is not None
    assert stored.jpeg == SMALLER
    assert not conflicts(file)


def test_picture_that_has_come_is_not_replaced_by_a_smaller_one(
    file: HistoryFile,
) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(alert_record(event), image_record(event))
    again = alert_record(with_smaller_picture(event))
    assert acked(file, image_record(event, SMALLER), again) == [(1, 1)]
    stored = file.history.picture(event.id)
    assert stored is not None
    assert stored.jpeg == JPEG
    assert not conflicts(file)


def test_alert_that_is_complete_without_a_picture_does_not_wait_for_one(
    file: HistoryFile,
) -> None:
    event = alert_event(PRESS, 1)
    file.record(alert_record(event))
    assert acked(file, alert_record(with_smaller_picture(event))) == [(1, 1)]
    assert not file.history.alerts(1)[0]["awaits_image"]


def test_conflicts_of_a_station_are_bounded(
    file: HistoryFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_events, "MAX_CONFLICTS_PER_STATION", 3)
    file.record(alert_record(alert_event(PRESS, 1)))
    others = [
        alert_record(alert_event(PRESS, 1, frame_id=n), NOW_MS + n)
        for n in range(5, 12)
    ]
    assert len(file.record(*others).rejections) == 7
    assert conflicts(file) == [(each.event.id, each.digest) for each in others[-3:]]
    file.prune(NOW_MS + 2 * DAY_MS, RAN_MS, 1, 1)
    assert conflicts(file) == []


@pytest.mark.fault(79)
def test_position_far_ahead_is_refused_and_the_others_are_taken(
    file: HistoryFile,
) -> None:
    file.record(verdict_record(1))
    ahead = [verdict_record(1 + AHEAD_MAX + 1), verdict_record(1 + AHEAD_MAX)]
    far = alert_event(PRESS, 2**40, thumbnail_sha256=JPEG_SHA256)
    committed = file.record(*ahead, image_record(far), alert_record(far))
    assert [each.reason for each in committed.rejections] == [
        RejectionReason.FAR_AHEAD
    ] * 3
    ((_, ack),) = committed.acks
    assert [seq for seq, _ in ack.digests] == [1 + AHEAD_MAX]


def test_alert_that_a_later_picture_completes_is_acknowledged_with_its_digest(
    file: HistoryFile,
) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    record = alert_record(event)
    assert acknowledged_digests(file, record) == []
    assert acknowledged_digests(file, image_record(event)) == [(1, record.digest)]


def test_stream_belongs_to_the_station_that_used_it_first(file: HistoryFile) -> None:
    mine = alert_event(PRESS, 1, stream="shared-0001")
    file.record(alert_record(mine))
    other = StationTopics("plant", "line-1", "press-2")
    thief = alert_event(other, 2, stream="shared-0001")
    committed = file.record(alert_record(thief))
    assert [each.reason for each in committed.rejections] == [
        RejectionReason.WRONG_STATION
    ]
    assert committed.acks == []
    assert len(file.history.alerts(10)) == 1


def test_picture_for_a_foreign_stream_is_refused(file: HistoryFile) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(alert_record(event))
    thief = StationTopics("plant", "line-1", "press-2")
    sender = Sender(thief, "top", NOW_MS, is_retained=False)
    committed = file.record(Image(sender, event.id, JPEG_SHA256, JPEG))
    assert [each.reason for each in committed.rejections] == [
        RejectionReason.WRONG_STATION
    ]
    assert file.history.picture(event.id) is None


@pytest.mark.fault(78)
def test_flood_of_camera_names_refuses_no_alert(file: HistoryFile) -> None:
    records = [
        alert_record(alert_event(PRESS, seq, f"camera-{seq}")) for seq in range(1, 600)
    ]
    committed = file.record(*records)
    assert not committed.rejections
    assert len(committed.alerts) == 599
    assert committed.forgotten > 0
    (station,) = file.history.stations(NOW_MS)
    assert len(station["cameras"]) == MAX_CAMERAS_PER_STATION


@pytest.mark.fault(78)
def test_stations_with_too_many_streams_hold_up_no_other(file: HistoryFile) -> None:
    flood = [
        alert_record(alert_event(PRESS, 1, stream=f"press-1-{number:04x}"))
        for number in range(MAX_STREAMS_PER_STATION + 5)
    ]
    committed = file.record(*flood)
    assert [each.reason for each in committed.rejections] == [
        RejectionReason.TOO_MANY
    ] * 5
    other = StationTopics("plant", "line-1", "press-2")
    event = alert_event(other, 1, stream="press-2-0001")
    assert acked(file, alert_record(event)) == [(1, 1)]


@pytest.mark.fault(78)
def test_pictures_of_no_alert_make_room_for_each_other(file: HistoryFile) -> None:
    for seq in range(1, MAX_PER_STATION + 11):
        file.record(image_record(alert_event(PRESS, seq)))
    assert file.history.totals(NOW_MS)["images"] == MAX_PER_STATION
    event = alert_event(PRESS, 5, thumbnail_sha256=JPEG_SHA256)
    assert acked(file, alert_record(event)) == []  # its picture comes again
    assert acked(file, image_record(event)) == [(5, 5)]


def test_pictures_of_no_alert_are_found_again_after_a_restart(
    file: HistoryFile,
) -> None:
    announced = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(image_record(announced), alert_record(announced))
    file.record(image_record(alert_event(PRESS, 2)))
    file.restart()
    for seq in range(3, MAX_PER_STATION + 3):
        file.record(image_record(alert_event(PRESS, seq)))
    assert file.history.totals(NOW_MS)["images"] == MAX_PER_STATION + 1
    assert file.history.picture(announced.id) is not None


def test_count_of_losses_never_overflows(file: HistoryFile) -> None:
    for seq in (1, 2):
        file.record(loss_record(seq, 2**63 - 1, first_seq=0, last_seq=0))
    assert file.history.totals(NOW_MS)["shed_by_stations"] > 0


def test_one_row_that_cannot_be_stored_does_not_hold_up_the_others(
    file: HistoryFile,
) -> None:
    good = alert_record(alert_event(PRESS, 1))
    sender = Sender(PRESS, "top", 2**70, is_retained=False)  # no 64-bit integer
    bad = Image(sender, "press-1-00ff:2", JPEG_SHA256, JPEG)
    committed = file.record(good, bad, alert_record(alert_event(PRESS, 3)))
    assert [each.reason for each in committed.rejections] == [
        RejectionReason.UNSTORABLE
    ]
    assert len(file.history.alerts(10)) == 2


def test_full_history_acknowledges_nothing_and_recovers(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path, max_mb=1)
    event = alert_event(PRESS, 1)
    picture = b"\xff\xd8\xff" + bytes(100_000)
    sender = Sender(PRESS, "top", NOW_MS, is_retained=False)
    with pytest.raises(OperationalError, match="full"):
        file.record(
            *(
                Image(sender, f"press-1-00ff:{seq}", "00", picture)
                for seq in range(2, 20)
            )
        )
    assert file.record(alert_record(event)).acks  # a small one still fits
    file.close()


def test_locked_history_is_an_error_and_not_an_acknowledgement(
    file: HistoryFile,
) -> None:
    with (
        Database(file.location) as other,
        other.write(),
        pytest.raises(OperationalError, match=r"locked|lock timeout"),
    ):
        file.record(alert_record(alert_event(PRESS, 1)))
    assert file.record(alert_record(alert_event(PRESS, 1))).acks


def test_old_events_go_and_their_sequence_stays(file: HistoryFile) -> None:
    old = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(image_record(old), alert_record(old), verdict_record(2))
    removed = file.prune(NOW_MS + 2 * DAY_MS, RAN_MS, 1, 1)
    assert removed == 3
    assert file.history.alerts(10) == []
    assert file.history.pareto(NOW_MS, 60)["total"] == 1, "sums are kept for longer"
    assert acked(file, verdict_record(3)) == [(1, 3)]


def test_pictures_may_go_before_their_alerts(file: HistoryFile) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    file.record(image_record(event), alert_record(event))
    file.prune(NOW_MS + 2 * DAY_MS, RAN_MS, 30, 1)
    (alert,) = file.history.alerts(10)
    assert not alert["has_image"]


def test_value_that_is_remembered_first_is_kept(file: HistoryFile) -> None:
    assert file.store.remember("client_id", "first") == "first"
    assert file.store.remember("client_id", "second") == "first"


def test_file_that_is_no_history_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    path.write_bytes(b"this is a text, not a database" * 100)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        Database(path)
    assert "not a database" in caught.value.why


def test_history_in_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be used"):
        Database(tmp_path / "file" / "history.sqlite3")


def test_history_is_the_same_after_it_was_opened_again(file: HistoryFile) -> None:
    event = alert_event(PRESS, 1)
    file.record(alert_record(event))
    file.restart()
    assert file.record(alert_record(event)).duplicates == 1
    assert acked(file, verdict_record(2)) == [(1, 2)]


def test_history_is_private_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.sqlite3"
    before = os.umask(0)
    try:
        Database(path).close()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)]
    assert modes == [0o700, 0o600]
