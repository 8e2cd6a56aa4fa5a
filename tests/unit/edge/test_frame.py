from datetime import UTC, datetime

from edge.frame import CameraFrame, Stamp


def test_time_of_capture_is_the_wall_clock_in_utc() -> None:
    stamp = Stamp(7, captured_ns=5, captured_wall_ns=1_700_000_000_500_000_000)
    captured_at = CameraFrame(None, stamp, "cut off").captured_at
    assert captured_at == datetime(2023, 11, 14, 22, 13, 20, 500_000, UTC)
