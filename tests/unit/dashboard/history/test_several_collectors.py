"""Several collectors write one history in PostgreSQL at once."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from dashboard.config import PageSettings
from dashboard.history.database import Database
from dashboard.history.queries import History
from dashboard.history.store import Store
from dashboard.messages import Record
from dashboard.postgresql_login import PostgresqlLogin
from dashboard.web.broadcaster import EventBroadcaster
from dashboard.web.event_stream import ALERT, Hub
from models.topics import StationTopics
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import alert_record
from tests.unit.dashboard.sim_site import UP

STATIONS = [StationTopics("plant", "line-1", f"press-{n}") for n in range(1, 5)]
ALERTS = 60  # of each station
LIMIT_S = 60


@pytest.fixture
def collectors(emptied_postgresql: PostgresqlLogin) -> Iterator[list[Database]]:
    databases = [Database(emptied_postgresql) for _ in range(3)]
    yield databases
    for each in databases:
        each.close()


def record(station: StationTopics, seq: int) -> Record:
    stream = f"{station.station}-0001"
    return alert_record(alert_event(station, seq, stream=stream))


def send(database: Database, stations: list[StationTopics]) -> None:
    store = Store(database)
    for first in range(1, ALERTS + 1, 3):
        for station in stations:
            store.record([record(station, seq) for seq in range(first, first + 3)])


def test_reader_behind_the_largest_cursor_misses_no_alert(
    collectors: list[Database],
) -> None:
    history = History(collectors[2])
    writers = [
        threading.Thread(target=send, args=(collectors[0], STATIONS[:2])),
        threading.Thread(target=send, args=(collectors[1], STATIONS[2:])),
    ]
    for each in writers:
        each.start()
    seen: list[str] = []
    last = 0
    while any(each.is_alive() for each in writers):
        page = history.alerts(500, after=last)
        seen += [each["id"] for each in page]
        last = page[-1]["n"] if page else last
    for each in writers:
        each.join(LIMIT_S)
    seen += [each["id"] for each in history.alerts(500, after=last)]
    assert len(seen) == len(set(seen)) == ALERTS * len(STATIONS)


def test_event_that_several_collectors_receive_is_one_row_and_each_acknowledges_it(
    collectors: list[Database],
) -> None:
    stores = [Store(each) for each in collectors]
    sent = [record(STATIONS[0], seq) for seq in range(1, ALERTS + 1)]
    results: list[tuple[int, int, int]] = []
    barrier = threading.Barrier(len(stores))

    def send_all(store: Store) -> None:
        new = again = acked = 0
        for first in range(0, ALERTS, 10):
            barrier.wait(LIMIT_S)
            committed = store.record(sent[first : first + 10])
            new += len(committed.alerts)
            again += committed.duplicates
            acked = max(ack.high_water for _, ack in committed.acks)
        results.append((new, again, acked))

    threads = [threading.Thread(target=send_all, args=(each,)) for each in stores]
    for each in threads:
        each.start()
    for each in threads:
        each.join(LIMIT_S)
    assert sum(new for new, _, _ in results) == ALERTS
    assert sum(again for _, again, _ in results) == 2 * ALERTS
    assert [acked for _, _, acked in results] == [ALERTS] * len(stores)
    assert len(History(collectors[0]).alerts(500)) == ALERTS


def test_page_of_one_collector_shows_what_the_others_commit(
    collectors: list[Database],
) -> None:
    own, other = collectors[0], Store(collectors[1])
    other.record([record(STATIONS[0], 1)])  # before the page was opened

    async def scene() -> list[int]:
        hub = Hub(max_viewers=1)
        hub.attach(asyncio.get_running_loop())
        broadcaster = EventBroadcaster(
            History(own), hub, PageSettings(), lambda: UP, own
        )
        following = asyncio.create_task(broadcaster.run())
        viewer = hub.join()
        assert viewer
        mine = await asyncio.to_thread(Store(own).record, [record(STATIONS[1], 1)])
        await asyncio.to_thread(broadcaster.broadcast, mine)
        await asyncio.to_thread(other.record, [record(STATIONS[0], 2)])
        found: list[int] = []
        while len(found) < 2:
            event = await asyncio.wait_for(viewer.next_event(), LIMIT_S)
            assert event is not None
            found += [event.n] * (event.kind == ALERT)
        following.cancel()
        return found

    first, second = asyncio.run(scene())
    assert first < second
