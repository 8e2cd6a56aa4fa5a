"""Chooses what one receiver is sent next, and notes how it went."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from dashboard.history import notifications as queue
from dashboard.history.alarms import Where, alarm_by_id
from dashboard.history.database import Database
from dashboard.history.maintenance import is_quiet, quiet_cameras
from dashboard.history.notification_sources import state_now
from dashboard.history.notifications import (
    Notification,
    NotificationKind,
    NotifyOutcome,
    WaitingNotification,
)
from dashboard.history.settings import read_settings
from dashboard.notify.schedule import is_quiet_time, wait_s
from dashboard.notify.sources import BACK, OLDEST_MS, subjects_of
from dashboard.notify_settings import NotifySettings
from dashboard.plant_settings import PlantSettings
from dashboard.plant_time import PlantTime

TOGETHER_MAX = 50  # notifications in one message
REFUSED_ATTEMPTS = 3  # of a message that is refused; the next ones wait for its end
LEASE_MS = 120_000  # longer than a message may take to be sent
HOUR_MS = 3_600_000
MAINTENANCE_CHECK_MS = 60_000  # a window may be made shorter or longer
KEPT_MS = 7 * 24 * HOUR_MS
STARTS_KEPT_MS = 400 * 24 * HOUR_MS  # of what may still be open


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message to send now.

    Attributes:
        key: The same for each attempt.
        ns: Rows of the queue.
        attempt: 1 = the first one.
    """

    key: str
    ns: tuple[int, ...]
    notifications: tuple[Notification, ...]
    settings: PlantSettings
    attempt: int
    created_ms: int


class NotificationOutbox:
    """The queue of one receiver."""

    def __init__(
        self,
        database: Database,
        receiver: NotifySettings,
        clock_ms: Callable[[], int],
    ) -> None:
        self._database, self._receiver = database, receiver
        self._clock_ms = clock_ms

    def claim(self) -> ClaimedMessage | None:
        """Return the next message; None = nothing is to be sent now.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The history cannot be used now.
        """
        now_ms, name = self._clock_ms(), self._receiver.name
        with self._database.read() as connection:
            tried = queue.tried_message(connection, name)
            if not tried and not queue.due_notifications(connection, name, now_ms, 1):
                return None
        with self._database.write() as connection:
            settings = read_settings(connection)
            local = PlantTime(settings.zone, settings.shifts).local(now_ms)
            if is_quiet_time(local, self._receiver.quiet_hours):
                return None
            tried = queue.tried_message(connection, name)
            if not tried:
                tried = self._choose(connection, now_ms)
            elif tried[0].next_ms > now_ms:
                return None
            if not tried:
                return None
            key = tried[0].message_key or secrets.token_hex(16)
            ns = tuple(each.n for each in tried)
            queue.claim_message(connection, ns, key, now_ms + LEASE_MS)
        return ClaimedMessage(
            key,
            ns,
            tuple(each.notification for each in tried),
            settings,
            tried[0].attempts + 1,
            min(each.created_ms for each in tried),
        )

    def note_sent(self, message: ClaimedMessage) -> None:
        """Note that a message was sent."""
        now_ms = self._clock_ms()
        with self._database.write() as connection:
            queue.end_notifications(connection, message.ns, NotifyOutcome.SENT, now_ms)
            queue.prune_notifications(
                connection, now_ms - KEPT_MS, now_ms - STARTS_KEPT_MS
            )

    def note_failed(
        self,
        message: ClaimedMessage,
        error: str,
        asked_s: float = 0,
        *,
        is_refused: bool = False,
    ) -> bool:
        """Note that a message could not be sent; return whether it is tried again.

        Args:
            asked_s: How long the receiver asked to wait.
            is_refused: The receiver refuses this message, not every one.
        """
        now_ms = self._clock_ms()
        ends = message.created_ms < now_ms - OLDEST_MS or (
            is_refused and message.attempt >= REFUSED_ATTEMPTS
        )
        next_ms = now_ms + round(wait_s(message.attempt, asked_s) * 1000)
        with self._database.write() as connection:
            queue.note_failure(connection, message.ns, error, next_ms)
            if ends:
                given_up = NotifyOutcome.GIVEN_UP
                queue.end_notifications(connection, message.ns, given_up, now_ms)
        return not ends

    def waiting(self) -> int:
        """Return the number of notifications that are not sent yet."""
        with self._database.read() as connection:
            return queue.waiting_count(connection, self._receiver.name)

    def _choose(self, connection: Connection, now_ms: int) -> list[WaitingNotification]:
        """Return what goes together in a new message."""
        name = self._receiver.name
        sent = queue.messages_sent(connection, name, now_ms - HOUR_MS)
        if sent >= self._receiver.max_per_hour:
            return []
        due = queue.due_notifications(connection, name, now_ms, TOGETHER_MAX)
        chosen: list[WaitingNotification] = []
        over: list[int] = []
        later: list[int] = []
        resting = quiet_cameras(connection, now_ms)
        for each in due:
            if _waits_for_maintenance(each.notification, resting):
                later.append(each.n)
            elif self._is_wanted(connection, each, chosen):
                chosen.append(each)
            else:
                over.append(each.n)
        if later:
            queue.note_failure(connection, later, "", now_ms + MAINTENANCE_CHECK_MS)
        if over:
            queue.end_notifications(connection, over, NotifyOutcome.OVER, now_ms)
        return chosen

    def _is_wanted(
        self,
        connection: Connection,
        waiting: WaitingNotification,
        chosen: list[WaitingNotification],
    ) -> bool:
        """Return whether a notification is still of use."""
        notification = waiting.notification
        match notification.kind:
            case NotificationKind.ALARM_RAISED:
                return not notification.is_held or _is_alarm_open(
                    connection, notification
                )
            case NotificationKind.ALARM_CLEARED:
                subject = f"alarm:{notification.values['alarm']}:raised"
                is_here = any(each.subject == subject for each in chosen)
                outcome = queue.outcome_of(connection, self._receiver.name, subject)
                return is_here or outcome == NotifyOutcome.SENT
            case NotificationKind.LINE_DOWN:
                if not notification.is_held:
                    return True
                start = subjects_of(notification.where)
                is_here = any(each.subject.startswith(start) for each in chosen)
                is_back = state_now(connection, notification.where) in BACK
                return not is_here and not is_back
            case NotificationKind.LINE_BACK:
                start = subjects_of(notification.where)
                return self._was_down(connection, start, waiting, chosen)
            case _:
                return True

    def _was_down(
        self,
        connection: Connection,
        start: str,
        waiting: WaitingNotification,
        chosen: list[WaitingNotification],
    ) -> bool:
        """Return whether the last report of a sender is that it is down."""
        reported = [each for each in chosen if each.subject.startswith(start)]
        last = (
            reported[-1].notification
            if reported
            else queue.last_sent(connection, self._receiver.name, start, waiting.n)
        )
        return last is not None and last.kind is NotificationKind.LINE_DOWN


def _waits_for_maintenance(
    notification: Notification, resting: Collection[Where]
) -> bool:
    """Return whether what is down is reported after a maintenance, if it still is."""
    is_held = notification.is_held and notification.kind is NotificationKind.LINE_DOWN
    return is_held and is_quiet(resting, notification.where)


def _is_alarm_open(connection: Connection, notification: Notification) -> bool:
    alarm = alarm_by_id(connection, notification.values["alarm"])
    return alarm is not None and alarm.is_open and not alarm.acknowledged_ms
