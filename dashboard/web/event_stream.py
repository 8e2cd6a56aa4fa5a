"""Live events for the open pages: one queue per page, bounded.

Of the state only the newest is kept: a page that reads slowly skips older ones.

The connection of a page that does not read fast enough is closed. Its browser connects
again with the cursor of its last alert and gets the following ones from the history, so
that no alert is lost and no page can fill the memory.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from dashboard.web.connections import is_loopback

QUEUE_EVENTS = 256  # half a minute of a very bad day
MAX_PER_ADDRESS = 20  # pages of one computer
ALERT, STATE, RESET, REVIEW = "alert", "state", "reset", "review"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event for the pages.

    Attributes:
        kind: ``alert``, ``state`` or ``reset`` (too much was missed: reload the page).
        n: Cursor of an alert; 0 for the other kinds.
        is_brief: A state without stations and cameras.
    """

    kind: str
    text: str
    n: int = 0
    is_brief: bool = False


@dataclass(eq=False, slots=True)
class Viewer:
    """One open page. Used in the server's event loop.

    Attributes:
        is_brief: It shows no cameras, and gets the brief states.
    """

    _queue: asyncio.Queue[LiveEvent | None] = field(
        default_factory=lambda: asyncio.Queue(QUEUE_EVENTS)
    )
    _state: LiveEvent | None = None  # the newest; its place in the queue is kept
    address: str = ""
    is_brief: bool = False

    @property
    def queued(self) -> int:
        """Number of events that the page has not read."""
        return self._queue.qsize()

    def put(self, event: LiveEvent) -> None:
        """Queue an event; a state replaces one that is queued.

        Raises:
            asyncio.QueueFull: The page has not read for long.
        """
        if event.kind != STATE:
            self._queue.put_nowait(event)
            return
        if event.is_brief != self.is_brief:
            return
        if self._state is None:
            self._queue.put_nowait(event)
        self._state = event

    async def next_event(self) -> LiveEvent | None:
        """Return the next event; None = close the connection."""
        event = await self._queue.get()
        if event is not None and event.kind == STATE:
            event, self._state = self._state, None
        return event

    def close(self) -> None:
        """Let the connection end; unread events are dropped."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)


class Hub:
    """Queues every event for every page. Used in the server's event loop.

    Args:
        max_viewers: More pages than this are refused.

    Attributes:
        dropped: Pages whose connection was closed because they did not read.
    """

    def __init__(self, max_viewers: int) -> None:
        self._max_viewers = max_viewers
        self._viewers: set[Viewer] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self.dropped = 0

    @property
    def viewers(self) -> int:
        """Number of open pages."""
        return len(self._viewers)

    def has_viewers(self, *, is_brief: bool) -> bool:
        """Return whether a page is open that gets such states; from any thread."""
        return any(viewer.is_brief == is_brief for viewer in tuple(self._viewers))

    @property
    def is_full(self) -> bool:
        """Whether no more pages are accepted."""
        return self._is_closed or len(self._viewers) >= self._max_viewers

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the server's event loop, for ``publish_from_thread``."""
        self._loop = loop

    def join(self, address: str = "", *, is_brief: bool = False) -> Viewer | None:
        """Add a page; None if no more are accepted, or no more of this address.

        Args:
            address: IP address of the client; this machine, where a reverse proxy may
                run, has no limit.
            is_brief: It shows no cameras.
        """
        pages = sum(viewer.address == address for viewer in self._viewers)
        is_limited = bool(address) and not is_loopback(address)
        if self.is_full or (is_limited and pages >= MAX_PER_ADDRESS):
            return None
        viewer = Viewer(address=address, is_brief=is_brief)
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Remove a page; removing it twice is no error."""
        self._viewers.discard(viewer)

    def publish(self, events: list[LiveEvent]) -> None:
        """Queue events for every page, in order. Call it in the server's loop."""
        for viewer in list(self._viewers):
            try:
                for event in events:
                    viewer.put(event)
            except asyncio.QueueFull:
                self.dropped += 1
                logger.warning("viewer_dropped queued=%d", viewer.queued)
                self._close_viewer(viewer)

    def publish_from_thread(self, events: list[LiveEvent]) -> None:
        """Queue events for every page, in order, from any thread."""
        loop = self._loop
        if loop is None or loop.is_closed() or not events:
            return
        try:
            loop.call_soon_threadsafe(self.publish, events)
        except RuntimeError:  # the loop closed just now: no page is left
            logger.debug("live_events_unseen count=%d", len(events))

    def close(self) -> None:
        """Close every page's connection, and accept no more."""
        self._is_closed = True
        for viewer in list(self._viewers):
            self._close_viewer(viewer)

    def _close_viewer(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)
        viewer.close()


def as_sse(event: LiveEvent) -> dict[str, Any]:
    """Return an event in the form that sse-starlette expects."""
    message: dict[str, Any] = {"event": event.kind, "data": event.text}
    if event.n:
        message["id"] = str(event.n)
    return message
