"""Limits of the page's connections."""

import asyncio
import socket

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
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


async def answer_with_much(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": bytes(20_000_000)})


def test_client_that_does_not_read_its_answer_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections_module, "UNREAD_LIMIT_S", 0.05)
    counted = OpenConnections(most=1)
    config = uvicorn.Config(answer_with_much, log_config=None)
    config.load()

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        class Noted(LimitedProtocol):
            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                ended.set()

        listener = LimitedListener(socket.create_server(("127.0.0.1", 0)), counted)
        server = await loop.create_server(
            lambda: Noted(config, ServerState(), {}), sock=listener
        )
        async with server:
            with socket.create_connection(server.sockets[0].getsockname()) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await asyncio.wait_for(ended.wait(), LIMIT_S)
        await asyncio.sleep(0)
        assert counted.admit("127.0.0.1"), "nothing is counted any more"

    asyncio.run(scene())


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
