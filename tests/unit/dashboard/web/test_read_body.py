"""Bodies of requests that do not end."""

import asyncio

import pytest
from starlette.types import Message

from dashboard.web import site as site_module
from tests.unit.dashboard.sim_site import SimSite

LIMIT_S = 10.0


def test_login_whose_body_never_ends_is_cut_off(
    site: SimSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_module, "BODY_LIMIT_S", 0.05)
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/api/login",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8765),
    }
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    answer = site.bare_app(scope, receive, send)
    asyncio.run(asyncio.wait_for(answer, LIMIT_S))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
