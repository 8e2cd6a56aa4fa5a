"""Reads what has happened, and queues it for the receivers that it concerns.

Each source has a cursor in the history, which moves in the transaction that queues: a
restart loses and repeats nothing.
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from dashboard.history import notifications as queue
from dashboard.history.alarms import (
    AlarmChange,
    AlarmChangeKind,
    Where,
    alarm_changes_after,
)
from dashboard.history.database import Database
from dashboard.history.maintenance import is_quiet, quiet_cameras
from dashboard.history.notification_sources import (
    AlertGroup,
    SenderChange,
    alerts_after,
    newest_of,
    states_after,
)
from dashboard.history.notifications import Notification, NotificationKind
from dashboard.history.settings import read_settings
from dashboard.notify.schedule import is_quiet_time
from dashboard.notify_settings import NotifySettings, NotifyTopic
from dashboard.plant_time import PlantTime
from models.messages import CameraState, DaemonState

READ_AT_ONCE = 1000
WAITING_MAX = 1000  # of one receiver
STATION_WAITING_MAX = 100  # of one station for one receiver
# What counts less leaves room for what counts more.
SHARE = {NotifyTopic.ALARMS: 1.0, NotifyTopic.LINES: 0.8, NotifyTopic.ALERTS: 0.5}
TOPIC_OF = {
    NotificationKind.ALARM_RAISED: NotifyTopic.ALARMS,
    NotificationKind.ALARM_CLEARED: NotifyTopic.ALARMS,
    NotificationKind.LINE_DOWN: NotifyTopic.LINES,
    NotificationKind.LINE_BACK: NotifyTopic.LINES,
    NotificationKind.ALERTS: NotifyTopic.ALERTS,
}
LABELS_MAX = 5
OLDEST_MS = 24 * 3600 * 1000  # what is older when it is read is not reported
MS_PER_MINUTE = 60_000
DOWN = {
    *(CameraState.DEGRADED.value, CameraState.LOST.value),
    *(DaemonState.DEGRADED.value, DaemonState.DISCONNECTED.value),
    DaemonState.LOST.value,
}
BACK = {CameraState.UP.value, DaemonState.READY.value}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What is the same for all sources in one turn."""

    connection: Connection
    now_ms: int
    resting: frozenset[Where]  # cameras in maintenance
    quiet_names: frozenset[str]  # receivers in their quiet hours


class NotificationSources:
    """Queues notifications. Used by one thread.

    Attributes:
        dropped: Notifications that were not kept because too many wait, by receiver.
        dropped_ms: When the last of them was dropped, by receiver, UTC.
    """

    def __init__(
        self,
        database: Database,
        receivers: Sequence[NotifySettings],
        clock_ms: Callable[[], int],
    ) -> None:
        self._database, self._receivers = database, receivers
        self._clock_ms = clock_ms
        self._wanted = [
            topic
            for topic in NotifyTopic
            if any(topic in each.about for each in receivers)
        ]
        self.dropped: Counter[str] = Counter()
        self.dropped_ms: dict[str, int] = {}

    def prepare(self) -> None:
        """Note what is there before the first start: it is not reported.

        A source that concerns no receiver now starts later with what is new then.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The history cannot be used now.
        """
        unwanted = [each.value for each in NotifyTopic if each not in self._wanted]
        with self._database.write() as connection:
            queue.forget_cursors(connection, unwanted)
            for topic in self._wanted:
                self._cursor(connection, topic)

    def read(self) -> bool:
        """Queue what has happened; return whether there is more to read.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The history cannot be used now.
        """
        with self._database.read() as connection:
            if not self._has_news(connection):
                return False
        with self._database.write() as connection:
            turn = self._turn(connection)
            steps = {
                NotifyTopic.ALARMS: self._read_alarms,
                NotifyTopic.ALERTS: self._read_alerts,
                NotifyTopic.LINES: self._read_lines,
            }
            has_more = [steps[topic](turn) for topic in self._wanted]
        return any(has_more)

    def _has_news(self, connection: Connection) -> bool:
        """Return whether a write transaction is needed."""
        return any(
            queue.cursor_of(connection, topic.value)
            != newest_of(connection, topic.value)
            for topic in self._wanted
        )

    def _turn(self, connection: Connection) -> _Turn:
        settings, now_ms = read_settings(connection), self._clock_ms()
        local = PlantTime(settings.zone, settings.shifts).local(now_ms)
        return _Turn(
            connection,
            now_ms,
            quiet_cameras(connection, now_ms),
            frozenset(
                each.name
                for each in self._receivers
                if is_quiet_time(local, each.quiet_hours)
            ),
        )

    def _cursor(self, connection: Connection, topic: NotifyTopic) -> int:
        """Return how far a source was read; at first, all that is there is old."""
        newest = newest_of(connection, topic.value)
        found = queue.cursor_of(connection, topic.value)
        if found is None or found > newest:  # the first time, or another history
            queue.set_cursor(connection, topic.value, newest)
            return newest
        return found

    def _read_alarms(self, turn: _Turn) -> bool:
        cursor = self._cursor(turn.connection, NotifyTopic.ALARMS)
        changes = alarm_changes_after(turn.connection, cursor, READ_AT_ONCE)
        for change in changes:
            self._queue_alarm(turn, change)
        if changes:
            queue.set_cursor(turn.connection, NotifyTopic.ALARMS.value, changes[-1].n)
        return len(changes) == READ_AT_ONCE

    def _queue_alarm(self, turn: _Turn, change: AlarmChange) -> None:
        alarm = change.alarm
        values: dict[str, Any] = {
            "alarm": alarm.id,
            "limit_kind": alarm.kind,
            "value": alarm.value,
            "limit": alarm.limit_value,
            "parts": alarm.parts,
        }
        is_resting = is_quiet(turn.resting, alarm.where)
        if is_resting and change.kind is AlarmChangeKind.RAISED:
            return
        for receiver in self._concerned(NotifyTopic.ALARMS, alarm.where):
            wait_ms = 0
            if change.kind is AlarmChangeKind.RAISED:
                kind = NotificationKind.ALARM_RAISED
                wait_ms = receiver.after_minutes * MS_PER_MINUTE
                values["after_minutes"] = receiver.after_minutes
            elif change.kind is AlarmChangeKind.CLEARED:
                kind = NotificationKind.ALARM_CLEARED
            else:
                continue
            notification = Notification(kind, alarm.where, change.at_ms, dict(values))
            subject = f"alarm:{alarm.id}:{change.kind.value}"
            self._queue(turn, receiver, subject, notification, wait_ms)

    def _read_alerts(self, turn: _Turn) -> bool:
        cursor = self._cursor(turn.connection, NotifyTopic.ALERTS)
        last, groups = alerts_after(turn.connection, cursor, READ_AT_ONCE)
        for where, group in groups.items():
            if is_quiet(turn.resting, where):
                continue
            for receiver in self._concerned(NotifyTopic.ALERTS, where):
                if receiver.name not in turn.quiet_names:
                    notification = _of_alerts(where, group)
                    subject = f"alerts:{group.first_n}"
                    self._queue(turn, receiver, subject, notification, 0)
        if last != cursor:
            queue.set_cursor(turn.connection, NotifyTopic.ALERTS.value, last)
        return sum(group.count for group in groups.values()) == READ_AT_ONCE

    def _read_lines(self, turn: _Turn) -> bool:
        cursor = self._cursor(turn.connection, NotifyTopic.LINES)
        changes = states_after(turn.connection, cursor, READ_AT_ONCE)
        for change in changes:
            if change.state in DOWN | BACK:
                self._queue_state(turn, change)
        if changes:
            queue.set_cursor(turn.connection, NotifyTopic.LINES.value, changes[-1].n)
        return len(changes) == READ_AT_ONCE

    def _queue_state(self, turn: _Turn, change: SenderChange) -> None:
        is_down = change.state in DOWN
        kind = NotificationKind.LINE_DOWN if is_down else NotificationKind.LINE_BACK
        # Held until the maintenance ends: see NotificationOutbox.
        is_held = is_down and is_quiet(turn.resting, change.where)
        for receiver in self._concerned(NotifyTopic.LINES, change.where):
            values = {"state": change.state, "reason": change.reason}
            notification = Notification(
                kind, change.where, change.at_ms, values, is_held
            )
            subject = f"{subjects_of(change.where)}{change.n}"
            wait_ms = receiver.after_minutes * MS_PER_MINUTE if is_down else 0
            self._queue(turn, receiver, subject, notification, wait_ms)

    def _concerned(self, topic: NotifyTopic, where: Where) -> list[NotifySettings]:
        return [
            each
            for each in self._receivers
            if topic in each.about and each.concerns(where)
        ]

    def _queue(
        self,
        turn: _Turn,
        receiver: NotifySettings,
        subject: str,
        notification: Notification,
        wait_ms: int,
    ) -> None:
        if notification.at_ms < turn.now_ms - OLDEST_MS:
            return
        if not _has_room(turn.connection, receiver.name, notification):
            if not self.dropped[receiver.name]:
                logger.warning("notifications_dropped receiver=%s", receiver.name)
            self.dropped[receiver.name] += 1
            self.dropped_ms[receiver.name] = turn.now_ms
            return
        is_held = (
            notification.is_held or bool(wait_ms) or receiver.name in turn.quiet_names
        )
        queue.add_notification(
            turn.connection,
            receiver.name,
            subject,
            replace(notification, is_held=is_held),
            turn.now_ms,
            max(turn.now_ms, notification.at_ms + wait_ms) if wait_ms else turn.now_ms,
        )


def _has_room(
    connection: Connection, receiver: str, notification: Notification
) -> bool:
    """Return whether a receiver's queue takes one more of this kind and station."""
    share = SHARE[TOPIC_OF[notification.kind]]
    if queue.waiting_count(connection, receiver) >= WAITING_MAX * share:
        return False
    waiting = queue.station_waiting_count(connection, receiver, notification.where)
    return waiting < STATION_WAITING_MAX * share


def subjects_of(where: Where) -> str:
    """Return how the subjects of the states of a sender start."""
    return f"line:{'/'.join(where)}:"


def _of_alerts(where: Where, group: AlertGroup) -> Notification:
    values = {
        "count": group.count,
        "labels": dict(group.labels.most_common(LABELS_MAX)),
        "event_id": group.last_id,
    }
    return Notification(NotificationKind.ALERTS, where, group.at_ms, values)
