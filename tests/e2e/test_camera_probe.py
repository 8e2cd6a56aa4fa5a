"""The probe that checks whether a lost camera can be reached."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from edge.cameras.reachability import is_reachable
from edge.cameras.source import parse_source
from tests.simulators.broker import free_port
from tests.simulators.mjpeg import BlackHole, MjpegCamera

pytestmark = pytest.mark.e2e


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that sends one answer to one client, and records the request."""
    requests: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(20)

        def serve() -> None:
            client, _ = server.accept()
            with closing(client):
                client.settimeout(20)
                requests.append(client.recv(4096))
                client.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], requests
        thread.join(20)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n--frame", True),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", True),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\nlater", False),
        (b"something else\r\n\r\n", False),
        (b"", False),
    ],
)
def test_http_camera_is_reachable_when_it_sends_its_picture(
    answer: bytes, expected: bool
) -> None:
    with answering(answer) as (port, requests):
        source = parse_source(f"http://u:secret@127.0.0.1:{port}/v.mjpg?size=1")
        assert is_reachable(source) is expected
    assert requests[0].startswith(b"GET /v.mjpg?size=1 HTTP/1.1")
    assert b"secret" not in requests[0]
    assert b"Authorization" not in requests[0]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", True),
        (b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n\r\n", True),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", False),
        (b"", False),
    ],
)
def test_rtsp_camera_is_reachable_when_it_answers_in_rtsp(
    answer: bytes, expected: bool
) -> None:
    with answering(answer) as (port, requests):
        source = parse_source(f"rtsp://u:secret@127.0.0.1:{port}/1")
        assert is_reachable(source) is expected
    assert (
        requests[0]
        == f"OPTIONS rtsp://127.0.0.1:{port}/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()
    )


def test_silent_and_closed_ports_are_not_reachable() -> None:
    with BlackHole() as hole:
        assert not is_reachable(parse_source(hole.url))
        assert not is_reachable(parse_source(hole.url.replace("rtsp", "http")))
    assert not is_reachable(parse_source(f"http://127.0.0.1:{free_port()}/"))
    assert not is_reachable(parse_source(f"rtsp://127.0.0.1:{free_port()}/"))


def test_stalled_camera_is_not_reachable() -> None:
    with MjpegCamera() as network:
        assert is_reachable(parse_source(network.url))
        network.is_stalled = True
        assert not is_reachable(parse_source(network.url))


def test_device_is_reachable_when_its_node_exists(tmp_path: Path) -> None:
    source = parse_source(f"v4l2:{tmp_path}/by-id")
    (tmp_path / "by-id").symlink_to(tmp_path / "video0")
    assert not is_reachable(source)  # a link to a device that is gone
    (tmp_path / "video0").touch()
    assert is_reachable(source)
