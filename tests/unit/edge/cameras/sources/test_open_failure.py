import pytest

from edge.cameras.source import SourceKind
from edge.cameras.sources.open_failure import cause_of, silence

STREAM, USB = SourceKind.STREAM, SourceKind.USB
CONNECTED = "[OPENCV:FFMPEG:40] Successfully connected to 10.0.0.5 port 554\n"


@pytest.mark.parametrize(
    ("log", "why", "fix"),
    [
        ("method DESCRIBE failed: 401 (Unauthorized)", "401 Unauthorized", "%40 for @"),
        ("HTTP error 401 Unauthorized", "401 Unauthorized", "user:password@"),
        ("method DESCRIBE failed: 404 (Not Found)", "404 Not Found", "path"),
        ("HTTP error 404 Not Found", "404 Not Found", "path"),
        ("method SETUP failed: 461 (Unsupported transport)", "461", '"udp"'),
        ("method PLAY failed: 453 (Not Enough Bandwidth)", "453", "other viewers"),
        ("HTTP error 500 Internal Server Error", "500 Internal", "Check the URL"),
        ("Connection to tcp://10.0.0.5:554 failed: Connection refused", "refused", ""),
        ("Failed to resolve hostname cam: Name not known", "host", "%2F for /"),
        ("Port missing in uri", "cannot be separated", "%23 for #"),
        ("Connection to tcp://10.0.0.5:554 failed: No route to host", "device", ""),
    ],
)
def test_answer_of_a_network_camera_is_the_cause(log: str, why: str, fix: str) -> None:
    cause = cause_of(f"[OPENCV:FFMPEG:16] {log}\n", STREAM, "tcp")
    assert cause is not None
    assert why in cause.why
    assert fix in cause.fix


def test_transport_that_a_camera_refuses_is_named_with_the_other_one() -> None:
    log = "method SETUP failed: 461 (Unsupported transport)"
    over_udp = cause_of(log, STREAM, "udp")
    assert over_udp is not None
    assert '"tcp"' in over_udp.fix
    assert "over UDP" in over_udp.fix


def test_silence_is_distinct_from_a_connection_without_video() -> None:
    assert silence("", 5000).why == "Nothing answered within 5000 ms."
    assert silence(CONNECTED, 5000).why.startswith("It accepted the connection")


@pytest.mark.parametrize(
    ("errno", "why"),
    [(28, "bandwidth"), (16, "Another program"), (71, "USB connection failed")],
)
def test_error_number_of_a_usb_camera_is_the_cause(errno: int, why: str) -> None:
    log = f"VIDEOIO(V4L2:/dev/video0): failed VIDIOC_STREAMON: errno={errno} (x)\n"
    cause = cause_of(log, USB, "tcp")
    assert cause is not None
    assert why in cause.why


def test_log_without_a_cause_has_none() -> None:
    assert cause_of(CONNECTED, STREAM, "tcp") is None
    assert cause_of("errno=5 (Input/output error)", USB, "tcp") is None
    assert cause_of("errno=28", SourceKind.VIDEO, "tcp") is None
