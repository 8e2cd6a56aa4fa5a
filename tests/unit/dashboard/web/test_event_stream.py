"""Pages that follow the live events."""

import asyncio
import socket
import urllib.request

import pytest

from dashboard.web import api, connections, event_stream
from dashboard.web.event_stream import (
    MAX_PER_ADDRESS,
    QUEUE_EVENTS,
    STATE,
    Hub,
    LiveEvent,
    as_sse,
)
from tests.simulators.page_server import PageServer
from tests.unit.dashboard.sim_site import SimSite
from tests.waiting import until

FILLER = LiveEvent("review", "x" * 300_000)
LIMIT_S = 30.0


def event(n: int) -> LiveEvent:
    return LiveEvent("alert", "{}", n)


def test_every_page_gets_every_event() -> None:
    async def scene() -> list[int]:
        hub = Hub(max_viewers=2)
        viewers = [hub.join(), hub.join()]
        hub.publish([event(1), event(2)])
        return [viewer.queued for viewer in viewers if viewer]

    assert asyncio.run(scene()) == [2, 2]


def test_slow_page_is_dropped_and_the_others_are_not() -> None:
    async def scene() -> None:
        hub = Hub(max_viewers=2)
        slow, quick = hub.join(), hub.join()
        assert slow
        assert quick
        for n in range(QUEUE_EVENTS + 1):
            hub.publish([event(n)])
            await quick.next_event()
        assert hub.viewers == 1
        assert hub.dropped == 1
        assert await slow.next_event() is None  # its connection ends

    asyncio.run(scene())


def test_page_beyond_the_limit_is_refused() -> None:
    async def scene() -> None:
        hub = Hub(max_viewers=1)
        first = hub.join()
        assert first
        assert hub.is_full
        assert hub.join() is None
        hub.leave(first)
        assert hub.join()

    asyncio.run(scene())


def test_pages_of_one_address_leave_room_for_others() -> None:
    async def scene() -> list[bool]:
        hub = Hub(max_viewers=100)
        for _ in range(MAX_PER_ADDRESS):
            assert hub.join("192.0.2.1")
        more = hub.join("192.0.2.1"), hub.join("192.0.2.2"), hub.join("127.0.0.1")
        return [viewer is not None for viewer in more]

    assert asyncio.run(scene()) == [False, True, True]


def test_closing_ends_every_stream_and_refuses_new_ones() -> None:
    async def scene() -> None:
        hub = Hub(max_viewers=5)
        viewer = hub.join()
        assert viewer
        hub.close()
        assert await viewer.next_event() is None
        assert hub.join() is None

    asyncio.run(scene())


def test_event_from_a_thread_after_the_loop_ended_is_no_error() -> None:
    hub = Hub(max_viewers=1)
    loop = asyncio.new_event_loop()
    hub.attach(loop)
    loop.close()
    hub.publish_from_thread([event(1)])
    assert hub.viewers == 0


def test_only_alerts_carry_a_cursor() -> None:
    assert as_sse(event(3))["id"] == "3"
    assert "id" not in as_sse(LiveEvent("state", "{}"))


@pytest.mark.fault(78)
def test_page_that_reads_slowly_gets_the_newest_state_only() -> None:
    async def scene() -> list[str]:
        hub = Hub(max_viewers=1)
        viewer = hub.join()
        assert viewer
        for n in range(QUEUE_EVENTS * 2):
            hub.publish([LiveEvent(STATE, f"state {n}")])
        hub.publish([event(1)])
        assert viewer.queued == 2
        found = [await viewer.next_event(), await viewer.next_event()]
        return [each.text for each in found if each]

    assert asyncio.run(scene()) == [f"state {QUEUE_EVENTS * 2 - 1}", "{}"]


def test_page_gets_the_states_that_it_shows() -> None:
    async def scene() -> list[str]:
        hub = Hub(max_viewers=2)
        brief, whole = hub.join(is_brief=True), hub.join()
        assert brief
        assert whole
        states = [LiveEvent(STATE, "brief", is_brief=True), LiveEvent(STATE, "whole")]
        hub.publish(states)
        assert (brief.queued, whole.queued) == (1, 1)
        found = [await viewer.next_event() for viewer in (brief, whole)]
        return [each.text for each in found if each]

    assert asyncio.run(scene()) == ["brief", "whole"]


def test_states_are_made_only_for_open_pages() -> None:
    hub = Hub(max_viewers=2)
    hub.join(is_brief=True)
    assert hub.has_viewers(is_brief=True)
    assert not hub.has_viewers(is_brief=False)


@pytest.mark.fault(69)
def test_page_that_reads_nothing_is_closed_and_gets_what_it_missed_later(
    site: SimSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "QUEUE_EVENTS", 8)
    monkeypatch.setattr(api, "SSE_SEND_LIMIT_S", 0.2)
    monkeypatch.setattr(connections, "UNREAD_LIMIT_S", 0.2)

    def fill() -> int:
        site.hub.publish_from_thread([FILLER])
        return site.hub.dropped

    seen, later = site.add(1), [2, 3, 4]
    cursor = site.file.history.newest()
    token = site.logins.first_run_token
    with PageServer(site.app, site.hub, site.broadcaster) as server:
        with socket.create_connection(("127.0.0.1", server.port), LIMIT_S) as dead:
            head = f"GET /api/events?after={cursor} HTTP/1.1\r\nHost: localhost\r\n"
            dead.sendall(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
            until(lambda: site.hub.viewers == 1, "it follows")
            until(fill, "what waits for it is limited")
            assert site.hub.viewers == 0
            until(lambda: server.connections == 0, "its connection is cut")
        missed = [site.add(seq) for seq in later]
        request = urllib.request.Request(f"{server.url}/api/events")  # noqa: S310
        request.add_header("last-event-id", str(cursor))
        with urllib.request.urlopen(request, timeout=LIMIT_S) as stream:  # noqa: S310
            text = ""
            while text.count("event: alert") < len(later) or not text.endswith("\n\n"):
                text += stream.readline().decode().replace("\r", "")
    assert [text.index(each) for each in missed] == sorted(map(text.index, missed))
    assert seen not in text
