import asyncio

from dashboard.web.event_stream import QUEUE_EVENTS, Hub, LiveEvent, as_sse


def event(n: int) -> LiveEvent:
    return LiveEvent("alert", "{}", n)


def test_every_page_gets_every_event() -> None:
    async def scene() -> list[int]:
        hub = Hub(max_viewers=2)
        viewers = [hub.join(), hub.join()]
        hub.publish([event(1), event(2)])
        return [viewer.queue.qsize() for viewer in viewers if viewer]

    assert asyncio.run(scene()) == [2, 2]


def test_slow_page_is_dropped_and_the_others_are_not() -> None:
    async def scene() -> None:
        hub = Hub(max_viewers=2)
        slow, quick = hub.join(), hub.join()
        assert slow
        assert quick
        for n in range(QUEUE_EVENTS + 1):
            hub.publish([event(n)])
            quick.queue.get_nowait()
        assert hub.viewers == 1
        assert hub.dropped == 1
        assert slow.queue.get_nowait() is None  # its connection ends

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


def test_closing_ends_every_stream_and_refuses_new_ones() -> None:
    async def scene() -> None:
        hub = Hub(max_viewers=5)
        viewer = hub.join()
        assert viewer
        hub.close()
        assert viewer.queue.get_nowait() is None
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
