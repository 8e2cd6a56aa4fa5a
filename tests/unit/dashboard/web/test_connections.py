"""Limits of the page's connections."""

import asyncio
import socket
from contextlib import suppress

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from dashboard.web import connections as connections_module
from dashboard.web.connections import (
    LimitedListener,
    LimitedProtocol,
    OpenConnections,
    client_of,
    is_loopback,
)

LIMIT_S = 10.0
KERNEL_BYTES = 4096


def test_one_address_has_a_limit_of_its_own() -> None:
    connections = OpenConnections(most=10, most_per_address=2)
    assert [connections.admit("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert connections.admit("192.0.2.2")
    connections.leave("192.0.2.1")
    assert connections.admit("192.0.2.1")


def test_this_machine_is_limited_by_the_whole_only() -> None:
    """Behind a reverse proxy all pages come from it."""
    connections = OpenConnections(most=4, most_per_address=1)
    assert [connections.admit("127.0.0.1") for _ in range(5)] == [True] * 4 + [False]
    assert not connections.admit("192.0.2.1")


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.9", True), ("::1", True), ("192.0.2.1", False), ("", False)],
)
def test_loopback_addresses_are_known(address: str, expected: bool) -> None:
    assert is_loopback(address) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_addresses_of_one_computer_count_together(address: str, expected: str) -> None:
    assert client_of(address) == expected


def test_closed_connections_leave_nothing_behind() -> None:
    connections = OpenConnections(most=1)
    for _ in range(3):
        assert connections.admit("192.0.2.1")
        connections.leave("192.0.2.1")


async def answer(body: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def answer_with_much(_: Scope, __: Receive, send: Send) -> None:
    await answer(bytes(20_000_000), send)


async def answer_with_some(_: Scope, __: Receive, send: Send) -> None:
    await answer(bytes(60_000), send)


async def answer_with_little(_: Scope, __: Receive, send: Send) -> None:
    await answer(b"method not allowed", send)


async def end_of_a_connection(app: ASGIApp, request: bytes, more: bytes = b"") -> None:
    """Send a request and read nothing; return when the server has cut the connection.

    Args:
        more: Sent again and again.
    """
    counted = OpenConnections(most=1)
    config = uvicorn.Config(app, log_config=None)
    config.load()
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    class Noted(LimitedProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            ended.set()

    listener = LimitedListener(socket.create_server(("127.0.0.1", 0)), counted)
    # What the kernel takes of an answer waits there, and not in the process.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    server = await loop.create_server(
        lambda: Noted(config, ServerState(), {}), sock=listener
    )
    async with server:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
            client.connect(server.sockets[0].getsockname())
            client.sendall(request)
            async with asyncio.timeout(LIMIT_S):
                while not ended.is_set():
                    with suppress(ConnectionError):
                        client.sendall(more)
                    await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    assert counted.admit("127.0.0.1"), "nothing is counted any more"


@pytest.mark.parametrize("app", [answer_with_much, answer_with_some])
def test_client_that_does_not_read_its_answer_is_closed(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "UNREAD_LIMIT_S", 0.05)
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    asyncio.run(end_of_a_connection(app, request))


def test_client_whose_body_no_handler_reads_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer was sent at once; each further byte would keep the connection."""
    monkeypatch.setattr(connections_module, "BODY_LIMIT_S", 0.05)
    request = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"
    asyncio.run(end_of_a_connection(answer_with_little, request, more=b"x"))


def test_connection_beyond_the_limit_is_closed_when_it_is_accepted() -> None:
    """Before TLS begins, where no protocol would see it."""
    counted = OpenConnections(most=1)
    with LimitedListener(socket.create_server(("127.0.0.1", 0)), counted) as listener:
        address = listener.getsockname()
        with (
            socket.create_connection(address),
            socket.create_connection(address) as second,
        ):
            first, _ = listener.accept()
            with pytest.raises(ConnectionAbortedError):
                listener.accept()
            assert second.recv(1) == b""
            first.close()
        with socket.create_connection(address):
            listener.accept()[0].close()
    assert counted.admit("127.0.0.1")
