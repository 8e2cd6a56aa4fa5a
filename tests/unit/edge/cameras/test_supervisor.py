import random

import numpy as np
import pytest

from edge.cameras.frame_buffer import (
    FrameBuffer,
    FrameBufferReader,
    FrameBufferWriter,
    HeaderField,
)
from edge.cameras.supervisor import (
    PAUSE_MAX_S,
    PAUSE_MIN_S,
    PAUSE_PATIENT_S,
    CameraProcess,
)
from edge.frame import Stamp
from models.backoff import Backoff
from models.messages import CameraState
from tests.simulators.plans import plan_of


def restart_pauses() -> Backoff:
    return Backoff(PAUSE_MIN_S, PAUSE_MAX_S, random.Random(0).random)


def test_pauses_grow_to_half_a_minute_with_a_random_share() -> None:
    pause = restart_pauses()
    pauses_s = [pause.next_s() for _ in range(12)]
    nominal_s = [min(PAUSE_MAX_S, 0.5 * 2**n) for n in range(12)]
    ratios = np.array(pauses_s) / nominal_s
    assert ((ratios >= 0.5) & (ratios <= 1.5)).all()
    assert ratios.std() > 0.1
    assert pause.failures == 12


def test_after_a_frame_the_pause_is_short_again() -> None:
    pause = restart_pauses()
    for _ in range(9):
        pause.next_s()
    pause.reset()
    assert pause.next_s() <= 0.75


@pytest.mark.parametrize(
    ("source", "first_frame_id"),
    [("rtsp://cam/1", 1031), ("v4l2:/dev/video0", 1031), ("file:a.avi", 1020)],
)
def test_frame_numbers_of_a_live_camera_never_decrease(
    source: str, first_frame_id: int
) -> None:
    """Ten frames came before the camera was enabled; a file delivers what it counts."""
    camera = CameraProcess(plan_of(source, first_frame_id=1000))
    camera._resume_after(20, 1030)  # noqa: SLF001 - else a process that ends
    assert camera.plan.first_frame_id == first_frame_id
    camera._resume_after(0, -1)  # noqa: SLF001 - it could not even be opened
    assert camera.plan.first_frame_id == first_frame_id


def test_pause_after_a_patient_attempt_stays_short() -> None:
    pause = restart_pauses()
    pauses = [pause.next_s(at_most_s=PAUSE_PATIENT_S) for _ in range(20)]
    assert max(pauses) <= 1.5
    assert pause.next_s() > 10


def test_camera_without_a_process_has_no_frames_and_is_terminated() -> None:
    camera = CameraProcess(plan_of("rtsp://cam/1"))
    camera.enable()
    assert camera.take_frame() is None
    assert not camera.is_whole()
    camera.release()
    assert (camera.pid, camera.wakeup_fd) == (None, None)
    assert (camera.frames_captured, camera.frames_dropped) == (0, 0)
    assert camera.is_terminated
    assert not camera.is_settled


def test_frame_that_ended_the_process_twice_is_poisoned() -> None:
    camera = CameraProcess(plan_of("folder:/parts"))
    camera._resume_after(4, 4)  # noqa: SLF001 - else a process that ends
    assert camera.plan.poisoned_frame_id is None
    camera._resume_after(0, 4)  # noqa: SLF001
    assert (camera.plan.first_frame_id, camera.plan.poisoned_frame_id) == (4, 4)


def test_reason_of_the_process_becomes_an_error_in_three_parts() -> None:
    camera = CameraProcess(plan_of("rtsp://user:secret@cam/1", "top"))
    camera.reason = "camera top: no frame.\nIt is off.\nSwitch it on."
    error = camera.error()
    assert (error.what, error.why, error.fix) == (
        "camera top: no frame.",
        "It is off.",
        "Switch it on.",
    )
    camera.reason = "its process hung and was killed"
    assert camera.error().what == (
        "camera top: rtsp://cam/1: its process hung and was killed."
    )


def test_terminated_camera_is_ended_and_not_started_again() -> None:
    camera = CameraProcess(plan_of("rtsp://cam/1"))
    camera.terminate()
    camera.supervise(1)
    assert camera.state is CameraState.ENDED
    assert camera.pid is None


def test_reason_of_a_process_that_fails_is_no_reason_of_its_last_frame() -> None:
    camera, buffer = CameraProcess(plan_of("rtsp://camera/1")), FrameBuffer.create()
    camera._frame_buffer, camera._reader = buffer, FrameBufferReader(buffer)  # noqa: SLF001
    writer, pixels = FrameBufferWriter(buffer), np.zeros((2, 2, 3), np.uint8)
    buffer.reason = "gain: wanted 64, got 16"
    writer.publish(pixels, Stamp(0, 0, 0))
    assert camera.take_frame() is not None
    writer.publish(pixels, Stamp(1, 0, 0))
    buffer.header[HeaderField.HAS_FAILED] = 1
    buffer.reason = "camera cam: no frame."
    assert camera.take_frame() is not None
    assert (camera.state, camera.reason) == (CameraState.UP, "gain: wanted 64, got 16")
    buffer.close()
