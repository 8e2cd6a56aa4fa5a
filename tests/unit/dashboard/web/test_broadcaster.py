"""Committed alerts become live events; what was not committed does not."""

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest

from dashboard.config import PageSettings
from dashboard.history.reviews import Review, ReviewKind, add_review
from dashboard.history.store import Committed
from dashboard.postgresql_login import PostgresqlLogin
from dashboard.status import BrokerStatus, CollectorStatus
from dashboard.web import broadcaster
from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.event_stream import ALERT, RESET, REVIEW, STATE, Hub, LiveEvent
from tests.simulators.station import alert_event, detection
from tests.unit.dashboard.history_file import (
    JPEG_SHA256,
    PRESS,
    HistoryFile,
    alert_record,
    image_record,
)

LIMIT_S = 10.0
STATUS = CollectorStatus(
    broker=BrokerStatus("127.0.0.1:1883", is_up=True, since_ms=1),
    failure="",
    writer_age_s=0.1,
    duplicates=0,
    dropped=0,
    rejected={},
    connections=1,
)


class Screen:
    """One open page over a history."""

    def __init__(self, file: HistoryFile) -> None:
        self.file, self.hub = file, Hub(max_viewers=1)
        self.database = file.database
        self.broadcaster = EventBroadcaster(
            file.history,
            self.hub,
            PageSettings(title="Plant"),
            lambda: STATUS,
            self.database,
        )

    def events(self, act: Callable[[], None], count: int) -> list[LiveEvent]:
        """Return so many events that the page gets."""

        async def scene() -> list[LiveEvent]:
            self.hub.attach(asyncio.get_running_loop())
            viewer = self.hub.join()
            assert viewer
            act()
            found = []
            for _ in range(count):
                event = await asyncio.wait_for(viewer.next_event(), LIMIT_S)
                assert event
                found.append(event)
            return found

        return asyncio.run(scene())


@pytest.fixture
def screen(file: HistoryFile) -> Iterator[Screen]:
    screen = Screen(file)
    yield screen
    screen.database.close()


def test_new_alerts_have_their_cursors(screen: Screen) -> None:
    events = [alert_event(PRESS, seq) for seq in (1, 2)]
    committed = screen.file.record(*map(alert_record, events))
    found = screen.events(lambda: screen.broadcaster.broadcast(committed), 2)
    assert [(each.kind, each.n) for each in found] == [(ALERT, 1), (ALERT, 2)]
    assert [json.loads(each.text)["id"] for each in found] == [e.id for e in events]


def test_more_alerts_than_one_page_holds_reset_the_page(screen: Screen) -> None:
    boxes = (detection("x" * 400),) * 220
    events = [alert_event(PRESS, seq, detections=boxes) for seq in range(1, 41)]
    committed = screen.file.record(*map(alert_record, events))
    (found,) = screen.events(lambda: screen.broadcaster.broadcast(committed), 1)
    assert found.kind == RESET


def test_alert_whose_picture_came_later_has_no_cursor(screen: Screen) -> None:
    event = alert_event(PRESS, 1, thumbnail_sha256=JPEG_SHA256)
    screen.file.record(alert_record(event))
    committed = screen.file.record(image_record(event))
    (found,) = screen.events(lambda: screen.broadcaster.broadcast(committed), 1)
    assert (found.kind, found.n) == (ALERT, 0)
    assert json.loads(found.text)["has_image"]


def test_alert_that_is_not_in_the_history_is_not_shown(screen: Screen) -> None:
    event = alert_event(PRESS, 1)
    only = screen.file.record(alert_record(event))

    def act() -> None:
        screen.broadcaster.broadcast(Committed(alerts=[99]))
        screen.broadcaster.broadcast(only)

    (found,) = screen.events(act, 1)
    assert json.loads(found.text)["id"] == event.id


def test_what_another_dashboard_does_with_alerts_is_shown(
    emptied_postgresql: PostgresqlLogin, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = HistoryFile(emptied_postgresql)
    screen = Screen(file)
    monkeypatch.setattr(broadcaster, "FOLLOW_S", 0.001)
    events = [alert_event(PRESS, seq) for seq in (1, 2)]
    screen.file.record(*map(alert_record, events))
    acknowledge = Review(ReviewKind.ACKNOWLEDGE)
    tasks = []

    def act() -> None:
        tasks.append(asyncio.create_task(screen.broadcaster.run()))
        with screen.database.write() as connection:  # as the other one does
            add_review(connection, "ada", [e.id for e in events], acknowledge, at_ms=1)

    kinds, text = [], ""
    for found in screen.events(act, 4):
        kinds.append(found.kind)
        text = found.text if found.kind == REVIEW else text
    assert json.loads(text) == {"ids": [e.id for e in events], "n": 2}
    assert kinds.count(REVIEW) == 1
    file.close()


def test_history_that_cannot_be_read_resets_the_page(screen: Screen) -> None:
    screen.file.close()
    screen.file.path.unlink()
    committed = Committed(alerts=[1])
    (found,) = screen.events(lambda: screen.broadcaster.broadcast(committed), 1)
    assert found.kind == RESET


def test_state_is_sent_when_it_has_changed(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broadcaster, "TICK_S", 0.001)
    tasks = []

    def act() -> None:
        screen.broadcaster.note_change()
        tasks.append(asyncio.create_task(screen.broadcaster.run()))

    (found,) = screen.events(act, 1)
    assert found.kind == STATE
    assert json.loads(found.text)["title"] == "Plant"
    assert all(each.cancelled() for each in tasks)
