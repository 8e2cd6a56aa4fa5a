"""A video file as a free-running camera: at its own pace, once or in a loop."""

from edge.cameras.frame_publisher import CapturePlan, FramePublisher, stamp_now
from edge.cameras.native_log import NativeLog
from edge.cameras.sources.opencv import Capture

NEW_SIZE = "its pictures change their size: they are scaled to the first one"
DEFAULT_FPS = 25.0  # for a file without a frame rate


def run_video(
    plan: CapturePlan, frame_publisher: FramePublisher, log: NativeLog | None = None
) -> None:
    """Publish the frames of a video file in real time, then return.

    A frame is decoded before it is due, as a camera would have it ready then. Where
    decoding is slower than the pace, frames come late, and are not skipped. A file
    that loops never ends, and its frame numbers continue; after a restart of its
    process it starts with the file's first frame.

    Raises:
        CameraError: It cannot be opened, or has no frame.
    """
    frame_id = plan.first_frame_id if plan.loops else 0
    start_ns, is_over = 0, False
    while not is_over:
        frame_publisher.extend_deadline(plan.open_timeout_ms)
        first_frame_id = frame_id
        with Capture(plan, log) as capture:
            capture.refuse_deep_format()
            period_ns = 1e9 / (plan.fps or capture.fps or DEFAULT_FPS)
            frame_id = _skip_delivered(plan, frame_publisher, capture, frame_id)
            capture.on_damaged = frame_publisher.count_damaged
            frame_publisher.wait_until_enabled()
            if not start_ns:
                start_ns = stamp_now(0).captured_ns - round(frame_id * period_ns)
            pace = start_ns, period_ns
            frame_id = _play(plan, frame_publisher, capture, frame_id, pace)
        is_over = not plan.loops
        if frame_id == first_frame_id:
            raise plan.fault(
                "there is no frame in this video.",
                why="It opens, but the first frame cannot be decoded.",
                fix="Give a video file that ffmpeg can play.",
            )


def _play(
    plan: CapturePlan,
    frame_publisher: FramePublisher,
    capture: Capture,
    frame_id: int,
    pace: tuple[int, float],
) -> int:
    """Publish all frames from here to the end; return the next frame's number.

    Args:
        capture: Positioned before the frame ``frame_id``.
        pace: When frame 0 was due, and the time between two frames; ns.
    """
    start_ns, period_ns = pace
    while True:
        frame_publisher.start_read(frame_id, plan.read_timeout_ms)
        pixels = capture.read()
        if pixels is None:
            return frame_id
        frame_id += capture.skipped_damaged
        if capture.has_new_size:
            frame_publisher.set_warnings([NEW_SIZE])
        frame_publisher.wait_until(start_ns + round(frame_id * period_ns))
        frame_publisher.publish(pixels, stamp_now(frame_id))
        frame_id += 1


def _skip_delivered(
    plan: CapturePlan, frame_publisher: FramePublisher, capture: Capture, frame_id: int
) -> int:
    """Skip what was delivered before a restart; return the next frame's number."""
    while frame_id < plan.first_frame_id:
        frame_publisher.start_read(frame_id, plan.read_timeout_ms)
        if not capture.skip():
            break
        frame_id += 1 + capture.skipped_damaged
    return frame_id
