"""Retires cameras that the configuration does not have any more.

A broker keeps the last status of a camera for ever, Home Assistant its components, and
pages show both: a camera that was renamed or removed would stay there. The names that
were published are kept in a file beside the outbox, so that a restart with another
configuration is no exception. A camera is retired when its last event is delivered,
which would bring it back.

Source:
    MQTT 5.0, 3.3.1.3: a retained message with an empty payload removes the one that
    the broker keeps.
"""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from edge.delivery.publisher import Publisher
from models.files import read_regular, write_atomically
from models.topics import Name, StationTopics

FILE = "published-cameras.json"
FILE_MAX_BYTES = 256 * 1024
GONE_MAX = 64  # a dashboard keeps no more cameras of a station

logger = logging.getLogger(__name__)


class PublishedCameras:
    """The cameras that brokers and pages know.

    A reload may call ``start`` while another thread calls ``check``.

    Args:
        cameras: Returns the names of the cameras in force.
        folder: For the file that keeps the names.
        publisher: Publishes the empty message at each connect.
        depth: Returns how many events wait for their delivery.
    """

    def __init__(
        self,
        topics: StationTopics,
        cameras: Callable[[], Sequence[str]],
        folder: Path,
        publisher: Publisher,
        depth: Callable[[], int],
    ) -> None:
        self._topics, self._cameras, self._publisher = topics, cameras, publisher
        self._depth, self._file = depth, folder / FILE
        self._lock = threading.Lock()
        self._known: tuple[str, ...] | None = None
        self._retired: set[str] = set()

    @property
    def gone(self) -> tuple[str, ...]:
        """Cameras that were published and are not in the configuration any more."""
        present = set(self._cameras())
        return tuple(each for each in self._known or () if each not in present)

    def start(self) -> None:
        """Keep the names; called again when the cameras change."""
        with self._lock:
            known = self._read() if self._known is None else self._known
            present = tuple(self._cameras())
            gone = [each for each in known if each not in present]
            self._known = (*gone[-GONE_MAX:], *present)
            self._retired -= set(present)
            self._write(self._known)

    def check(self) -> None:
        """Retire what is gone, if every event is delivered; called once a second."""
        with self._lock:
            waiting = [each for each in self.gone if each not in self._retired]
            if not waiting or self._depth() or not self._publisher.connected:
                return
            for camera in waiting:
                topic = self._topics.camera(camera, "status")
                self._publisher.publish_retained(topic, b"")
                logger.info("camera_retired camera=%s", camera)
            self._retired.update(waiting)

    def stop(self) -> None:
        """Forget the names of retired cameras, unless the broker is away."""
        with self._lock:
            if self._known and self._retired and self._publisher.connected:
                self._write(tuple(set(self._known) - self._retired))

    def _read(self) -> tuple[str, ...]:
        """Return the names that were published before; empty if none are known."""
        try:
            content = read_regular(self._file, FILE_MAX_BYTES)
            return TypeAdapter(tuple[Name, ...]).validate_json(content)
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as exc:
            logger.warning("names_unreadable path=%s reason=%.300s", self._file, exc)
            return ()

    def _write(self, names: Sequence[str]) -> None:
        try:
            write_atomically(self._file, json.dumps(sorted(names)).encode())
        except OSError as exc:
            logger.warning("names_not_written path=%s reason=%s", self._file, exc)
