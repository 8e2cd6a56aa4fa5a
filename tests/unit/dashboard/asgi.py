"""Asks a web application questions without a socket."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.types import ASGIApp

Message = MutableMapping[str, Any]
LIMIT_S = 10.0


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        parts: Of the body, as they were sent.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    parts: tuple[bytes, ...]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(
    app: ASGIApp,
    url: str,
    *,
    headers: dict[str, str] | None = None,
    method: str = "GET",
    enough: Callable[[bytes], bool] = lambda _: False,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
    body: bytes = b"",
) -> Answer:
    """Return an answer; of an endless one what has come when it is ``enough``."""
    return asyncio.run(_get(app, url, headers or {}, method, enough, meanwhile, body))


def post_json(
    app: ASGIApp, url: str, content: object, *, headers: dict[str, str] | None = None
) -> Answer:
    """Send JSON, and return the answer."""
    names = {"content-type": "application/json", **(headers or {})}
    body = json.dumps(content).encode()
    return get(app, url, headers=names, method="POST", body=body)


async def _get(
    app: ASGIApp,
    url: str,
    headers: dict[str, str],
    method: str,
    enough: Callable[[bytes], bool],
    meanwhile: Callable[[], Awaitable[None]] | None,
    request_body: bytes,
) -> Answer:
    path, _, query = url.partition("?")
    sent: list[Message] = []
    is_enough = asyncio.Event()
    is_asked = False

    async def receive() -> Message:
        nonlocal is_asked
        if not is_asked:
            is_asked = True
            return {"type": "http.request", "body": request_body, "more_body": False}
        await is_enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if enough(body()):
            is_enough.set()

    def body() -> bytes:
        return b"".join(parts())

    def parts() -> tuple[bytes, ...]:
        return tuple(part for each in sent if (part := each.get("body")))

    names = {"host": "localhost:8765", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(key.encode(), value.encode()) for key, value in names.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8765),
    }
    answering = asyncio.create_task(app(scope, receive, send))
    if meanwhile is not None:
        await meanwhile()
    await asyncio.wait_for(answering, LIMIT_S)
    start = sent[0]
    found = {key.decode(): value.decode() for key, value in start["headers"]}
    return Answer(start["status"], found, body(), parts())
