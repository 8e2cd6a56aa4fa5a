"""Reads of a static web server on loopback, good and bad."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.transports.http import HttpSource, http_source
from models.errors import ConfigError
from tests.simulators.static_server import StaticServer

CONTENT = bytes(range(256)) * 40
NAME = "files/" + "a" * 64


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StaticServer]:
    (tmp_path / "files").mkdir()
    (tmp_path / NAME).write_bytes(CONTENT)
    (tmp_path / "empty").write_bytes(b"")
    with StaticServer(tmp_path) as server:
        yield server


def read(server: StaticServer, name: str = NAME, offset: int = 0) -> bytes:
    return b"".join(HttpSource(server.url, 1, 1).read(name, offset))


def test_file_is_read_whole(server: StaticServer) -> None:
    assert read(server) == CONTENT
    assert read(server, "empty") == b""
    assert server.requests[0] == (f"/{NAME}", "")


@pytest.mark.parametrize("ignores_range", [False, True])
def test_rest_of_a_file_is_read(server: StaticServer, ignores_range: bool) -> None:
    server.ignores_range = ignores_range
    assert read(server, offset=5000) == CONTENT[5000:]
    assert server.requests == [(f"/{NAME}", "bytes=5000-")]
    assert (server.sent_bytes == len(CONTENT)) == ignores_range


def test_file_that_was_read_before_has_no_rest(server: StaticServer) -> None:
    assert read(server, offset=len(CONTENT)) == b""
    server.ignores_range = True
    assert read(server, offset=len(CONTENT)) == b""


@pytest.mark.parametrize("status", [403, 404, 410])
def test_absent_file_is_named_as_such(server: StaticServer, status: int) -> None:
    server.status = status
    with pytest.raises(FileNotFoundError, match=str(status)):
        read(server)


@pytest.mark.parametrize("status", [301, 302, 307, 401, 500, 503])
def test_other_answers_and_redirects_are_errors(
    server: StaticServer, status: int
) -> None:
    server.status, server.location = status, "http://127.0.0.1:1/"
    with pytest.raises(ConnectionError, match=str(status)):
        read(server)
    assert len(server.requests) == 1


@pytest.mark.fault(48)
def test_answer_that_is_cut_is_an_error_after_its_bytes(server: StaticServer) -> None:
    server.cut_after = 100
    chunks = HttpSource(server.url, 1, 1).read(NAME)
    assert next(chunks) == CONTENT[:100]
    with pytest.raises(ConnectionError, match="before the end"):
        next(chunks)


@pytest.mark.fault(51)
def test_silent_server_ends_with_a_time_out(server: StaticServer) -> None:
    server.dribbles_s = 5
    with pytest.raises(TimeoutError):
        b"".join(HttpSource(server.url, 0.2, 5).read(NAME))


@pytest.mark.fault(51)
def test_head_that_dribbles_ends_with_a_time_out(server: StaticServer) -> None:
    server.dribbles_head_s = 0.05
    started_s = time.monotonic()
    with pytest.raises(OSError, match=r"."):
        b"".join(HttpSource(server.url, 2, 0.5).read(NAME))
    assert time.monotonic() - started_s < 10


@pytest.mark.fault(51)
def test_endless_answer_is_given_in_parts(server: StaticServer) -> None:
    server.is_endless = True
    chunks = HttpSource(server.url, 1, 1).read(NAME)
    received = 0
    for chunk in chunks:
        assert len(chunk) <= 1 << 20
        received += len(chunk)
        if received > 5 << 20:
            break
    chunks.close()


def test_server_that_is_off_is_an_error(tmp_path: Path) -> None:
    with StaticServer(tmp_path) as server:
        url = server.url
    with pytest.raises(ConnectionError):
        b"".join(HttpSource(url, 1, 1).read(NAME))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://server/a",
        "http://",
        "http://user:secret@server/a",
        "http://server/a?token=secret",
        "http://server/a#b",
        "http://server/../a",
        "http://server:0/a",
        "http://server:99999/a",
        "http://ser ver/a",
        "http://server/a\r\nHost: other",
        "file:///etc",
    ],
)
def test_address_with_more_than_a_place_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="not the address of a release") as caught:
        http_source(url)
    assert "secret" not in str(caught.value)


def test_plain_address_is_accepted() -> None:
    assert http_source("https://files.plant:8443/plate/").url.endswith("8443/plate")
