"""Full pictures on request: the command ``evidence`` is answered with one piece.

The file is read in a thread of its own: the loop that inspects frames never waits for
the disk. The reader of the picture asks for one piece after the other; the rate is
limited, so that a picture takes little of what alerts need. A path leads to nothing but
the pictures of the evidence: no link is followed.
"""

import base64
import hashlib
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.control.command_validation import Refused
from models.commands import (
    EVIDENCE_MAX_BYTES,
    PIECE_MAX_BYTES,
    CommandRefusal,
    EvidenceCommand,
    EvidencePiece,
)
from models.counted import counted
from models.files import open_below
from models.token_bucket import TokenBucket

PER_S, BURST = 20.0, 40.0  # pieces: 1 MB/s
WAITING_MAX = 4
GONE = "the line PC has it no longer: older pictures are deleted to make room"
logger = logging.getLogger(__name__)


class _UnreadableError(Exception):
    """A picture cannot be sent; the text says why."""


@dataclass(frozen=True, slots=True)
class EvidenceAnswer:
    """The answer to a command; ``piece`` is None where it is refused."""

    command: EvidenceCommand
    piece: EvidencePiece | None = None
    refused: Refused | None = None


class EvidencePieces:
    """The commands that wait for a piece. Used by the loop that inspects frames.

    Args:
        folder: Where the full pictures are; None = none are sent.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._bucket = TokenBucket(PER_S, BURST)
        self._waiting: deque[EvidenceCommand] = deque()
        self._read: deque[EvidenceAnswer] = deque()  # filled by the thread
        self._thread: threading.Thread | None = None
        # Of the last picture, by what changes with its content: it has many pieces.
        self._digest: tuple[tuple[str, int, int], str] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and ``poll`` need not be called."""
        return not (self._waiting or self._read or self._thread)

    def add(self, command: EvidenceCommand, now_ns: int) -> Refused | None:
        """Take a command; return why it is refused, if it is.

        Args:
            now_ns: Monotonic clock.
        """
        if len(self._waiting) >= WAITING_MAX or not self._bucket.take(1, now_ns):
            reason = f"more than {PER_S:g} pieces per second are asked for"
            return Refused(CommandRefusal.QUEUE_FULL, reason, command.id)
        self._waiting.append(command)
        self._start()
        return None

    def poll(self) -> Iterator[EvidenceAnswer]:
        """Yield the answers that are ready; start to read the next piece."""
        while self._read:
            yield self._read.popleft()
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
        self._start()

    def _start(self) -> None:
        if self._thread is None and self._waiting:
            command = self._waiting.popleft()
            self._thread = threading.Thread(
                target=self._answer, args=(command,), name="evidence", daemon=True
            )
            self._thread.start()

    def _answer(self, command: EvidenceCommand) -> None:
        try:
            answer = EvidenceAnswer(command, self._piece(command))
        except _UnreadableError as exc:
            answer = _refused(command, str(exc))
        except FileNotFoundError:
            answer = _refused(command, GONE)
        except OSError as exc:
            answer = _refused(command, f"it cannot be read: {exc.strerror or exc}")
        # The top of the thread: every command is answered.
        except Exception as exc:
            logger.exception("evidence_failed path=%s", command.path)
            answer = _refused(command, str(exc))
        self._read.append(answer)

    def _piece(self, command: EvidenceCommand) -> EvidencePiece:
        if self._folder is None:
            msg = "this station sends no full pictures"
            raise _UnreadableError(msg)
        with open_below(self._folder, command.path) as file:
            state = os.fstat(file.fileno())
            if not 0 < state.st_size <= EVIDENCE_MAX_BYTES:
                size = counted(state.st_size, "byte")
                msg = f"it has {size}; at most {EVIDENCE_MAX_BYTES} go"
                raise _UnreadableError(msg)
            if command.offset >= state.st_size:
                msg = f"it ends at byte {state.st_size}"
                raise _UnreadableError(msg)
            key = (command.path, state.st_mtime_ns, state.st_size)
            if self._digest is None or self._digest[0] != key:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                self._digest = (key, digest)
            file.seek(command.offset)
            content = file.read(PIECE_MAX_BYTES)
        return EvidencePiece(
            offset=command.offset,
            size_bytes=state.st_size,
            sha256=self._digest[1],
            content=base64.b64encode(content).decode(),
        )


def _refused(command: EvidenceCommand, reason: str) -> EvidenceAnswer:
    refused = Refused(CommandRefusal.NOT_POSSIBLE, reason, command.id)
    return EvidenceAnswer(command, refused=refused)
