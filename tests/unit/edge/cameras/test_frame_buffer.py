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
def frame_buffer() -> Iterator[FrameBuffer]:
    buffer = FrameBuffer.create()
    yield buffer
    buffer.close()


def frame(value: int, height: int = 8, width: int = 6) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def stamp(number: int, part_id: str | None = None) -> Stamp:
    return Stamp(number, 10 * number, 20 * number, part_id)


def test_frame_arrives_with_its_stamp(frame_buffer: FrameBuffer) -> None:
    FrameBufferWriter(frame_buffer).publish(frame(7), stamp(3, "Teil-ä"))
    taken = FrameBufferReader(frame_buffer).take_frame()
    assert taken is not None
    assert taken.pixels is not None
    assert (taken.pixels == 7).all()
    assert taken.pixels.shape == (8, 6, 3)
    assert taken.stamp == stamp(3, "Teil-ä")


def test_new_buffer_has_no_frame(frame_buffer: FrameBuffer) -> None:
    reader = FrameBufferReader(frame_buffer)
    assert reader.take_frame() is None
    assert not reader.has_frame


def test_only_the_newest_frame_is_taken_and_only_once(
    frame_buffer: FrameBuffer,
) -> None:
    writer, reader = FrameBufferWriter(frame_buffer), FrameBufferReader(frame_buffer)
    for number in range(5):
        writer.publish(frame(number), stamp(number))
    taken = reader.take_frame()
    assert taken is not None
    assert taken.stamp.frame_id == 4
    assert reader.take_frame() is None
    assert (reader.frames_published, reader.frames_taken) == (5, 1)


def test_part_without_name_is_not_a_part_with_an_empty_name(
    frame_buffer: FrameBuffer,
) -> None:
    writer, reader = FrameBufferWriter(frame_buffer), FrameBufferReader(frame_buffer)
    parts = []
    for number, part in enumerate((None, "")):
        writer.publish(frame(0), stamp(number, part))
        taken = reader.take_frame()
        assert taken is not None
        parts.append(taken.stamp.part_id)
    assert parts == [None, ""]


def test_frame_in_use_is_not_overwritten_by_many_newer_ones(
    frame_buffer: FrameBuffer,
) -> None:
    writer, reader = FrameBufferWriter(frame_buffer), FrameBufferReader(frame_buffer)
    writer.publish(frame(1), stamp(1))
    taken = reader.take_frame()
    assert taken is not None
    assert taken.pixels is not None
    for number in range(2, 50):
        writer.publish(frame(number), stamp(number))
    assert (taken.pixels == 1).all()
    assert reader.is_whole()


def test_resolution_may_change_from_frame_to_frame(frame_buffer: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(frame_buffer), FrameBufferReader(frame_buffer)
    for shape in ((4, 5), (100, 200), (2, 2)):
        writer.publish(frame(9, *shape), stamp(1))
        taken = reader.take_frame()
        assert taken is not None
        assert taken.pixels is not None
        assert taken.pixels.shape == (*shape, 3)


def test_unreadable_frame_has_a_fault_and_no_pixels(frame_buffer: FrameBuffer) -> None:
    FrameBufferWriter(frame_buffer).publish_fault("cut off", stamp(2, "p"))
    taken = FrameBufferReader(frame_buffer).take_frame()
    assert taken is not None
    assert taken.pixels is None
    assert taken.fault == "cut off"
    assert taken.stamp.part_id == "p"


def test_long_text_is_truncated_at_a_complete_character(
    frame_buffer: FrameBuffer,
) -> None:
    FrameBufferWriter(frame_buffer).publish_fault("ä" * 300, stamp(2, "ü" * 300))
    taken = FrameBufferReader(frame_buffer).take_frame()
    assert taken is not None
    assert set(taken.fault) == {"ä"}
    assert set(taken.stamp.part_id or "") == {"ü"}


def test_reason_is_read_back(frame_buffer: FrameBuffer) -> None:
    assert frame_buffer.reason == ""
    frame_buffer.reason = "no camera\nwhy\nfix"
    assert frame_buffer.reason == "no camera\nwhy\nfix"


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
def test_array_of_another_shape_or_too_large_is_refused(
    frame_buffer: FrameBuffer, pixels: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="frame"):
        FrameBufferWriter(frame_buffer).publish(pixels, stamp(1))
    assert not FrameBufferReader(frame_buffer).has_frame


def test_interrupted_write_is_never_read(
    frame_buffer: FrameBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = FrameBufferWriter(frame_buffer), FrameBufferReader(frame_buffer)
    writer.publish(frame(1), stamp(1))

    def interrupt(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(frame_buffer, "view", interrupt)
    with pytest.raises(InterruptedError):
        writer.publish(frame(2), stamp(2))
    monkeypatch.undo()
    taken = reader.take_frame()
    assert taken is not None
    assert taken.stamp.frame_id == 1
    assert reader.take_frame() is None


def test_overwritten_frame_is_not_whole(frame_buffer: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(frame_buffer), FrameBufferReader(frame_buffer)
    writer.publish(frame(1), stamp(1))
    assert reader.take_frame() is not None
    buffer = int(frame_buffer.header[HeaderField.LATEST]) & ((1 << INDEX_BITS) - 1)
    frame_buffer.records[buffer]["seq_before"] = 99  # a writer that missed READING
    assert not reader.is_whole()


def test_torn_newest_frame_is_not_returned(frame_buffer: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(frame_buffer), FrameBufferReader(frame_buffer)
    writer.publish(frame(1), stamp(1))
    for buffer in range(BUFFERS):
        frame_buffer.records[buffer]["seq_after"] = 77
    assert reader.take_frame() is None
    assert reader.frames_taken == 0


def test_writer_waits_until_the_frame_is_taken(frame_buffer: FrameBuffer) -> None:
    writer, reader = FrameBufferWriter(frame_buffer), FrameBufferReader(frame_buffer)
    assert writer.wait_until_taken(0)
    writer.publish(frame(1), stamp(1))
    assert not writer.wait_until_taken(0.001)
    taker = threading.Timer(0.05, reader.take_frame)
    taker.start()
    assert writer.wait_until_taken(5)
    taker.join(5)


def test_wakeup_event_is_set_by_a_frame_and_cleared_by_taking_it(
    frame_buffer: FrameBuffer,
) -> None:
    writer, reader = FrameBufferWriter(frame_buffer), FrameBufferReader(frame_buffer)
    writer.publish(frame(1), stamp(1))
    assert os.eventfd_read(frame_buffer.published_fd) == 1
    writer.publish(frame(2), stamp(2))
    assert reader.take_frame() is not None
    with pytest.raises(BlockingIOError):
        os.eventfd_read(frame_buffer.published_fd)


def publish_forever(frame_buffer: FrameBuffer) -> None:
    writer, number = FrameBufferWriter(frame_buffer), 0
    while True:
        number += 1
        writer.publish(frame(number % 251, 240, 320), stamp(number))


@pytest.mark.fault(35)
def test_no_torn_frame_while_the_writer_races_and_is_killed_in_mid_write(
    frame_buffer: FrameBuffer,
) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=publish_forever, args=(frame_buffer,), daemon=True
    )
    process.start()
    reader, whole, deadline = FrameBufferReader(frame_buffer), 0, time.monotonic() + 30
    while whole < 1500 and time.monotonic() < deadline:
        taken = reader.take_frame()
        if taken is None:
            continue
        assert taken.pixels is not None
        if whole == 1000 and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.join(10)
            whole = 1500
        expected = taken.stamp.frame_id % 251
        values = taken.pixels.min(), taken.pixels.max()
        if reader.is_whole():
            assert values == (expected, expected)
            whole += 1
        reader.release()
    assert whole > 1500
    assert process.exitcode == -signal.SIGKILL
    last = reader.take_frame()  # what was published last is still whole
    assert last is None or (last.pixels == last.stamp.frame_id % 251).all()
    process.close()
