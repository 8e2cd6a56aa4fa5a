"""The web application on a free port of this machine, without broker and process."""

import asyncio
import threading
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.connections import LimitedProtocol
from dashboard.web.event_stream import Hub
from tests.simulators.broker import free_port
from tests.waiting import until

LIMIT_S = 20.0


class PageServer:
    """Serves an application in a thread."""

    def __init__(self, app: ASGIApp, hub: Hub, broadcaster: EventBroadcaster) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._hub, self._broadcaster = hub, broadcaster
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host="127.0.0.1",
                port=self.port,
                interface="asgi3",
                http=LimitedProtocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()])

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._server.server_state.connections)

    async def _serve(self) -> None:
        self._hub.attach(asyncio.get_running_loop())
        ticker = asyncio.create_task(self._broadcaster.run())
        await self._server.serve()
        ticker.cancel()
        # A browser that has not read all keeps its connection open beyond the end of
        # the loop, and Python warns of it in whatever test runs then.
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # one turn of the loop closes them

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started, "the pages are served", LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._hub.close()
        self._thread.join(LIMIT_S)
