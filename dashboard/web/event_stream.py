"""Live events for the open pages: one queue per page, bounded.

The connection of a page that does not read fast enough is closed. Its browser connects
again with the cursor of its last alert and gets the following ones from the history, so
that no alert is lost and no page can fill the memory.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

QUEUE_EVENTS = 256  # half a minute of a very bad day
ALERT, STATE, RESET = "alert", "state", "reset"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One event for the pages.

    Attributes:
        kind: ``alert``, ``state`` or ``reset`` (too much was missed: reload the page).
        n: Cursor of an alert; 0 for the other kinds.
    """

    kind: str
    text: str
    n: int = 0


@dataclass(eq=False, slots=True)
class Viewer:
    """One open page. ``None`` in its queue: close the connection."""

    queue: asyncio.Queue[LiveEvent | None] = field(
        default_factory=lambda: asyncio.Queue(QUEUE_EVENTS)
    )


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

    @property
    def is_full(self) -> bool:
        """Whether no more pages are accepted."""
        return self._is_closed or len(self._viewers) >= self._max_viewers

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set the server's event loop, for ``publish_from_thread``."""
        self._loop = loop

    def join(self) -> Viewer | None:
        """Add a page; None if no more are accepted."""
        if self.is_full:
            return None
        viewer = Viewer()
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
                    viewer.queue.put_nowait(event)
            except asyncio.QueueFull:
                self.dropped += 1
                logger.warning("viewer_dropped queued=%d", viewer.queue.qsize())
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
        """Let a page's connection end; unread events are dropped."""
        self._viewers.discard(viewer)
        while not viewer.queue.empty():
            viewer.queue.get_nowait()
        viewer.queue.put_nowait(None)


def as_sse(event: LiveEvent) -> dict[str, Any]:
    """Return an event in the form that sse-starlette expects."""
    message: dict[str, Any] = {"event": event.kind, "data": event.text}
    if event.n:
        message["id"] = str(event.n)
    return message
