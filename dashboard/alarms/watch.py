"""Judges the cameras' parts by their limits, in a separate thread.

The history is the only state: the verdicts of the parts, the open alarms, limits and
maintenance are read from it. A restart changes nothing, and of several dashboards on
one history each change is made by one.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from itertools import product

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from dashboard.alarms.rules import AlarmDecision, AlarmKind, decide
from dashboard.history.alarms import (
    AlarmState,
    Where,
    cameras_with_parts,
    clear_alarm,
    known_cameras,
    last_verdicts,
    open_alarms,
    raise_alarm,
)
from dashboard.history.database import Database, reason_of
from dashboard.history.maintenance import is_quiet, quiet_cameras
from dashboard.history.settings import current_version
from dashboard.plant_settings import CameraLimit, PlantSettings
from dashboard.status import now_ms

TURN_S = 2.0
STOP_LIMIT_S = 5.0
# Parts that arrive in the same millisecond, or with a clock that was set back.
OVERLAP_MS = 10_000
FAILURE_MAX_CHARS = 300
MS_PER_MINUTE = 60_000

logger = logging.getLogger(__name__)


class AlarmWatch:
    """Raises and clears alarms.

    Args:
        on_change: Called in the thread after a change is committed, or ``failure`` has
            appeared or gone.
        clock_ms: Wall clock, UTC.

    Attributes:
        failure: Why the parts are not judged; empty when they are.
    """

    def __init__(
        self,
        database: Database,
        on_change: Callable[[], None] = lambda: None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._database, self._on_change, self._clock_ms = database, on_change, clock_ms
        self._judged_ms = 0  # parts that arrived before are judged
        self._settings_n = -1
        self.failure = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="dashboard-alarms", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    def evaluate(self) -> int:
        """Judge the parts that have arrived, and return the number of changes.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The history cannot be used now.
        """
        at_ms = self._clock_ms()
        with self._database.read() as connection:
            raised, cleared = self._judge(connection, at_ms)
        if raised or cleared:
            self._write(raised, cleared, at_ms)
            self._on_change()
        self._judged_ms = at_ms - OVERLAP_MS
        return len(raised) + len(cleared)

    def _run(self) -> None:
        while not self._stop.wait(TURN_S):
            try:
                self.evaluate()
                self._note_failure("")
            except SQLAlchemyError as exc:
                self._note_failure(reason_of(exc))
            except Exception as exc:  # a thread that has ended is silent
                if not self.failure:
                    logger.exception("alarm_watch_failed")
                self._note_failure(f"{type(exc).__name__}: {exc}")

    def _note_failure(self, reason: str) -> None:
        """Show why parts are not judged; it is logged once, not every two seconds."""
        reason = reason[:FAILURE_MAX_CHARS]
        if bool(reason) == bool(self.failure):
            self.failure = reason
            return
        self.failure = reason
        if reason:
            logger.warning("alarms_not_judged reason=%s", reason)
        self._on_change()

    def _judge(
        self, connection: Connection, at_ms: int
    ) -> tuple[list[AlarmState], list[AlarmState]]:
        """Return the alarms to raise and to clear."""
        version = current_version(connection)
        if version.n != self._settings_n:  # all cameras, by the new limits
            self._settings_n, self._judged_ms = version.n, 0
        active = {
            (each.where, AlarmKind(each.kind)): each for each in open_alarms(connection)
        }
        known = known_cameras(connection)
        cameras = {where for where, _ in active}
        longest_ms = version.settings.alarm_minutes_max * MS_PER_MINUTE
        since_ms = self._judged_ms or at_ms - longest_ms
        if version.settings.has_limits:
            # Names that are made up would cost as much as those of real cameras.
            cameras |= {
                where
                for where in known & cameras_with_parts(connection, since_ms)
                if version.settings.limit_of(*where).is_set
            }
        quiet = quiet_cameras(connection, at_ms)
        forgotten = cameras - known
        raised, cleared = [], []
        for where, kind in product(sorted(cameras), AlarmKind):
            alarm = active.get((where, kind))
            is_unwatched = where in forgotten or is_quiet(quiet, where)
            limit = _limit_of(version.settings, where, is_unwatched)
            oldest_ms = at_ms - limit.minutes * MS_PER_MINUTE
            parts = max(limit.parts, limit.streak or 0)
            newest = last_verdicts(connection, where, parts, oldest_ms)
            decision = decide(kind, limit, newest, was_active=alarm is not None)
            if alarm is not None and not decision.is_active:
                cleared.append(alarm)
            elif alarm is None and decision.is_active:
                raised.append(_alarm(where, kind, decision, at_ms))
        return raised, cleared

    def _write(
        self, raised: Iterable[AlarmState], cleared: Iterable[AlarmState], at_ms: int
    ) -> None:
        with self._database.write() as connection:
            for alarm in cleared:
                clear_alarm(connection, alarm.id, at_ms)
        for alarm in raised:
            try:
                with self._database.write() as connection:
                    raise_alarm(connection, alarm)
            except IntegrityError:
                continue  # another dashboard on this history was faster
            logger.warning(
                "alarm_raised camera=%s kind=%s value=%.1f limit=%.1f",
                "/".join(alarm.where),
                alarm.kind,
                alarm.value,
                alarm.limit_value,
            )


def _limit_of(
    settings: PlantSettings,
    where: Where,
    is_unwatched: bool,  # noqa: FBT001
) -> CameraLimit:
    return CameraLimit() if is_unwatched else settings.limit_of(*where)


def _alarm(
    where: Where, kind: AlarmKind, decision: AlarmDecision, at_ms: int
) -> AlarmState:
    reading = decision.reading
    assert reading is not None  # noqa: S101 - an active alarm has a limit
    return AlarmState(
        0, *where, kind, at_ms, reading.value, reading.limit, reading.parts
    )
