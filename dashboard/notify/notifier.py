"""The threads that send notifications: one reads what happens, one sends to each.

A receiver that does not answer keeps neither the others nor the collector waiting.
"""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from dashboard.config import DashboardSettings
from dashboard.history.database import Database
from dashboard.history.notifications import Notification, NotificationKind
from dashboard.notify.bodies import NotificationMessage, make_message
from dashboard.notify.deadline import SendError
from dashboard.notify.http_post import post_message
from dashboard.notify.mail import mail_message
from dashboard.notify.outbox import ClaimedMessage, NotificationOutbox
from dashboard.notify.sources import NotificationSources
from dashboard.notify_settings import NotifyKind, NotifySettings
from dashboard.plant_settings import PlantSettings
from dashboard.status import NotifyStatus, now_ms
from models.errors import ConfigError
from models.shown_text import on_one_line

TURN_S = 2.0
STOP_LIMIT_S = 5.0
DROPPED_SHOWN_MS = 3_600_000  # dropped notifications are an error of the receiver
READER = ""  # in the place of a receiver: the thread that reads what happens

logger = logging.getLogger(__name__)


class NotifySender:
    """Sends the messages of one receiver. Used by one thread, except ``status``."""

    def __init__(
        self,
        outbox: NotificationOutbox,
        receiver: NotifySettings,
        title: str,
        public_url: str,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._outbox, self.receiver = outbox, receiver
        self._title, self._public_url = title, public_url
        self._clock_ms = clock_ms
        self.status = NotifyStatus(receiver.name)
        # Addresses that have a message which others have not accepted yet, by its key.
        self._has_it: dict[str, frozenset[str]] = {}

    def turn(self) -> bool:
        """Send the next message, if there is one; return whether it was sent.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The history cannot be used now.
        """
        claimed = self._outbox.claim()
        is_sent = claimed is not None and self._send(claimed)
        self.status = replace(self.status, waiting=self._outbox.waiting())
        return is_sent

    def _send(self, claimed: ClaimedMessage) -> bool:
        message = make_message(
            claimed.key,
            claimed.notifications,
            claimed.settings,
            self._title,
            self._public_url,
        )
        try:
            send(self.receiver, message, self._has_it.get(claimed.key, ()))
        except (SendError, ConfigError) as exc:
            failure = exc if isinstance(exc, SendError) else SendError(str(exc))
            self._note_error(on_one_line(str(exc)))
            return self._note_failure(claimed, failure)
        self._note_sent(claimed)
        if self.status.error:
            logger.info("notification_sent_again receiver=%s", self.receiver.name)
        self.status = replace(self.status, error="", since_ms=0)
        return True

    def _note_failure(self, claimed: ClaimedMessage, failure: SendError) -> bool:
        """Note why a message was not accepted by all; return whether some have it."""
        has_it = self._has_it.get(claimed.key, frozenset()) | failure.accepted
        if has_it:
            self._has_it[claimed.key] = has_it
        if has_it and failure.is_refused:  # the error stays: it names the others
            self._note_sent(claimed)
            return True
        if not self._outbox.note_failed(
            claimed,
            self.status.error,
            failure.asked_s,
            is_refused=failure.is_refused,
        ):
            self._has_it.pop(claimed.key, None)
            given_up = self.status.given_up + len(claimed.ns)
            self.status = replace(self.status, given_up=given_up)
        return False

    def _note_sent(self, claimed: ClaimedMessage) -> None:
        self._outbox.note_sent(claimed)
        self._has_it.pop(claimed.key, None)
        sent = self.status.sent + len(claimed.ns)
        self.status = replace(self.status, sent=sent)

    def _note_error(self, error: str) -> None:
        if not self.status.error:
            name = self.receiver.name
            logger.warning("notification_not_sent receiver=%s reason=%s", name, error)
        since_ms = self.status.since_ms or self._clock_ms()
        self.status = replace(self.status, error=error, since_ms=since_ms)


class Notifier:
    """Reads what happens, and sends it to the receivers, in threads of its own.

    Args:
        on_change: Called after the status of a receiver has changed.
    """

    def __init__(
        self,
        database: Database,
        settings: DashboardSettings,
        on_change: Callable[[], None] = lambda: None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._on_change, self._clock_ms = on_change, clock_ms
        self._failures: dict[str, tuple[str, int]] = {}  # by receiver; and since when
        self._sources = NotificationSources(database, settings.notify, clock_ms)
        self._senders = [
            NotifySender(
                NotificationOutbox(database, each, clock_ms),
                each,
                settings.page.title,
                settings.server.public_url,
                clock_ms,
            )
            for each in settings.notify
        ]
        self._stop = threading.Event()
        loops = [self._read, *(self._loop_of(each) for each in self._senders)]
        self._threads = [
            threading.Thread(target=loop, name=f"dashboard-notify-{n}", daemon=True)
            for n, loop in enumerate(loops)
        ]

    def start(self) -> None:
        """Start the threads, before the collector: all that it stores is reported.

        What no receiver wants now is never sent.
        """
        try:
            self._sources.prepare()
        except SQLAlchemyError as exc:
            logger.warning("notifications_not_reset reason=%s", exc)
        for thread in self._threads if self._senders else ():
            thread.start()

    def stop(self) -> None:
        """End the threads; what waits is sent after the next start."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_LIMIT_S)

    def status(self) -> tuple[NotifyStatus, ...]:
        """Return the state of every receiver."""
        return tuple(self._status_of(each) for each in self._senders)

    def _status_of(self, sender: NotifySender) -> NotifyStatus:
        name = sender.receiver.name
        status = replace(sender.status, dropped=self._sources.dropped[name])
        failure = self._failures.get(name) or self._failures.get(READER)
        dropped_ms = self._sources.dropped_ms.get(name, 0)
        if failure is None and dropped_ms > self._clock_ms() - DROPPED_SHOWN_MS:
            failure = ("notifications dropped: too many wait", dropped_ms)
        if failure is None or status.error:
            return status
        error, since_ms = failure
        return replace(status, error=error, since_ms=since_ms)

    def _read(self) -> None:
        self._repeat(READER, "notifications_not_read", self._sources.read)

    def _loop_of(self, sender: NotifySender) -> Callable[[], None]:
        def turn() -> bool:
            before = sender.status
            is_sent = sender.turn()
            if sender.status != before:
                self._on_change()
            return is_sent

        name = sender.receiver.name
        return lambda: self._repeat(name, "notifications_not_sent", turn)

    def _repeat(self, name: str, failure: str, turn: Callable[[], bool]) -> None:
        """Call a function every ``TURN_S``, immediately where it has more to do.

        No error ends it: a thread that has ended sends nothing, and shows no error.
        """
        has_more = False
        while not self._stop.wait(0 if has_more else TURN_S):
            try:
                has_more = turn()
                if self._failures.pop(name, None):
                    self._on_change()
            except Exception as exc:  # a thread that has ended is silent
                has_more = False
                if name in self._failures:
                    continue  # it is logged once, not every two seconds
                is_known = isinstance(exc, SQLAlchemyError)
                logger.warning("%s reason=%s", failure, exc, exc_info=not is_known)
                reason = f"{failure.replace('_', ' ')}: {type(exc).__name__}"
                self._failures[name] = (reason, self._clock_ms())
                self._on_change()


def send(
    receiver: NotifySettings, message: NotificationMessage, has_it: Collection[str] = ()
) -> None:
    """Send a message.

    Args:
        has_it: Addresses that have it already.

    Raises:
        SendError: It was not accepted.
        ConfigError: A file of the settings cannot be used.
    """
    try:
        if receiver.kind is NotifyKind.EMAIL:
            mail_message(receiver, message, has_it=has_it)
        else:
            post_message(receiver, message)
    except (SendError, ConfigError):
        raise
    except Exception as exc:  # one message must not end the thread of all others
        logger.exception("notification_not_sent receiver=%s", receiver.name)
        raise SendError(f"unexpected {type(exc).__name__}") from exc


def send_tests(settings: DashboardSettings, names: Sequence[str]) -> dict[str, str]:
    """Send a test to receivers, and return why it was not accepted, by their names.

    Args:
        names: The receivers; none: all.
    """
    at_ms, found = now_ms(), {}
    for receiver in settings.notify:
        if names and receiver.name not in names:
            continue
        values = {"name": receiver.name}
        where = ("", "", "", "")
        test = Notification(NotificationKind.TEST, where, at_ms, values)
        message = make_message(
            f"test-{at_ms}",
            [test],
            PlantSettings(),
            settings.page.title,
            settings.server.public_url,
        )
        try:
            send(receiver, message)
            found[receiver.name] = ""
        except (SendError, ConfigError) as exc:
            found[receiver.name] = on_one_line(str(exc))
    return found
