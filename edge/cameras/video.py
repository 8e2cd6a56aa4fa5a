"""A video file as a free-running camera: at the file's own pace, once."""

from edge.cameras.capture import Capture
from edge.cameras.feed import CapturePlan, Feed, stamp_now

DEFAULT_FPS = 25.0  # of a file that does not say


def run_video(plan: CapturePlan, feed: Feed) -> None:
    """Hand over the frames of a video file in real time, then return.

    A frame is decoded before it is due, as a camera would have it ready then. Where
    decoding is slower than the pace, frames come late and none is left out.

    Args:
        plan: What to do.
        feed: Way to the daemon.

    Raises:
        CameraError: It cannot be opened, or holds no frame.
    """
    feed.back_within(plan.open_timeout_ms)
    with Capture(plan) as capture:
        period_ns = 1e9 / (plan.fps or capture.fps or DEFAULT_FPS)
        _skip_to(plan, feed, capture)
        feed.wait_until_wanted()
        start_ns = stamp_now(0).captured_ns
        frame_id = plan.first_frame_id
        while True:
            feed.reads(frame_id, plan.read_timeout_ms)
            pixels = capture.read()
            if pixels is None:
                break
            frame_id += capture.passed_over
            feed.count_damaged(capture.passed_over)
            feed.wait_until(
                start_ns + round((frame_id - plan.first_frame_id) * period_ns)
            )
            feed.publish(pixels, stamp_now(frame_id))
            frame_id += 1
    if frame_id == 0:
        raise plan.fault(
            "there is no frame in this video.",
            why="It opens, but the first frame cannot be decoded.",
            fix="Give a video file that ffmpeg can play.",
        )


def _skip_to(plan: CapturePlan, feed: Feed, capture: Capture) -> None:
    """Pass over what was delivered before the process was started anew."""
    frame_id = 0
    while frame_id < plan.first_frame_id:
        feed.reads(frame_id, plan.read_timeout_ms)
        if not capture.skip():
            return
        frame_id += 1 + capture.passed_over
