"""How the daemon is told to stop."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class StopSignal:
    """A request to stop, from a signal. The second signal is not caught.

    Attributes:
        signal_number: Which one; 0 while there was none.
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
        """Return whether there was one."""
        return self.signal_number != 0

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal_number = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
