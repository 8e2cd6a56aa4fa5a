"""From the outbox to packets, without a network."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from edge.config.station import CollectorAck
from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.delivery.publisher import picture_queue
from edge.delivery.publisher.delivery_faults import DeliveryFaults
from edge.delivery.publisher.packet import Packet
from edge.delivery.publisher.picture_queue import PictureQueue
from edge.delivery.publisher.send_queue import (
    COLLECTOR_GRACE_NS,
    HEADER_MAX_BYTES,
    SendQueue,
)
from models.messages import Acknowledgement
from tests.simulators.alerts import (
    ALERT_TOPIC,
    TOPICS,
    VERDICT_TOPIC,
    alert,
    jpeg,
    photo,
    verdict,
)
from tests.simulators.edge import digests_of

SECOND_NS = 1_000_000_000
LIMIT_S = 10.0


def put(outbox: Outbox, frame_id: int, image: bytes | None = None) -> int:
    content = alert(frame_id, image)
    return outbox.put(EventKind.ALERT, ALERT_TOPIC, content, image).result(10)


def wait_until(outbox: Outbox, is_done: Callable[[], bool]) -> None:
    """Wait for commits until a condition holds."""
    committed = threading.Event()
    outbox.on_commit(committed.set)
    while not is_done():
        assert committed.wait(LIMIT_S)
        committed.clear()


def settle(outbox: Outbox) -> None:
    """Wait until everything before has been written."""
    wait_until(
        outbox,
        lambda: outbox.unsent() == len(outbox.read(0, 9999, was_sent=False) or []),
    )
    outbox.put(EventKind.VERDICT, VERDICT_TOPIC, verdict(0)).result(10)


def queue_of(
    outbox: Outbox,
    rule: CollectorAck = CollectorAck.REQUIRED,
    max_packet_bytes: int | None = None,
) -> SendQueue:
    send_queue = SendQueue(outbox, rule, DeliveryFaults(), 60, lambda: 0.5)
    send_queue.packets(0, 0)  # learns the stream
    send_queue.connected(0, max_packet_bytes)
    return send_queue


def seqs(packets: list[Packet]) -> list[int]:
    return [packet.seq for packet in packets if packet.seq]


def data_of(packet: Packet) -> dict[str, object]:
    data: dict[str, object] = json.loads(packet.payload)["data"]
    return data


def confirm(send_queue: SendQueue, outbox: Outbox, seq: int, now_ns: int) -> None:
    send_queue.confirmed(Packet(ALERT_TOPIC, b"", seq, outbox.stream), now_ns)


def acknowledge(
    send_queue: SendQueue,
    outbox: Outbox,
    *seqs: int,
    claimed: int = 0,
    digests: Mapping[int, str] | None = None,
) -> None:
    """Acknowledge events that a collector has read.

    Args:
        seqs: Of events in the outbox.
        claimed: ``high_water``.
        digests: Further ones.
    """
    proven = digests_of(outbox)
    message = Acknowledgement(
        stream=outbox.stream,
        high_water=claimed,
        digests=[(seq, proven[seq]) for seq in seqs] + list((digests or {}).items()),
    )
    send_queue.acknowledged(message.model_dump_json().encode(), 0)


def test_image_is_sent_before_its_alert(outbox: Outbox) -> None:
    image = jpeg(1)
    put(outbox, 1, image)
    first, second = queue_of(outbox).packets(10, 0)
    assert first.topic == TOPICS.camera("top", f"image/{outbox.stream}:1")
    assert first.payload == image
    assert second.topic == ALERT_TOPIC
    assert (first.seq, second.seq) == (0, 1)


def test_limit_may_part_an_image_from_its_alert_and_both_still_go(
    outbox: Outbox,
) -> None:
    put(outbox, 1, jpeg(1))
    send_queue = queue_of(outbox)
    assert seqs(send_queue.packets(1, 0)) == []
    assert seqs(send_queue.packets(1, 0)) == [1]


def test_events_are_sent_in_order_and_each_once(outbox: Outbox) -> None:
    for number in range(120):
        put(outbox, number)
    send_queue, sent = queue_of(outbox), []
    while packets := send_queue.packets(7, 0):
        sent += seqs(packets)
    assert sent == list(range(1, 121))


def test_no_more_than_the_window_is_sent_without_an_acknowledgement(
    outbox: Outbox,
) -> None:
    for number in range(250):
        put(outbox, number)
    send_queue = queue_of(outbox)
    assert len(seqs(send_queue.packets(1000, 0))) == 200
    acknowledge(send_queue, outbox, *range(1, 11))
    assert seqs(send_queue.packets(1000, 0)) == list(range(201, 211))


def test_image_beyond_the_limit_of_the_broker_is_left_out_and_the_alert_announces_none(
    outbox: Outbox,
) -> None:
    put(outbox, 1, jpeg(1, 5000))
    put(outbox, 2, jpeg(2, 1000))
    packets = queue_of(outbox, max_packet_bytes=4000).packets(10, 0)
    assert [packet.seq for packet in packets] == [1, 0, 2]
    assert data_of(packets[0])["thumbnail_sha256"] is None
    assert data_of(packets[2])["thumbnail_sha256"] is not None


def test_unconfirmed_events_go_again_after_a_reconnect_as_repetitions(
    outbox: Outbox,
) -> None:
    put(outbox, 1)
    send_queue = queue_of(outbox)
    (first,) = send_queue.packets(10, 0)
    send_queue.connected(0, None)
    put(outbox, 2)
    again, new = send_queue.packets(10, 0)
    assert (first.seq, again.seq, new.seq) == (1, 1, 2)
    flags = [data_of(each)["replayed"] for each in (first, again, new)]
    assert flags == [False, True, False]


def test_confirmed_events_go_again_after_a_reconnect_until_acknowledged(
    outbox: Outbox,
) -> None:
    put(outbox, 1)
    send_queue = queue_of(outbox)
    send_queue.packets(10, 0)
    confirm(send_queue, outbox, 1, 0)
    settle(outbox)
    send_queue.connected(0, None)
    sent = send_queue.packets(10, 0) + send_queue.packets(10, 0)
    assert seqs(sent) == [2, 1]
    assert data_of(sent[1])["replayed"] is True


def test_confirmed_events_do_not_go_again_where_no_collector_is_known(
    outbox: Outbox,
) -> None:
    put(outbox, 1)
    send_queue = queue_of(outbox, CollectorAck.AUTO)
    send_queue.packets(10, 0)
    confirm(send_queue, outbox, 1, 0)
    settle(outbox)
    send_queue.connected(0, None)
    assert seqs(send_queue.packets(10, 0) + send_queue.packets(10, 0)) == [2]


@pytest.mark.parametrize("is_confirmed", [False, True], ids=["lost", "confirmed"])
def test_confirmed_event_goes_again_with_a_picture_that_the_broker_lacks(
    outbox: Outbox, is_confirmed: bool
) -> None:
    put(outbox, 1, jpeg(1))
    send_queue = queue_of(outbox, CollectorAck.AUTO)
    picture, _ = send_queue.packets(10, 0)
    if is_confirmed:
        send_queue.image_confirmed(picture)
    confirm(send_queue, outbox, 1, 0)
    settle(outbox)
    send_queue.connected(0, None)
    again = send_queue.packets(10, 0) + send_queue.packets(10, 0)
    assert [each.image_of for each in again if each.image_of] == [1] * (
        not is_confirmed
    )


def test_collector_that_acknowledges_one_event_is_sent_everything(
    outbox: Outbox,
) -> None:
    put(outbox, 1)
    put(outbox, 2)
    send_queue = queue_of(outbox, CollectorAck.AUTO)
    send_queue.packets(10, 0)
    for seq in (1, 2):
        confirm(send_queue, outbox, seq, 0)
    settle(outbox)
    send_queue.packets(10, 0)
    acknowledge(send_queue, outbox, claimed=2)
    acknowledge(send_queue, outbox, digests={2: "0" * 32})
    assert not outbox.collector_known, "these prove nothing"
    acknowledge(send_queue, outbox, 2)
    assert outbox.collector_known
    settle(outbox)
    assert 1 in seqs(send_queue.packets(10, 0) + send_queue.packets(10, 0))


def test_undelivered_counts_by_the_rule_in_force(outbox: Outbox) -> None:
    put(outbox, 1)
    send_queue = queue_of(outbox, CollectorAck.AUTO)
    assert send_queue.undelivered(0) == 1
    send_queue.packets(10, 0)
    confirm(send_queue, outbox, 1, 5 * SECOND_NS)
    wait_until(outbox, lambda: outbox.unsent() == 0)
    assert send_queue.undelivered(5 * SECOND_NS) == 1, "a collector may show itself"
    assert send_queue.undelivered(5 * SECOND_NS + COLLECTOR_GRACE_NS) == 0
    acknowledge(send_queue, outbox, 1)
    wait_until(outbox, lambda: outbox.depth() == 0)
    assert send_queue.undelivered(99 * SECOND_NS) == 0
    assert send_queue.delivered == 1


def test_event_damaged_on_disk_is_dropped_and_the_others_are_sent(
    outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3):
        put(outbox, number)
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("UPDATE event SET data = x'7b7d' WHERE seq = 2")
    other.close()
    assert seqs(queue_of(outbox).packets(10, 0)) == [1, 3]
    assert "event_damaged seq=2" in caplog.text


def test_image_that_the_disk_has_changed_is_left_out(
    outbox: Outbox, tmp_path: Path
) -> None:
    put(outbox, 1, jpeg(1))
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        other.execute("UPDATE event SET image = x'ffd8ff00'")
    other.close()
    (packet,) = queue_of(outbox).packets(10, 0)
    assert data_of(packet)["thumbnail_sha256"] is None


def test_acknowledgement_of_another_stream_is_ignored(outbox: Outbox) -> None:
    put(outbox, 1)
    send_queue = queue_of(outbox)
    message = Acknowledgement(stream="station-1-old", high_water=1)
    send_queue.acknowledged(message.model_dump_json().encode(), 0)
    put(outbox, 2)
    assert outbox.depth() == 2
    assert not outbox.collector_known


@pytest.mark.parametrize("rule", list(CollectorAck))
def test_confirmation_of_another_stream_is_ignored(
    outbox: Outbox, rule: CollectorAck
) -> None:
    put(outbox, 1)
    send_queue = queue_of(outbox, rule)
    send_queue.packets(9, 0)
    send_queue.confirmed(Packet(ALERT_TOPIC, b"", 1, "station-1-old"), 0)
    send_queue.refused(Packet(ALERT_TOPIC, b"", 1, "station-1-old"), 0)
    put(outbox, 2)
    assert outbox.depth() == outbox.unsent() == 2


def test_acknowledgement_that_proves_nothing_deletes_nothing(outbox: Outbox) -> None:
    for number in range(3):
        put(outbox, number)
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    send_queue.packets(2, 0)
    acknowledge(send_queue, outbox, claimed=2)
    acknowledge(send_queue, outbox, digests={1: "0" * 32, 2: ""})
    acknowledge(send_queue, outbox, digests={99: "0" * 32})
    settle(outbox)
    assert send_queue.refused_acknowledgements == 3
    assert outbox.acknowledged == 0
    assert outbox.depth() == 4
    assert not outbox.collector_known
    assert alarms.text.count("Fix: ") == 3


def test_event_beside_a_forged_one_is_acknowledged(outbox: Outbox) -> None:
    put(outbox, 1)
    put(outbox, 2)
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    send_queue.packets(9, 0)
    forged = {2: "0" * 32, 3: "0" * 32}
    acknowledge(send_queue, outbox, 1, claimed=396, digests=forged)
    settle(outbox)
    assert outbox.acknowledged == 1
    assert "events that this station never sent" in alarms.text


def test_event_that_this_daemon_has_not_sent_yet_is_not_deleted(
    outbox: Outbox,
) -> None:
    put(outbox, 1)
    before = queue_of(outbox)
    before.packets(9, 0)
    after, alarms = watched_queue(outbox, CollectorAck.REQUIRED)  # a restart
    acknowledge(after, outbox, 1)
    settle(outbox)
    assert outbox.acknowledged == 0
    assert alarms.text == "", "it is no fault: the event is sent again"
    after.packets(9, 0)
    acknowledge(after, outbox, 1)
    settle(outbox)
    assert outbox.acknowledged == 1


def test_acknowledgement_is_ignored_where_the_broker_is_enough(outbox: Outbox) -> None:
    put(outbox, 1)
    send_queue, alarms = watched_queue(outbox, CollectorAck.OFF)
    send_queue.packets(9, 0)
    acknowledge(send_queue, outbox, claimed=1)
    settle(outbox)
    assert outbox.depth() == 2
    assert alarms.text == ""


def test_events_with_the_same_content_have_other_nonces(
    outbox: Outbox,
) -> None:
    put(outbox, 1)
    put(outbox, 1)
    packets = queue_of(outbox).packets(9, 0)
    first, second = (data_of(each)["nonce"] for each in packets)
    assert first != second
    assert len(str(first)) == 16


# --- faults for a person ---------------------------------------------------------


def watched_queue(
    outbox: Outbox, rule: CollectorAck
) -> tuple[SendQueue, DeliveryFaults]:
    alarms = DeliveryFaults()
    send_queue = SendQueue(outbox, rule, alarms, 30, lambda: 0.5)
    send_queue.packets(0, 0)
    send_queue.connected(0, None)
    return send_queue, alarms


def test_event_that_only_the_broker_acknowledges_becomes_an_alarm(
    outbox: Outbox,
) -> None:
    put(outbox, 1)
    put(outbox, 2)
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    assert seqs(send_queue.packets(10, 0)) == [1, 2]
    for seq in (1, 2):
        confirm(send_queue, outbox, seq, 0)
    settle(outbox)
    send_queue.packets(0, 29 * SECOND_NS)
    assert alarms.text == ""
    acknowledge(send_queue, outbox, 2)
    send_queue.packets(0, 29 * SECOND_NS)
    send_queue.packets(0, 31 * SECOND_NS)
    assert "not by the collector for 30 s" in alarms.text, "others do not hide it"
    acknowledge(send_queue, outbox, 1)
    send_queue.packets(0, 31 * SECOND_NS)
    assert alarms.text == ""


def test_silence_outlives_a_reconnect(outbox: Outbox) -> None:
    put(outbox, 1)
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    send_queue.packets(10, 0)
    confirm(send_queue, outbox, 1, 0)
    send_queue.packets(0, 5 * SECOND_NS)
    send_queue.connected(20 * SECOND_NS, None)
    send_queue.packets(0, 31 * SECOND_NS)
    assert "not by the collector" in alarms.text


def test_silence_is_no_alarm_where_no_collector_is_expected(outbox: Outbox) -> None:
    put(outbox, 1)
    send_queue, alarms = watched_queue(outbox, CollectorAck.OFF)
    send_queue.packets(10, 0)
    confirm(send_queue, outbox, 1, 0)
    wait_until(outbox, lambda: outbox.depth() == 0)
    send_queue.packets(0, 5 * SECOND_NS)
    send_queue.packets(0, 99 * SECOND_NS)
    assert alarms.text == ""
    assert send_queue.waiting() == 0


@pytest.mark.parametrize("is_earlier", [False, True], ids=["this run", "an earlier"])
def test_dashboard_that_never_answered_is_an_alarm_and_its_events_do_not_wait(
    outbox: Outbox, is_earlier: bool
) -> None:
    put(outbox, 1)
    send_queue, alarms = watched_queue(outbox, CollectorAck.AUTO)
    send_queue.packets(10, 0)
    confirm(send_queue, outbox, 1, 0)
    wait_until(outbox, lambda: outbox.unsent() == 0)
    if is_earlier:
        send_queue, alarms = watched_queue(outbox, CollectorAck.AUTO)
    assert send_queue.waiting() == 0, "as collector_ack defines it"
    assert outbox.depth() == 1, "kept for a dashboard"
    assert "no dashboard has ever answered" in send_queue.rule_in_words
    send_queue.packets(0, 29 * SECOND_NS)
    assert alarms.text == ""
    send_queue.packets(0, 31 * SECOND_NS)
    assert "no dashboard has ever acknowledged one (30 s)" in alarms.text
    assert 'collector_ack = "off"' in alarms.text
    if not is_earlier:  # its digest is known
        acknowledge(send_queue, outbox, 1)
        send_queue.packets(0, 31 * SECOND_NS)
        assert alarms.text == ""
        assert "delivered when the dashboard" in send_queue.rule_in_words


@pytest.mark.parametrize("rule", list(CollectorAck))
def test_each_rule_says_when_an_event_is_delivered(
    outbox: Outbox, rule: CollectorAck
) -> None:
    assert queue_of(outbox, rule).rule_in_words.startswith(rule.value)


def test_bytes_in_flight_are_limited_and_the_last_packet_is_complete(
    outbox: Outbox,
) -> None:
    for number in range(5):
        put(outbox, number, jpeg(number, 10_000))
    send_queue = queue_of(outbox)
    first = send_queue.packets(100, 0, 15_000)
    assert [bool(packet.image_of) for packet in first] == [True, False, True]
    assert seqs(send_queue.packets(100, 0)) == [2, 3, 4, 5]


def test_alerts_go_first_and_one_picture_at_a_time_after_a_cut_at_a_picture(
    outbox: Outbox,
) -> None:
    for number in (1, 2, 3):
        put(outbox, number, photo(number))
    send_queue, _ = watched_queue(outbox, CollectorAck.REQUIRED)
    in_flight = send_queue.packets(10, 0)
    assert [p.image_of for p in in_flight] == [1, 0, 2, 0, 3, 0]
    size_bytes = len(in_flight[0].payload)
    reason = send_queue.cut(in_flight, 0, is_exact=False)
    assert reason == f"closed the connection at a picture of {size_bytes} bytes"
    send_queue.connected(0, None)
    packets = send_queue.packets(10, 0)
    assert seqs(packets[:3]) == [1, 2, 3], "no alert waits behind a picture"
    assert [p.image_of for p in packets[3:]] == [1]
    assert send_queue.packets(10, 0) == [], "the next one waits for the answer"
    assert send_queue.due_ns() is None, "no polling meanwhile"
    send_queue.image_confirmed(packets[3])
    assert [p.image_of for p in send_queue.packets(10, 0)] == [2, 3]


def test_picture_is_made_smaller_after_a_second_cut_and_left_out_at_last(
    outbox: Outbox,
) -> None:
    put(outbox, 1, photo(1))
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    sizes = []
    for _ in range(12):
        packets = send_queue.packets(10, 0)
        pictures = [p for p in packets if p.image_of]
        if not pictures:
            break
        (alert_packet,) = [p for p in packets if p.seq]
        digest = hashlib.sha256(pictures[0].payload).hexdigest()
        assert data_of(alert_packet)["thumbnail_sha256"] == digest
        sizes.append(len(pictures[0].payload))
        send_queue.cut(packets, 0, is_exact=False)
        send_queue.connected(0, None)
    assert sizes[0] == sizes[1], "the first cut may have had another cause"
    assert all(after <= before // 2 for before, after in pairwise(sizes[1:]))
    assert data_of(packets[0])["thumbnail_sha256"] is None
    assert "takes no pictures: alerts go without them" in alarms.text
    send_queue.connected(0, None)  # not after a cut at a picture
    assert alarms.text == "", "the broker may have another limit now"
    assert [p.image_of for p in send_queue.packets(10, 0)] == [1, 0]


def test_cut_without_a_picture_on_its_way_blames_none(outbox: Outbox) -> None:
    put(outbox, 1)
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    for _ in range(3):
        packets = send_queue.packets(10, 0)
        assert send_queue.cut(packets, 0, is_exact=False) == ""
        send_queue.connected(0, None)
    assert alarms.text == ""


def test_picture_as_small_as_an_alert_is_not_blamed(outbox: Outbox) -> None:
    put(outbox, 1, jpeg(1, 700))
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    for _ in range(3):
        packets = send_queue.packets(10, 0)
        assert [p.image_of for p in packets] == [1, 0]
        assert send_queue.cut(packets, 0, is_exact=False) == ""
        send_queue.connected(0, None)
    assert alarms.text == ""


def test_picture_as_large_as_one_that_passed_is_not_blamed(outbox: Outbox) -> None:
    for number in (1, 2):
        put(outbox, number, jpeg(number, 5000))
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    first, *others = send_queue.packets(10, 0)
    send_queue.image_confirmed(first)
    assert send_queue.cut(others, 0, is_exact=False) == ""
    assert alarms.text == ""


def test_pictures_are_as_small_as_the_broker_announced(outbox: Outbox) -> None:
    put(outbox, 1, photo(1))
    send_queue = queue_of(outbox, max_packet_bytes=6000)
    picture, alert_packet = send_queue.packets(10, 0)
    assert 1000 < len(picture.payload) <= 6000 - HEADER_MAX_BYTES
    digest = hashlib.sha256(picture.payload).hexdigest()
    assert data_of(alert_packet)["thumbnail_sha256"] == digest


def test_picture_that_the_broker_confirms_and_drops_is_made_smaller(
    outbox: Outbox,
) -> None:
    put(outbox, 1, photo(1))
    put(outbox, 2, photo(2))
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    send_queue.connected(0, None, confirms_everything=True)
    limit_bytes, now_ns = len(photo(1)) // 3, 0
    for _ in range(60):
        now_ns += SECOND_NS
        taken = set()
        for packet in send_queue.packets(10, now_ns):
            if packet.image_of:
                send_queue.image_confirmed(packet)
                if len(packet.payload) <= limit_bytes:
                    taken.add(packet.image_of)
            else:
                confirm(send_queue, outbox, packet.seq, now_ns)
        wait_until(outbox, lambda: outbox.unsent() == 0)
        if taken:
            depth = outbox.depth() - len(taken)
            acknowledge(send_queue, outbox, *taken)
            wait_until(outbox, lambda: outbox.depth() == depth)  # noqa: B023 - at once
    assert outbox.depth() == 0
    assert "they are made smaller" in alarms.text


def test_pictures_without_an_answer_are_not_remembered_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture_queue, "EVENTS_KEPT", 3)
    pictures = PictureQueue(DeliveryFaults())
    for seq in range(1, 10):
        packet = Packet("image", b"x", image_of=seq)
        pictures.add(packet)
        pictures.refused(packet, 0, is_too_large=False)
    assert list(pictures._transmissions) == [7, 8, 9]  # noqa: SLF001
    assert list(pictures._refused) == [7, 8, 9]  # noqa: SLF001


def test_larger_picture_is_tried_again_after_ten_minutes(outbox: Outbox) -> None:
    put(outbox, 1, photo(1))
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    (picture, _) = send_queue.packets(10, 0)
    send_queue.image_refused(picture, 0, is_too_large=True)
    put(outbox, 2, photo(2))
    smaller = next(p for p in send_queue.packets(10, SECOND_NS) if p.image_of)
    assert len(smaller.payload) <= len(picture.payload) // 2
    send_queue.image_confirmed(smaller)
    put(outbox, 3, photo(3))
    packets = send_queue.packets(10, 601 * SECOND_NS)
    large = next(p for p in packets if p.image_of == 3)
    assert packets.index(large) == len(packets) - 1, "no alert waits behind it"
    assert len(large.payload) == len(photo(3))
    assert alarms.text, "until it has passed"
    send_queue.image_confirmed(large)
    assert alarms.text == ""


def test_event_beyond_the_limit_of_the_broker_is_kept_and_the_others_are_sent(
    outbox: Outbox,
) -> None:
    put(outbox, 1)
    send_queue, alarms = watched_queue(outbox, CollectorAck.REQUIRED)
    send_queue.connected(0, 1000)
    assert send_queue.packets(10, 0) == []
    assert "beyond the broker's limit of 488" in alarms.text
    assert outbox.depth() == 1
    due_ns = send_queue.due_ns()
    assert due_ns is not None
    assert due_ns > SECOND_NS, "it is tried again, but not at once"
