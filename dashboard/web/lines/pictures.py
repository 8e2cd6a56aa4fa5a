"""The last pictures that were requested of cameras: in memory, and few of them."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from dashboard.history.maintenance import SenderKey

KEPT = 64
JPEG_START = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class LivePicture:
    """A picture of a camera.

    Attributes:
        at_ms: Wall clock of the collector when it arrived, UTC.
        jpeg: At most 128 kB.
    """

    at_ms: int
    jpeg: bytes


class LivePictures:
    """The newest picture of each camera; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pictures: OrderedDict[SenderKey, LivePicture] = OrderedDict()

    def put(self, where: SenderKey, picture: LivePicture) -> None:
        """Keep a picture; the one that was put first makes room."""
        with self._lock:
            self._pictures[where] = picture
            self._pictures.move_to_end(where)
            while len(self._pictures) > KEPT:
                self._pictures.popitem(last=False)

    def get(self, where: SenderKey) -> LivePicture | None:
        """Return the newest picture of a camera; None if there is none."""
        with self._lock:
            return self._pictures.get(where)
