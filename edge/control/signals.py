"""The signals that stop the daemon."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class StopSignal:
    """A request to stop, from SIGTERM or SIGINT. The second signal is not caught.

    Attributes:
        signal_number: The signal received; 0 = no signal yet.
    """

    def __init__(self) -> None:
        self.signal_number = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Catch SIGTERM and SIGINT inside the block."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __bool__(self) -> bool:
        """Return whether a signal was received."""
        return self.signal_number != 0

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal_number = number
        # A second signal ends a daemon that hangs in its shutdown.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
