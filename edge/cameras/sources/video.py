"""A video file as a free-running camera: at its own pace, once or again and again."""

from edge.cameras.frame_publisher import CapturePlan, FramePublisher, stamp_now
from edge.cameras.sources.opencv import Capture

DEFAULT_FPS = 25.0  # of a file that does not say


def run_video(plan: CapturePlan, feed: FramePublisher) -> None:
    """Hand over the frames of a video file in real time, then return.

    A frame is decoded before it is due, as a camera would have it ready then. Where
    decoding is slower than the pace, frames come late and none is left out. A file
    that loops never ends, and its frame numbers go on; when its process is started
    anew it begins with the file's first frame.

    Args:
        plan: What to do.
        feed: Way to the daemon.

    Raises:
        CameraError: It cannot be opened, or holds no frame.
    """
    frame_id = plan.first_frame_id if plan.loops else 0
    start_ns, is_over = 0, False
    while not is_over:
        feed.back_within(plan.open_timeout_ms)
        begun = frame_id
        with Capture(plan) as capture:
            period_ns = 1e9 / (plan.fps or capture.fps or DEFAULT_FPS)
            frame_id = _skip_to(plan, feed, capture, frame_id)
            feed.wait_until_wanted()
            if not start_ns:
                start_ns = stamp_now(0).captured_ns - round(frame_id * period_ns)
            frame_id = _play(plan, feed, capture, frame_id, (start_ns, period_ns))
        is_over = not plan.loops
        if frame_id == begun:
            raise plan.fault(
                "there is no frame in this video.",
                why="It opens, but the first frame cannot be decoded.",
                fix="Give a video file that ffmpeg can play.",
            )


def _play(
    plan: CapturePlan,
    feed: FramePublisher,
    capture: Capture,
    frame_id: int,
    pace: tuple[int, float],
) -> int:
    """Hand over all frames from here to the end; return the number after the last.

    Args:
        plan: What to do.
        feed: Way to the daemon.
        capture: Stands before the first frame.
        frame_id: Of that frame.
        pace: When frame 0 was due, and the time between two frames; ns.
    """
    start_ns, period_ns = pace
    while True:
        feed.reads(frame_id, plan.read_timeout_ms)
        pixels = capture.read()
        if pixels is None:
            return frame_id
        frame_id += capture.passed_over
        feed.count_damaged(capture.passed_over)
        feed.wait_until(start_ns + round(frame_id * period_ns))
        feed.publish(pixels, stamp_now(frame_id))
        frame_id += 1


def _skip_to(
    plan: CapturePlan, feed: FramePublisher, capture: Capture, frame_id: int
) -> int:
    """Pass over what was delivered before the process was started anew.

    Returns:
        Number of the frame that comes next.
    """
    while frame_id < plan.first_frame_id:
        feed.reads(frame_id, plan.read_timeout_ms)
        if not capture.skip():
            break
        frame_id += 1 + capture.passed_over
    return frame_id
