"""Downloads that end too early."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

import dashboard.web
from dashboard.web.chunk_stream import ChunkStream


def test_generator_is_closed_when_the_client_goes() -> None:
    ended: list[bool] = []

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            ended.append(True)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        if message.get("body"):
            raise OSError

    endless = chunks()  # held here: nothing but close() ends it
    stream = ChunkStream(endless, "text/csv", {})
    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    with pytest.raises(ClientDisconnect):
        asyncio.run(stream(scope, receive, send))
    assert ended == [True]


def test_all_downloads_are_chunk_streams() -> None:
    folder = Path(dashboard.web.__file__).parent
    users = [
        each.name
        for each in folder.rglob("*.py")
        if "StreamingResponse" in each.read_text(encoding="utf-8")
    ]
    assert users == ["chunk_stream.py"]
