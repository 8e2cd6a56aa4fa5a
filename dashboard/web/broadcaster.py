"""Sends changes to the open pages: each alert immediately, the state once a second.

Only committed rows are shown: alerts are read from the history, never taken from the
message, so that a page never shows an alert that a crash could still remove.
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from dashboard.config import PageSettings
from dashboard.history.alarms import AlarmState, open_alarms
from dashboard.history.database import Database, reason_of
from dashboard.history.maintenance import quiet_cameras
from dashboard.history.model_orders import installing
from dashboard.history.queries import PAGE_MAX_ROWS, History
from dashboard.history.reviews import reviewed_since
from dashboard.history.settings import read_settings
from dashboard.history.store import Committed
from dashboard.plant_settings import PlantSettings
from dashboard.status import CollectorStatus, now_ms
from dashboard.web.board import shown_alarms, shown_stations
from dashboard.web.event_stream import ALERT, RESET, REVIEW, STATE, Hub, LiveEvent

TICK_S = 1.0
IDLE_SHARE = 4  # of the time that a state takes: with 1,000 cameras it takes long
FOLLOW_S = 0.2  # between two queries for what other dashboards have stored
QUIET_TICKS = 5  # the state is sent so often even if nothing changed

logger = logging.getLogger(__name__)


class EventBroadcaster:
    """Publishes commits as live events."""

    def __init__(
        self,
        history: History,
        hub: Hub,
        page: PageSettings,
        collector_status: Callable[[], CollectorStatus],
        database: Database,
    ) -> None:
        self._history, self._hub, self._database = history, hub, database
        self._page, self._collector_status = page, collector_status
        self._has_changed = True
        self._announcing = threading.Lock()
        self._announced_n = history.newest()
        self._announced_k = self._reviewed(-1)[0]
        self._started_ms = now_ms()

    def brief_state(self) -> dict[str, Any]:
        """Return the collector's state, as in ``/api/status`` and live events.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The history cannot be read now.
        """
        with self._database.read() as connection:
            settings, alarms = read_settings(connection), open_alarms(connection)
        return self._brief_state(settings, alarms)

    def state(self) -> dict[str, Any]:
        """Return the whole state, as in ``/api/cameras`` and live events.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The history cannot be read now.
        """
        at_ms = now_ms()
        with self._database.read() as connection:
            settings, alarms = read_settings(connection), open_alarms(connection)
            quiet = quiet_cameras(connection, at_ms)
            busy = installing(connection, at_ms)
        stations = self._history.stations(at_ms)
        return {
            **self._brief_state(settings, alarms),
            "stations": shown_stations(stations, settings, quiet, busy),
        }

    def _brief_state(
        self, settings: PlantSettings, alarms: list[AlarmState]
    ) -> dict[str, Any]:
        return {
            "now_ms": now_ms(),
            "started_ms": self._started_ms,
            "title": self._page.title,
            "stale_after_s": self._page.stale_after_s,
            **self._collector_status().as_json(),
            "missing": self._history.missing(),
            "alarms": shown_alarms(alarms, settings),
        }

    def collector_status(self) -> CollectorStatus:
        """Return the collector's status now."""
        return self._collector_status()

    def note_change(self) -> None:
        """Send the state with the next tick; may be called from any thread."""
        self._has_changed = True

    def broadcast(self, committed: Committed) -> None:
        """Send the alerts of a commit; called in the writer's thread."""
        self._has_changed |= committed.has_changed
        if not self._hub.viewers:
            with self._announcing:
                self._announced_n = max(self._announced_n, *committed.alerts, 0)
            return
        try:
            events = self._new_alerts() if committed.alerts else []
            for n in set(committed.completed) - set(committed.alerts):
                # No cursor: the page may not have all alerts before this one.
                alerts = self._history.alerts(1, after=n - 1)
                events += [LiveEvent(ALERT, json.dumps(alert)) for alert in alerts]
        except SQLAlchemyError as exc:
            logger.warning("alerts_not_announced reason=%s", reason_of(exc))
            self._hub.publish_from_thread([LiveEvent(RESET, "{}")])
            return
        self._hub.publish_from_thread(events)

    def _new_alerts(self) -> list[LiveEvent]:
        """Return the alerts that were not announced yet, each once.

        Their cursors grow with the commits of all collectors: none is missed.
        """
        with self._announcing:
            newest = self._history.newest()
            if not self._hub.viewers:  # who joins now reads what is in the history
                self._announced_n = newest
                return []
            alerts = self._history.alerts(PAGE_MAX_ROWS, after=self._announced_n)
            last = alerts[-1]["n"] if alerts else self._announced_n
            self._announced_n = max(last, newest)
        if last < newest:
            return [LiveEvent(RESET, "{}")]  # more than one page of alerts
        return [LiveEvent(ALERT, json.dumps(alert), alert["n"]) for alert in alerts]

    def _new_reviews(self) -> list[LiveEvent]:
        """Return what was done with alerts since the last call, as one event.

        What this dashboard did was announced before: the page reads it again.
        """
        before = self._announced_k
        self._announced_k, ids = self._reviewed(before)
        if not ids:
            return []
        count = self._announced_k - before
        return [LiveEvent(REVIEW, json.dumps({"ids": ids, "n": count}))]

    def _reviewed(self, k: int) -> tuple[int, list[str]]:
        if not self._database.is_shared:
            return 0, []
        limit = 0 if k < 0 or not self._hub.viewers else PAGE_MAX_ROWS
        with self._database.read() as connection:
            return reviewed_since(connection, k, limit)

    async def run(self) -> None:
        """Send the states, and what other dashboards have stored."""
        tasks = [self._send_states()]
        if self._database.is_shared:
            tasks.append(self._follow())
        await asyncio.gather(*tasks)

    async def _follow(self) -> None:
        is_failing = False
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                self._hub.publish(await asyncio.to_thread(self._new_alerts))
                self._hub.publish(await asyncio.to_thread(self._new_reviews))
            except SQLAlchemyError as exc:
                if not is_failing:
                    logger.warning("alerts_not_followed reason=%s", reason_of(exc))
                is_failing = True
            else:
                is_failing = False

    async def _send_states(self) -> None:
        """Send the state when it has changed, and after every ``QUIET_TICKS``."""
        quiet_ticks, took_s = 0, 0.0
        while True:
            await asyncio.sleep(max(TICK_S, took_s * IDLE_SHARE))
            quiet_ticks += 1
            is_due = self._has_changed or quiet_ticks >= QUIET_TICKS
            if not is_due or not self._hub.viewers:
                continue
            quiet_ticks, self._has_changed = 0, False
            started_s = time.monotonic()
            try:
                events = await asyncio.to_thread(self._states)
            except SQLAlchemyError as exc:
                logger.warning("state_not_announced reason=%s", reason_of(exc))
                continue
            took_s = time.monotonic() - started_s
            self._hub.publish(events)

    def _states(self) -> list[LiveEvent]:
        """Return the states that the open pages show."""
        events = []
        if self._hub.has_viewers(is_brief=True):
            text = json.dumps(self.brief_state())
            events.append(LiveEvent(STATE, text, is_brief=True))
        if self._hub.has_viewers(is_brief=False):
            events.append(LiveEvent(STATE, json.dumps(self.state())))
        return events
