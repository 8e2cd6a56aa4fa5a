"""The cheap question whether a lost camera is back."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge.cameras.reachability import does_answer
from edge.cameras.source import parse_source
from tests.simulators.broker import free_port
from tests.simulators.mjpeg import BlackHole, MjpegCamera

pytestmark = pytest.mark.e2e


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that says one thing to whoever asks, and notes the questions."""
    asked: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(20)

        def serve() -> None:
            end, _ = server.accept()
            with closing(end):
                end.settimeout(20)
                asked.append(end.recv(4096))
                end.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join(20)


@pytest.mark.parametrize(
    ("answer", "is_there"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n--frame", True),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", True),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\nlater", False),
        (b"something else\r\n\r\n", False),
        (b"", False),
    ],
)
def test_http_camera_is_there_when_its_picture_begins(
    answer: bytes, is_there: bool
) -> None:
    with answering(answer) as (port, asked):
        source = parse_source(f"http://u:secret@127.0.0.1:{port}/v.mjpg?size=1")
        assert does_answer(source) is is_there
    assert asked[0].startswith(b"GET /v.mjpg?size=1 HTTP/1.1")
    assert b"secret" not in asked[0]
    assert b"Authorization" not in asked[0]


@pytest.mark.parametrize(
    ("answer", "is_there"),
    [
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", True),
        (b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n\r\n", True),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", False),
        (b"", False),
    ],
)
def test_rtsp_camera_is_there_when_it_speaks_rtsp(
    answer: bytes, is_there: bool
) -> None:
    with answering(answer) as (port, asked):
        source = parse_source(f"rtsp://u:secret@127.0.0.1:{port}/1")
        assert does_answer(source) is is_there
    assert (
        asked[0]
        == f"OPTIONS rtsp://127.0.0.1:{port}/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()
    )


def test_silent_and_closed_ports_are_no_camera() -> None:
    with BlackHole() as hole:
        assert not does_answer(parse_source(hole.url))
        assert not does_answer(parse_source(hole.url.replace("rtsp", "http")))
    assert not does_answer(parse_source(f"http://127.0.0.1:{free_port()}/"))
    assert not does_answer(parse_source(f"rtsp://127.0.0.1:{free_port()}/"))


def test_stalled_camera_is_not_back() -> None:
    with MjpegCamera() as network:
        assert does_answer(parse_source(network.url))
        network.is_stalled = True
        assert not does_answer(parse_source(network.url))


def test_device_is_there_when_its_name_is(tmp_path: Path) -> None:
    source = parse_source(f"v4l2:{tmp_path}/by-id")
    (tmp_path / "by-id").symlink_to(tmp_path / "video0")
    assert not does_answer(source)  # the name of a device that has gone
    (tmp_path / "video0").touch()
    assert does_answer(source)
