"""Announces the station to Home Assistant, and takes an announcement back.

What was announced is noted in a file beside the outbox: a retained message outlives the
daemon that sent it, and only who knows that it is there can take it back. A broker on
which nothing was ever announced hears nothing about it.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.delivery.publisher import Publisher
from edge.home_assistant import build_discovery, discovery_topic
from edge.operations_config import HomeAssistantSettings
from models.files import write_atomically
from models.topics import StationTopics

NOTE_NAME = "home-assistant.topic"
logger = logging.getLogger(__name__)


class Announcer:
    """Keeps the announcement as the configuration wants it.

    Args:
        settings: Whether, and where.
        topics: Of this station.
        cameras: Gives the names of those in force.
        version: Of Graftline.
        folder: For the note.
        publisher: Way to the broker.
    """

    def __init__(
        self,
        settings: HomeAssistantSettings,
        topics: StationTopics,
        cameras: Callable[[], Sequence[str]],
        version: str,
        folder: Path,
        publisher: Publisher,
    ) -> None:
        self._settings, self._publisher = settings, publisher
        self._topic = discovery_topic(settings.prefix, topics)
        self._topics, self._cameras, self._version = topics, cameras, version
        self._note = folder / NOTE_NAME
        self._taken_back = False

    def start(self) -> None:
        """Announce, or take back; told again by the publisher at each connect.

        Called again when there are other cameras.
        """
        before = self._noted()
        wanted = self._topic if self._settings.enabled else ""
        if before and before != wanted:
            self._publisher.publish_retained(before, b"")
            self._taken_back = not wanted
            logger.info("home_assistant_taken_back topic=%s", before)
        if wanted:
            self._write_note(wanted)
            content = build_discovery(self._topics, self._cameras(), self._version)
            self._publisher.publish_retained(wanted, content)

    def stop(self) -> None:
        """Forget an announcement that the broker was told to drop."""
        if not (self._taken_back and self._publisher.connected):
            return
        try:
            self._note.unlink(missing_ok=True)
        except OSError as exc:  # it is taken back once more at the next start
            logger.warning("note_not_removed path=%s reason=%s", self._note, exc)

    def _noted(self) -> str:
        """Return the topic of an earlier announcement; empty if there is none."""
        try:
            return self._note.read_text("utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as exc:
            logger.warning("note_unreadable path=%s reason=%s", self._note, exc)
            return ""

    def _write_note(self, topic: str) -> None:
        """Remember an announcement before it is made."""
        try:
            write_atomically(self._note, f"{topic}\n".encode())
        except OSError as exc:
            logger.warning("note_not_written path=%s reason=%s", self._note, exc)
