"""Pictures on request: the command ``snapshot`` is answered with the next frame.

The loop that inspects frames copies one frame; it is encoded in a thread of its own,
because a large one would delay the decisions. The rate is limited: a page that is open
on many screens must not slow the inspection down.
"""

import base64
import logging
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge.control.command_validation import Refused
from edge.delivery.evidence import encode_thumbnail
from edge.frame import Pixels
from edge.inspection.camera_channel import CameraChannel
from models.commands import CommandRefusal, SnapshotCommand
from models.messages import CameraState
from models.token_bucket import TokenBucket

PER_S, BURST = 0.5, 4
WAITING_MAX = 8
FRAME_LIMIT_S = 5.0
NS_PER_S = 1_000_000_000
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SnapshotAnswer:
    """The answer to a command; ``picture`` is empty where it is refused."""

    command: SnapshotCommand
    picture: str = ""  # JPEG in base64
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    command: SnapshotCommand
    deadline_ns: int


class SnapshotQueue:
    """The commands that wait for a frame. Used by the loop that inspects frames."""

    def __init__(self) -> None:
        self._bucket = TokenBucket(PER_S, BURST)
        self._waiting: deque[_Waiting] = deque()
        self._encoded: deque[SnapshotAnswer] = deque()  # filled by the threads
        self._thread: threading.Thread | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and ``poll`` need not be called."""
        return not (self._waiting or self._encoded or self._thread)

    def add(
        self, command: SnapshotCommand, channels: Sequence[CameraChannel], now_ns: int
    ) -> Refused | None:
        """Take a command; return why it is refused, if it is.

        Args:
            now_ns: Monotonic clock.
        """
        channel = _channel(channels, command.camera)
        reason, refusal = "", CommandRefusal.NOT_POSSIBLE
        if channel is None:
            reason = f"there is no camera {command.camera}"
        elif channel.camera.state in {CameraState.LOST, CameraState.ENDED}:
            why = " ".join(channel.camera.reason.split())
            reason = f"camera {command.camera} {channel.camera.state.value}: {why}"
        elif len(self._waiting) >= WAITING_MAX or not self._bucket.take(1, now_ns):
            refusal = CommandRefusal.QUEUE_FULL
            reason = f"more than {PER_S:g} pictures per second are asked for"
        if reason or channel is None:
            return Refused(refusal, reason, command.id)
        deadline_ns = now_ns + round(FRAME_LIMIT_S * NS_PER_S)
        if not self._waits_for(command.camera):
            channel.snapshot = None  # an old one: the command asks for the next frame
        self._waiting.append(_Waiting(command, deadline_ns))
        channel.wants_snapshot = True
        return None

    def poll(
        self, channels: Sequence[CameraChannel], now_ns: int
    ) -> Iterator[SnapshotAnswer]:
        """Yield the answers that are ready; start to encode the next frame."""
        while self._encoded:
            yield self._encoded.popleft()
        if self._thread is not None and not self._thread.is_alive():
            self._thread = None
        for waiting in list(self._waiting):
            channel = _channel(channels, waiting.command.camera)
            if channel is None or now_ns > waiting.deadline_ns:
                self._waiting.remove(waiting)
                if channel is not None and not self._waits_for(channel.camera.name):
                    channel.wants_snapshot, channel.snapshot = False, None
                reason = f"no frame came within {FRAME_LIMIT_S:g} s"
                yield _refused(waiting.command, reason)
            elif channel.snapshot is None:
                channel.wants_snapshot = True
            elif self._thread is None:
                self._waiting.remove(waiting)
                pixels, channel.snapshot = channel.snapshot, None
                self._start(waiting.command, pixels)

    def _waits_for(self, camera: str) -> bool:
        return any(each.command.camera == camera for each in self._waiting)

    def _start(self, command: SnapshotCommand, pixels: Pixels) -> None:
        self._thread = threading.Thread(
            target=self._encode, args=(command, pixels), name="snapshot", daemon=True
        )
        self._thread.start()

    def _encode(self, command: SnapshotCommand, pixels: Pixels) -> None:
        try:
            jpeg = encode_thumbnail(pixels, np.empty((0, 4), np.float32))
            picture = base64.b64encode(jpeg).decode()
            self._encoded.append(SnapshotAnswer(command, picture))
        # The top of the thread: every command is answered.
        except Exception as exc:
            logger.exception("snapshot_failed camera=%s", command.camera)
            self._encoded.append(_refused(command, str(exc)))


def _refused(command: SnapshotCommand, reason: str) -> SnapshotAnswer:
    refused = Refused(CommandRefusal.NOT_POSSIBLE, reason, command.id)
    return SnapshotAnswer(command, refused=refused)


def _channel(channels: Sequence[CameraChannel], camera: str) -> CameraChannel | None:
    return next((each for each in channels if each.camera.name == camera), None)
