"""What the C libraries of a camera's process print, read by the process itself.

OpenCV reads a stream with FFmpeg, returns a smeared picture as a whole one, and does
not pass on why a stream cannot be opened: FFmpeg only logs it. OpenCV prints FFmpeg's
log to ``stdout`` and its own to ``stderr``. In a camera's process both are a pipe that
the process reads after each frame: one call of the system, and no second thread.

Source:
    ADR 0022; setvbuf(3), pipe(7); ``ffmpeg_log_callback`` in OpenCV's
    ``cap_ffmpeg_impl.hpp``, which prints the level before each message.
"""

import contextlib
import ctypes
import fcntl
import os
import re

STDOUT_FD, STDERR_FD = 1, 2
PIPE_BYTES = 1 << 20  # the most that a user who is not root may ask for
FULLY_BUFFERED = 0  # _IOFBF of stdio.h: one call of the system for each frame
BUFFER_BYTES = 1 << 16
READ_BYTES = 1 << 20
LEVEL = re.compile(r"^\[OPENCV:FFMPEG:(\d+)\] ")
# AV_LOG_DEBUG: below it the size of pictures is not logged; 0.12 ms a frame.
LOG_LEVEL = "48"
SHOWN_LEVEL = 24  # AV_LOG_WARNING: less important messages are not passed on


class NativeLog:
    """Collects what C libraries print in this process, for good.

    Args:
        passes_on: Warnings and errors are also written to the former ``stderr``.
    """

    def __init__(self, *, passes_on: bool) -> None:
        self._stderr_fd = os.dup(STDERR_FD) if passes_on else None
        self._read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # a small pipe is better than none
            fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._library = ctypes.CDLL(None)
        self._stdout = ctypes.c_void_p.in_dll(self._library, "stdout")
        self._library.fflush(self._stdout)
        os.dup2(write_fd, STDOUT_FD)
        os.dup2(write_fd, STDERR_FD)
        os.close(write_fd)
        self._library.setvbuf.argtypes = [
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
        ]
        # Its own buffer: a Python without buffers (-u) leaves one of a single byte.
        self._buffer = ctypes.create_string_buffer(BUFFER_BYTES)
        self._library.setvbuf(self._stdout, self._buffer, FULLY_BUFFERED, BUFFER_BYTES)
        self._rest = ""
        os.environ["OPENCV_FFMPEG_LOGLEVEL"] = LOG_LEVEL

    def read(self) -> str:
        """Return the complete lines that were printed since the last call.

        A pipe that is full loses lines: the libraries never wait for it.
        """
        self._library.fflush(self._stdout)
        try:
            printed = os.read(self._read_fd, READ_BYTES)
        except BlockingIOError:
            return ""
        lines, newline, rest = printed.decode("utf-8", "replace").rpartition("\n")
        text, self._rest = self._rest + lines + newline, rest
        if not newline:
            text, self._rest = "", text + rest
        if self._stderr_fd is not None and text:
            os.write(self._stderr_fd, _important(text).encode())
        return text


class NoNativeLog(NativeLog):
    """Collects nothing: the libraries print where they always do."""

    def __init__(self) -> None:
        """Leave both streams as they are."""

    def read(self) -> str:
        """Return nothing."""
        return ""


def _important(text: str) -> str:
    """Return the lines that are neither information nor for debugging."""
    return "".join(
        line
        for line in text.splitlines(keepends=True)
        if not (found := LEVEL.match(line)) or int(found[1]) <= SHOWN_LEVEL
    )
