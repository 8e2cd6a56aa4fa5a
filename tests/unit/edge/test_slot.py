import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from edge.cameras.frame_buffer import (
    BUFFERS,
    FRAME_MAX_BYTES,
    INDEX_BITS,
    FrameBuffer,
    FrameBufferReader,
    FrameBufferWriter,
    HeaderField,
)
from edge.frame import Stamp


@pytest.fixture
def slot() -> Iterator[FrameBuffer]:
    slot = FrameBuffer.create()
    yield slot
    slot.close()


def frame(value: int, height: int = 8, width: int = 6) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def stamp(number: int, part_id: str | None = None) -> Stamp:
    return Stamp(number, 10 * number, 20 * number, part_id)


def test_frame_arrives_with_its_stamp(slot: FrameBuffer) -> None:
    FrameBufferWriter(slot).publish(frame(7), stamp(3, "Teil-ä"))
    taken = FrameBufferReader(slot).take()
    assert taken is not None
    assert taken.pixels is not None
    assert (taken.pixels == 7).all()
    assert taken.pixels.shape == (8, 6, 3)
    assert taken.stamp == stamp(3, "Teil-ä")


def test_new_slot_has_no_frame(slot: FrameBuffer) -> None:
    reader = FrameBufferReader(slot)
    assert reader.take() is None
    assert not reader.has_frame


def test_newest_frame_wins_and_is_taken_once(slot: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(slot), FrameBufferReader(slot)
    for number in range(5):
        writer.publish(frame(number), stamp(number))
    taken = reader.take()
    assert taken is not None
    assert taken.stamp.frame_id == 4
    assert reader.take() is None
    assert (reader.frames_published, reader.frames_taken) == (5, 1)


def test_part_without_name_is_not_a_part_with_an_empty_name(slot: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(slot), FrameBufferReader(slot)
    parts = []
    for number, part in enumerate((None, "")):
        writer.publish(frame(0), stamp(number, part))
        taken = reader.take()
        assert taken is not None
        parts.append(taken.stamp.part_id)
    assert parts == [None, ""]


def test_frame_in_use_is_not_overwritten_by_many_newer_ones(slot: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(slot), FrameBufferReader(slot)
    writer.publish(frame(1), stamp(1))
    taken = reader.take()
    assert taken is not None
    assert taken.pixels is not None
    for number in range(2, 50):
        writer.publish(frame(number), stamp(number))
    assert (taken.pixels == 1).all()
    assert reader.is_whole()


def test_resolution_may_change_from_frame_to_frame(slot: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(slot), FrameBufferReader(slot)
    for shape in ((4, 5), (100, 200), (2, 2)):
        writer.publish(frame(9, *shape), stamp(1))
        taken = reader.take()
        assert taken is not None
        assert taken.pixels is not None
        assert taken.pixels.shape == (*shape, 3)


def test_frame_that_cannot_be_read_is_told_without_pixels(slot: FrameBuffer) -> None:
    FrameBufferWriter(slot).publish_fault("cut off", stamp(2, "p"))
    taken = FrameBufferReader(slot).take()
    assert taken is not None
    assert taken.pixels is None
    assert taken.fault == "cut off"
    assert taken.stamp.part_id == "p"


def test_overlong_text_is_cut_at_a_whole_character(slot: FrameBuffer) -> None:
    FrameBufferWriter(slot).publish_fault("ä" * 300, stamp(2, "ü" * 300))
    taken = FrameBufferReader(slot).take()
    assert taken is not None
    assert set(taken.fault) == {"ä"}
    assert set(taken.stamp.part_id or "") == {"ü"}


def test_reason_is_kept_in_the_slot(slot: FrameBuffer) -> None:
    assert slot.reason == ""
    slot.reason = "no camera\nwhy\nfix"
    assert slot.reason == "no camera\nwhy\nfix"


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((FRAME_MAX_BYTES // 3 + 1, 1, 3), np.uint8),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused(
    slot: FrameBuffer, pixels: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="frame"):
        FrameBufferWriter(slot).publish(pixels, stamp(1))
    assert not FrameBufferReader(slot).has_frame


def test_write_that_was_cut_short_is_never_seen(
    slot: FrameBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = FrameBufferWriter(slot), FrameBufferReader(slot)
    writer.publish(frame(1), stamp(1))

    def end_here(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(slot, "view", end_here)
    with pytest.raises(InterruptedError):
        writer.publish(frame(2), stamp(2))
    monkeypatch.undo()
    taken = reader.take()
    assert taken is not None
    assert taken.stamp.frame_id == 1
    assert reader.take() is None


def test_buffer_that_was_opened_again_is_noticed(slot: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(slot), FrameBufferReader(slot)
    writer.publish(frame(1), stamp(1))
    assert reader.take() is not None
    buffer = int(slot.words[HeaderField.LATEST]) & ((1 << INDEX_BITS) - 1)
    slot.records[buffer]["seq_before"] = 99  # a writer that missed who reads
    assert not reader.is_whole()


def test_torn_newest_frame_is_not_handed_out(slot: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(slot), FrameBufferReader(slot)
    writer.publish(frame(1), stamp(1))
    for buffer in range(BUFFERS):
        slot.records[buffer]["seq_after"] = 77
    assert reader.take() is None
    assert reader.frames_taken == 0


def test_writer_waits_until_the_frame_is_taken(slot: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(slot), FrameBufferReader(slot)
    assert writer.wait_until_taken(0)
    writer.publish(frame(1), stamp(1))
    assert not writer.wait_until_taken(0.001)
    taker = threading.Timer(0.05, reader.take)
    taker.start()
    assert writer.wait_until_taken(5)
    taker.join(5)


def test_bell_rings_for_a_frame_and_is_silent_after_it(slot: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(slot), FrameBufferReader(slot)
    writer.publish(frame(1), stamp(1))
    assert os.eventfd_read(slot.published_fd) == 1
    writer.publish(frame(2), stamp(2))
    assert reader.take() is not None
    with pytest.raises(BlockingIOError):
        os.eventfd_read(slot.published_fd)


def publish_for_ever(slot: FrameBuffer) -> None:
    writer, number = FrameBufferWriter(slot), 0
    while True:
        number += 1
        writer.publish(frame(number % 251, 240, 320), stamp(number))


@pytest.mark.fault(35)
def test_no_torn_frame_while_the_writer_races_and_is_killed_in_mid_write(
    slot: FrameBuffer,
) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=publish_for_ever, args=(slot,), daemon=True
    )
    process.start()
    reader, seen, deadline = FrameBufferReader(slot), 0, time.monotonic() + 30
    while seen < 1500 and time.monotonic() < deadline:
        taken = reader.take()
        if taken is None:
            continue
        assert taken.pixels is not None
        if seen == 1000 and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.join(10)
            seen = 1500
        expected = taken.stamp.frame_id % 251
        values = taken.pixels.min(), taken.pixels.max()
        if reader.is_whole():
            assert values == (expected, expected)
            seen += 1
        reader.release()
    assert seen > 1500
    assert process.exitcode == -signal.SIGKILL
    last = reader.take()  # what was published last is still whole
    assert last is None or (last.pixels == last.stamp.frame_id % 251).all()
    process.close()
