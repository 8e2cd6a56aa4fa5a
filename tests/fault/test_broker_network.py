"""The broker and the network between fail; no alert is lost and nothing piles up."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.messages import Acknowledgement
from tests.simulators.alerts import TOPICS, jpeg
from tests.simulators.broker import MOSQUITTO, Broker
from tests.simulators.collector import SimCollector
from tests.simulators.edge import SimEdge
from tests.simulators.proxy import Proxy
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto"),
]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as running:
        yield running


def frames(collector: SimCollector) -> list[int]:
    """Frames of the alerts in the history, sorted by their positions."""
    events = collector.data()
    return [data["frame_id"] for data in sorted(events, key=lambda data: data["seq"])]


@pytest.mark.fault(2)
def test_broker_killed_loses_nothing(tmp_path: Path) -> None:
    # mosquitto's own default: what it confirmed in the last half hour is gone.
    broker = Broker(tmp_path, "autosave_interval 1800").start()
    with (
        SimCollector(tmp_path, broker.port) as collector,
        SimEdge(tmp_path, broker.port) as edge,
    ):
        for kill in range(3):
            edge.put_all(range(kill * 100, kill * 100 + 50))
            broker.kill()
            assert until(lambda: not edge.publisher.connected)
            edge.put_all(range(kill * 100 + 50, kill * 100 + 100))
            broker.start()
            assert until(lambda: edge.publisher.connected)
        assert collector.wait_for(300, 60) == 300
        assert frames(collector) == list(range(300))
        assert until(lambda: edge.outbox.depth() == 0)
    broker.stop()


@pytest.mark.fault(3)
def test_broker_that_lost_its_database_gets_everything_again(
    tmp_path: Path,
) -> None:
    broker = Broker(tmp_path).start()
    with SimEdge(tmp_path, broker.port, collector_ack="required") as edge:
        edge.put_all(range(100))
        assert until(lambda: edge.outbox.unsent() == 0), "the broker has all of them"
        broker.stop()
        for path in tmp_path.glob("mosquitto.db*"):
            path.unlink()
        broker.start()
        # It comes only now: everything that it gets was sent again.
        with SimCollector(tmp_path, broker.port) as collector:
            assert collector.wait_for(100, 60) == 100
            assert frames(collector) == list(range(100))
            assert until(lambda: edge.outbox.depth() == 0)
    broker.stop()


@pytest.mark.fault(5)
def test_network_that_drops_everything_is_detected_and_loses_nothing(
    tmp_path: Path, broker: Broker
) -> None:
    with (
        SimCollector(tmp_path, broker.port) as collector,
        Proxy(broker.port) as proxy,
        SimEdge(tmp_path, proxy.port) as edge,
    ):
        edge.put(0)
        assert collector.wait_for(1) == 1
        began_s = time.monotonic()
        proxy.weather.swallows = True
        edge.put_all(range(1, 50))
        assert until(lambda: not edge.publisher.connected)
        # Twice keepalive_s = 2, a turn, and patience with a busy machine.
        assert time.monotonic() - began_s < 12
        proxy.weather.swallows = False
        assert collector.wait_for(50, 40) == 50
        assert frames(collector) == list(range(50))


@pytest.mark.fault(6)
def test_connection_reset_after_any_byte_of_a_publish_loses_nothing(
    tmp_path: Path, broker: Broker
) -> None:
    with (
        SimCollector(tmp_path, broker.port) as collector,
        Proxy(broker.port) as proxy,
        SimEdge(tmp_path, proxy.port, reconnect_max_s=0.05) as edge,
    ):
        edge.put(0, jpeg(0, 700))
        assert collector.wait_for(1) == 1
        assert until(lambda: edge.outbox.depth() == 0), "and all subscriptions passed"
        before = proxy.passed_bytes
        edge.put(1, jpeg(1, 700))
        assert collector.wait_for(2) == 2
        # A picture and its alert, from the first byte to the last.
        one_alert = proxy.passed_bytes - before
        assert 1400 < one_alert < 3000
        cuts = [1, 2, 3, *range(4, one_alert, one_alert // 30), one_alert]
        for number, cut in enumerate(cuts, 2):
            proxy.weather.cut_after_bytes = cut
            edge.put(number, jpeg(number, 700))
            assert until(lambda count=number: proxy.resets >= count - 1)
            assert collector.wait_for(number + 1) == number + 1
        assert frames(collector) == list(range(len(cuts) + 2))
        assert until(lambda: edge.outbox.depth() == 0)
        assert collector.errors == []


@pytest.mark.long
@pytest.mark.fault(7)
def test_slow_network_with_losses_delivers_all_with_little_in_flight(
    tmp_path: Path, broker: Broker
) -> None:
    count, most_in_flight = 60, 0
    with (
        SimCollector(tmp_path, broker.port) as collector,
        Proxy(broker.port, seed=7) as proxy,
        SimEdge(tmp_path, proxy.port, reconnect_max_s=0.2, keepalive_s=5) as edge,
    ):
        proxy.weather.delay_s, proxy.weather.bytes_per_s = 0.5, 10_000
        proxy.weather.reset_chance = 0.05
        edge.put_all(range(count))
        deadline = time.monotonic() + 90
        while edge.outbox.depth() and time.monotonic() < deadline:
            most_in_flight = max(most_in_flight, edge.publisher.in_flight)
            time.sleep(0.02)
            if proxy.resets >= 3:  # seen; a line without end would prove no more
                proxy.weather.reset_chance = 0
        assert edge.outbox.depth() == 0
        assert proxy.resets >= 1
        assert 0 < most_in_flight <= 20, "mosquitto announced 20"
        assert frames(collector) == list(range(count))


@pytest.mark.fault(7)
def test_no_more_is_sent_than_a_slow_network_can_carry(
    tmp_path: Path, broker: Broker
) -> None:
    count, size = 30, 60_000
    with (
        SimCollector(tmp_path, broker.port) as collector,
        Proxy(broker.port) as proxy,
        SimEdge(tmp_path, proxy.port, keepalive_s=10) as edge,
    ):
        proxy.weather.bytes_per_s = 1_000
        for number in range(count):
            edge.put(number, jpeg(number, size))
        assert until(lambda: edge.publisher.in_flight >= 8)
        time.sleep(1)
        # 256 kB and the picture that passes them, each with its alert.
        assert edge.publisher.in_flight <= 2 * (256 * 1024 // size + 1)
        proxy.weather.bytes_per_s = 0
        assert collector.wait_for(count, 60) == count
        assert until(lambda: edge.outbox.depth() == 0)


@pytest.mark.fault(4)
def test_frozen_broker_does_not_stop_the_committing_of_alerts(
    tmp_path: Path, broker: Broker
) -> None:
    with (
        SimCollector(tmp_path, broker.port) as collector,
        SimEdge(tmp_path, broker.port) as edge,
    ):
        edge.put(0)
        assert collector.wait_for(1) == 1
        began_s = time.monotonic()
        broker.signal(signal.SIGSTOP)
        edge.put_all(range(1, 500))
        assert edge.outbox.last_seq == 500
        assert until(lambda: not edge.publisher.connected)
        assert time.monotonic() - began_s < 12, "twice the keepalive of 2 s, and load"
        broker.signal(signal.SIGCONT)
        assert collector.wait_for(500, 60) == 500
        assert frames(collector) == list(range(500))


@pytest.mark.fault(8)
def test_alerts_that_are_delivered_twice_give_one_row(
    tmp_path: Path, broker: Broker
) -> None:
    with SimCollector(tmp_path, broker.port) as collector:
        collector.acknowledges = False
        with SimEdge(tmp_path, broker.port, collector_ack="required") as edge:
            edge.put_all(range(40))
            assert until(lambda: len(collector.arrivals) >= 60), "repeated by the edge"
            collector.acknowledges = True
            assert until(lambda: edge.outbox.depth() == 0)
            assert frames(collector) == list(range(40))


@pytest.mark.fault(28)
@pytest.mark.parametrize("callback", ["confirmed", "acknowledged"])
def test_answer_whose_handling_raises_is_counted_and_the_connection_stays(
    tmp_path: Path,
    broker: Broker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    callback: str,
) -> None:
    from edge.delivery.publisher.send_queue import SendQueue

    real, dice, raised = getattr(SendQueue, callback), random.Random(1), []

    def fail_sometimes(*args: Any, **named: Any) -> None:
        if len(raised) < 5 and dice.random() < 0.5:
            raised.append(args)
            raise ZeroDivisionError("injected")
        real(*args, **named)

    monkeypatch.setattr(SendQueue, callback, fail_sometimes)
    with (
        SimCollector(tmp_path, broker.port) as collector,
        SimEdge(tmp_path, broker.port) as edge,
    ):
        for number in range(40):
            edge.put(number)
        assert collector.wait_for(40) == 40
        # An answer that was lost is asked for again.
        assert until(lambda: edge.outbox.depth() == 0, limit_s=60)
        assert raised
        assert edge.publisher.callback_errors == len(raised)
        assert edge.publisher.connected
    assert caplog.text.count("broker_callback_failed") == len(raised)


@pytest.mark.fault(28)
def test_unreadable_acknowledgement_is_counted_and_not_a_fault_of_the_station(
    tmp_path: Path, broker: Broker
) -> None:
    from tests.simulators.station import SimStation

    with (
        SimEdge(tmp_path, broker.port, collector_ack="required") as edge,
        SimStation(broker.port) as other,
    ):
        edge.put(0)
        assert until(lambda: edge.outbox.unsent() == 0)
        for payload in (b"{", b"[]", b"\xff", b'{"stream": 7}'):
            other.publish(TOPICS.ack, payload)
        good = Acknowledgement(
            stream=edge.outbox.stream,
            high_water=0,
            digests=tuple(edge.digests().items()),
        )
        other.publish(TOPICS.ack, good.model_dump_json())
        assert until(lambda: edge.outbox.depth() == 0)
        assert edge.publisher.callback_errors == 0
