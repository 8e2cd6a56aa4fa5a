"""A limit for the whole of a connection: limits of single reads do not add up to one.

A server that sends one byte now and then keeps every read within its limit.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Collection, Iterator

ANSWER_LIMIT_S = 10.0  # of one read or write
SEND_LIMIT_S = 30.0  # of one message


class SendError(Exception):
    """A message could not be sent; the text is the reason, without secrets.

    Attributes:
        asked_s: How long the receiver asked to wait.
        is_refused: The receiver refuses this message, not every one: the same message
            again is refused again.
        accepted: Addresses of the receiver that have the message all the same.
    """

    def __init__(
        self,
        reason: str,
        asked_s: float = 0,
        *,
        is_refused: bool = False,
        accepted: Collection[str] = (),
    ) -> None:
        super().__init__(reason)
        self.asked_s, self.is_refused = asked_s, is_refused
        self.accepted = frozenset(accepted)


def failure_of(error: Exception) -> str:
    """Return the text of an error of a connection, without its number."""
    text = error.strerror if isinstance(error, OSError) else ""
    return text or str(error) or type(error).__name__


@contextlib.contextmanager
def deadline(
    open_socket: Callable[[], socket.socket | None], limit_s: float
) -> Iterator[None]:
    """Cut the connection of the block after a time, which ends the block by an error.

    Args:
        open_socket: Returns the socket that is open at that time.
    """

    def cut() -> None:
        found = open_socket()
        if found is not None:
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(limit_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
