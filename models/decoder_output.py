"""What C decoders print while they decode: kept off stderr, and read.

libjpeg and libpng print warnings with ``fprintf(stderr, ...)``. For some damage such a
line is the only sign: libjpeg fills the missing part of a picture with grey and returns
it as whole.

While a picture is decoded, the C variable ``stderr`` points to an anonymous file. File
descriptor 2 stays as it is, so Python's own output, and that of a process that aborts,
are not affected. Threads that decode at the same time print into the same file; where
lines of damage appear, the picture is decoded once more while no other thread decodes,
so that they belong to it for certain.

Source:
    jerror.h of libjpeg-turbo 3.1 and pngerror.c of libpng 1.6, for the lines;
    fdopen(3), setvbuf(3).
"""

import contextlib
import ctypes
import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Decoded = TypeVar("Decoded")

UNBUFFERED = 2  # _IONBF of stdio.h
STDERR_FD = 2
# Extraneous bytes before marker 0xd9, the end, are no damage: cameras pad there.
DAMAGE = re.compile(
    r"(?:Corrupt JPEG data: (?!\d+ extraneous bytes before marker 0xd9)"
    r"|(?=Premature end of JPEG|Inconsistent progression)"
    r"|libpng error: )(.+)"
)
OF_DECODERS = re.compile(
    r"libpng |Corrupt JPEG|Premature end of JPEG|Inconsistent progression|Invalid SOS|"
    r"unknown JFIF revision|Unknown Adobe color|Application transferred too many"
)


class _Capture:
    """A C stream that writes into an anonymous file, and the variable ``stderr``.

    Raises:
        AttributeError: This system has no anonymous files.
        ValueError: Its C library has no variable ``stderr``.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._variable = ctypes.c_void_p.in_dll(library, "stderr")
        self._stderr = self._variable.value
        self._fd = os.memfd_create("graftline-decoders", os.MFD_CLOEXEC)
        library.fdopen.restype = ctypes.c_void_p
        library.fdopen.argtypes = [ctypes.c_int, ctypes.c_char_p]
        self._stream = library.fdopen(self._fd, b"a")  # also after a truncation
        library.setvbuf.argtypes = [
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
        ]
        library.setvbuf(self._stream, None, UNBUFFERED, 0)

    def connect(self) -> None:
        """Let ``stderr`` point to the file."""
        self._variable.value = self._stream

    def disconnect(self) -> None:
        """Let ``stderr`` point to where it did before."""
        self._variable.value = self._stderr

    @property
    def size_bytes(self) -> int:
        """Number of bytes in the file."""
        return os.fstat(self._fd).st_size

    def text_from(self, start: int) -> str:
        """Return what is in the file after its first ``start`` bytes."""
        count = self.size_bytes - start
        return os.pread(self._fd, count, start).decode("utf-8", "replace")

    def clear(self) -> str:
        """Empty the file and return what was in it."""
        text = self.text_from(0)
        if text:
            os.ftruncate(self._fd, 0)
        return text


class DecoderOutput:
    """Collects what decoders print in one process. Thread-safe.

    Where the system has no such variable or file, nothing is collected.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._decoding = 0  # threads in a decoder
        self._waiting = 0  # threads that wait to be the only one
        self._is_alone = False
        self._capture: _Capture | None = None
        with contextlib.suppress(AttributeError, ValueError):
            self._capture = _Capture()

    def decode_watched(
        self, decode: Callable[[], Decoded]
    ) -> tuple[Decoded, tuple[str, ...]]:
        """Run a decoder; return its result and the damage that it reported.

        Args:
            decode: Called a second time where damage is reported.
        """
        with self._collecting(alone=False) as text:
            result = decode()
            has_damage = DAMAGE.search(text())
        if not has_damage:
            return result, ()
        with self._collecting(alone=True) as text:
            result = decode()
            return result, tuple(DAMAGE.findall(text()))

    def release(self) -> None:
        """Let ``stderr`` point to where it did before, in a process that was forked."""
        if self._capture:
            self._capture.disconnect()

    @contextlib.contextmanager
    def _collecting(self, *, alone: bool) -> Iterator[Callable[[], str]]:
        """Yield a function that returns what was printed since the block began."""
        capture = self._capture
        if capture is None:
            yield str
            return
        self._enter(capture, alone=alone)
        start = capture.size_bytes
        try:
            yield lambda: capture.text_from(start)
        finally:
            self._leave(capture)

    def _enter(self, capture: _Capture, *, alone: bool) -> None:
        """Wait until this thread may decode; one that waits to be alone goes first."""
        with self._changed:
            if alone:
                self._waiting += 1
                self._changed.wait_for(lambda: not self._decoding)
                self._waiting -= 1
                self._is_alone = True
            else:
                self._changed.wait_for(lambda: not (self._is_alone or self._waiting))
            self._decoding += 1
            capture.connect()

    def _leave(self, capture: _Capture) -> None:
        """End a decoder; the last one passes on what other libraries printed."""
        with self._changed:
            self._decoding -= 1
            self._is_alone = False
            if self._decoding:
                return
            capture.disconnect()
            text = capture.clear()
            self._changed.notify_all()
        if foreign := _foreign(text):
            os.write(STDERR_FD, foreign.encode())


def _foreign(text: str) -> str:
    """Return the lines that no decoder printed."""
    lines = text.splitlines(keepends=True)
    return "".join(
        line for line in lines if line.strip() and not OF_DECODERS.search(line)
    )


_OF_PROCESSES: dict[
    int, DecoderOutput
] = {}  # by process id: a fork copies the parent's


def decode_watched(decode: Callable[[], Decoded]) -> tuple[Decoded, tuple[str, ...]]:
    """Run a decoder; return its result and the damage that it reported.

    Args:
        decode: Called a second time where damage is reported.

    Returns:
        The result, and a phrase for each damage, as ``premature end of data segment``.
    """
    pid = os.getpid()
    own = _OF_PROCESSES.get(pid)
    if own is None:
        for other, inherited in tuple(_OF_PROCESSES.items()):
            if other != pid:
                inherited.release()
        # Of two threads that get here together, both use the first one's.
        own = _OF_PROCESSES.setdefault(pid, DecoderOutput())
    return own.decode_watched(decode)
