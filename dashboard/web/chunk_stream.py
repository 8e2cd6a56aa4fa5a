"""Answers that are sent in chunks, of which only one is in memory at a time."""

from collections.abc import Generator, Iterator
from itertools import chain

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class ChunkStream(StreamingResponse):
    """Sends chunks, and closes their generator when sending ends, also too early.

    Args:
        first: A chunk that was read already.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        media_type: str,
        headers: dict[str, str],
        *,
        first: bytes = b"",
    ) -> None:
        content = chain([first] if first else [], chunks)
        super().__init__(content, media_type=media_type, headers=headers)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the chunks."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if isinstance(self._chunks, Generator):
                self._chunks.close()
