"""Forgets stations and cameras that have sent nothing for days.

A camera that was renamed, or a line PC that was taken away, would stay on the pages, in
the broker and in Home Assistant. Nothing is forgotten while no station is heard, or
soon after the start: then it is the broker or this dashboard that was away.
"""

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from dashboard.access import audit
from dashboard.config import LinesSettings
from dashboard.history.database import Database, reason_of
from dashboard.history.forget import (
    AnySender,
    cameras_of,
    forget_sender,
    newest_heard_ms,
    retained_topics,
    silent_senders,
)
from dashboard.outgoing import Outgoing
from dashboard.status import now_ms
from models.home_assistant import camera_removal, discovery_topic

MS_PER_DAY = 24 * 3600 * 1000
HEARD_MS = 60_000  # a running station sends every ten seconds
WAIT_S = 3600.0  # from the start, and between two checks
AT_ONCE = 20  # messages of others must have room at the broker

logger = logging.getLogger(__name__)


class SilentSenders:
    """Checks once an hour. Used by one thread.

    Args:
        outgoing: Deletes what brokers keep.
        now_s: Monotonic clock.
        clock_ms: Wall clock, UTC.
    """

    def __init__(
        self,
        database: Database,
        outgoing: Outgoing,
        settings: LinesSettings,
        now_s: Callable[[], float] = time.monotonic,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._database, self._outgoing, self._settings = database, outgoing, settings
        self._now_s, self._clock_ms = now_s, clock_ms
        self._due_s = now_s() + WAIT_S

    def check(self) -> int:
        """Forget what has been silent for too long, and return the number of senders.

        Nothing is raised where the history cannot be used now.
        """
        days = self._settings.forget_after_days
        if not days or self._now_s() < self._due_s:
            return 0
        self._due_s = self._now_s() + WAIT_S
        try:
            return self._forget(self._clock_ms() - days * MS_PER_DAY)
        except SQLAlchemyError as exc:
            logger.warning("silent_senders_kept reason=%s", reason_of(exc))
            return 0

    def _forget(self, before_ms: int) -> int:
        with self._database.read() as connection:
            is_quiet = newest_heard_ms(connection) < self._clock_ms() - HEARD_MS
            senders = [] if is_quiet else silent_senders(connection, before_ms)
        for sender in senders[:AT_ONCE]:
            self._forget_one(sender)
        return len(senders[:AT_ONCE])

    def _forget_one(self, sender: AnySender) -> None:
        topics, camera = sender
        name = "/".join(filter(None, (*topics.root.split("/")[1:], camera)))
        details = {"silent_days": self._settings.forget_after_days}
        with self._database.write() as connection:
            known = cameras_of(connection, topics)
            forget_sender(connection, topics, camera)
            audit.append(connection, "", "sender.forget", name, details)
        for topic in retained_topics(topics, known, camera):
            self._outgoing.publish(topic, b"", retain=True)
        prefix = self._settings.home_assistant_prefix
        if prefix and camera:
            removal = camera_removal(topics, camera)
            self._outgoing.publish(discovery_topic(prefix, topics), removal)
        elif prefix:
            self._outgoing.publish(discovery_topic(prefix, topics), b"", retain=True)
        logger.info("sender_forgotten name=%s", name)
