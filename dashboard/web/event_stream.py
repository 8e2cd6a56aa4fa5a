"""Live events for the open pages: one queue per page, bounded.

A page that does not read fast enough is dropped, not waited for. Its browser comes
back with the cursor of the last alert it saw and gets the rest from the history, so
that nothing is lost and no page can fill the memory.
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
        kind: ``alert``, ``state`` or ``reset`` (too much was missed: load anew).
        text: JSON.
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
    """Gives every event to every page. Lives in the server's event loop.

    Args:
        max_viewers: More pages than this are refused.
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
        """Whether there is no place for one more page."""
        return self._is_closed or len(self._viewers) >= self._max_viewers

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that the pages live in.

        Args:
            loop: The server's.
        """
        self._loop = loop

    def join(self) -> Viewer | None:
        """Return a place for one more page; nothing if there is none left."""
        if self.is_full:
            return None
        viewer = Viewer()
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a page.

        Args:
            viewer: From ``join``; leaving twice is no fault.
        """
        self._viewers.discard(viewer)

    def publish(self, events: list[LiveEvent]) -> None:
        """Queue events for every page. Call it in the server's loop.

        Args:
            events: In the order in which they are to be seen.
        """
        for viewer in list(self._viewers):
            try:
                for event in events:
                    viewer.queue.put_nowait(event)
            except asyncio.QueueFull:
                self.dropped += 1
                logger.warning("viewer_dropped queued=%d", viewer.queue.qsize())
                self._dismiss(viewer)

    def publish_from_thread(self, events: list[LiveEvent]) -> None:
        """Queue events for every page, from any thread.

        Args:
            events: In the order in which they are to be seen.
        """
        loop = self._loop
        if loop is None or loop.is_closed() or not events:
            return
        try:
            loop.call_soon_threadsafe(self.publish, events)
        except RuntimeError:  # the loop closed just now: nobody is left to see it
            logger.debug("live_events_unseen count=%d", len(events))

    def close(self) -> None:
        """Close every page's connection, and let none in any more."""
        self._is_closed = True
        for viewer in list(self._viewers):
            self._dismiss(viewer)

    def _dismiss(self, viewer: Viewer) -> None:
        """Let a page's connection end; what it has not read yet is forgotten."""
        self._viewers.discard(viewer)
        while not viewer.queue.empty():
            viewer.queue.get_nowait()
        viewer.queue.put_nowait(None)


def as_sse(event: LiveEvent) -> dict[str, Any]:
    """Return an event in the form that sse-starlette sends.

    Args:
        event: Any.
    """
    message: dict[str, Any] = {"event": event.kind, "data": event.text}
    if event.n:
        message["id"] = str(event.n)
    return message
