"""The dashboard behind a real mosquitto: nothing is lost and nothing comes twice."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM
from typing import Self

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from dashboard.config import CollectorBrokerSettings
from dashboard.ingest.mqtt import Collector
from dashboard.ingest.writer import AckRequest, Delivery
from models.messages import VerdictKind
from tests.simulators.broker import Broker, free_port
from tests.simulators.dashboard_process import LIMIT_S, REPOSITORY, DashboardProcess
from tests.simulators.edge import SimEdge
from tests.simulators.old_broker import OldBroker
from tests.simulators.station import SimStation, alert_event, picture
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# Everything that the real command joins, and a power cut between commit and answer.
DIES_AFTER_COMMIT = """
import os, signal, sys, time
from pathlib import Path
from dashboard.cli import name_of_process, session_of
from dashboard.ingest.mqtt import Collector
from dashboard.config import DashboardSettings
from dashboard.ingest.writer import HistoryWriter
from dashboard.history.database import Database
from dashboard.history.store import Store
from models.config import load_config

config = Path(sys.argv[1])
settings = load_config(config, DashboardSettings).beside(config.parent)
store = Store(Database(settings.history.location()))
writer = HistoryWriter(store, settings.history)
process = name_of_process(settings.server)
name, is_first = session_of(settings.broker, store, process)
collector = Collector(settings.broker, name, is_first=is_first, enqueue=writer.enqueue)
def die(request):
    if request.acks:
        os.kill(os.getpid(), signal.SIGKILL)
    collector.acknowledge(request)
writer.start(on_done=die, on_commit=lambda committed: None)
collector.start(lambda: print(collector.status.is_up, flush=True))
time.sleep(60)
"""


@pytest.fixture
def dashboard(tmp_path: Path, broker: Broker) -> Iterator[DashboardProcess]:
    """A dashboard that is connected."""
    with DashboardProcess(tmp_path, broker.port) as process:
        yield process.wait_connected()


def seqs(dashboard: DashboardProcess) -> list[int]:
    """Return the seq of every row in the history."""
    return sorted(
        each["seq"] for each in dashboard.get("/api/alerts?limit=500")["alerts"]
    )


def test_every_alert_is_in_the_history_once_and_acknowledged(
    broker: Broker, dashboard: DashboardProcess
) -> None:
    with SimStation(broker.port) as station:
        for _ in range(30):
            event = station.alert()
        until(lambda: station.is_acknowledged(30), "the last alert is acknowledged")
        station.send(event)  # as a station does that has not seen the answer
        until(lambda: dashboard.get("/api/summary")["duplicates"] == 1, "duplicate")
        assert station.acks[-1].high_water == 30
    assert seqs(dashboard) == list(range(1, 31))
    with dashboard.open(f"/api/alerts/{event.id}/image") as answer:
        assert answer.read() == picture(30, [event.data.detections[0].box_px])


def test_alert_without_its_picture_is_shown_but_not_acknowledged(
    broker: Broker, dashboard: DashboardProcess
) -> None:
    with SimStation(broker.port) as station:
        jpeg = picture(1)
        event = station.alert(jpeg=jpeg, send_image=False)
        until(lambda: seqs(dashboard) == [1], "the alert is shown")
        station.alert()
        until(lambda: station.is_acknowledged(2), "the next one is acknowledged")
        assert not station.is_acknowledged(1)
        station.send_image(event, jpeg)
        until(lambda: station.is_acknowledged(1), "acknowledged with its picture")


@pytest.mark.fault(11)
def test_event_repeated_after_a_kill_between_commit_and_answer_is_one_row(
    tmp_path: Path, broker: Broker
) -> None:
    dashboard = DashboardProcess(tmp_path, broker.port)
    with (
        SimStation(broker.port) as station,
        subprocess.Popen(
            [sys.executable, "-c", DIES_AFTER_COMMIT, dashboard.config],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == b"True\n"  # it is subscribed
        for _ in range(3):
            station.alert()
        assert process.wait(LIMIT_S) == -SIGKILL
        assert station.acks == []
        with dashboard:
            until(lambda: station.is_acknowledged(3), "acknowledged at last")
            assert dashboard.get("/api/summary")["duplicates"] >= 1
            assert seqs(dashboard) == [1, 2, 3]


@pytest.mark.fault(10)
def test_dashboard_that_was_down_for_long_gets_what_the_broker_has_dropped(
    tmp_path: Path,
) -> None:
    with (
        Broker(tmp_path, "max_queued_messages 10") as broker,
        DashboardProcess(tmp_path, broker.port) as dashboard,
        SimEdge(tmp_path, broker.port, collector_ack="required") as edge,
    ):
        dashboard.wait_connected()
        edge.put(0)
        until(lambda: edge.outbox.depth() == 0, "the first one is acknowledged")
        assert dashboard.end() == 0
        edge.put_all(range(1, 120))
        until(lambda: edge.outbox.unsent() == 0, "the broker has taken or dropped all")
        assert edge.outbox.depth() == 119
        dashboard.start()
        until(lambda: edge.outbox.depth() == 0, "all are acknowledged", LIMIT_S)
        alerts = dashboard.get("/api/alerts?limit=500")["alerts"]
        assert sorted(each["frame_id"] for each in alerts) == list(range(120))


def test_what_is_sent_while_it_is_down_waits_in_the_broker(
    broker: Broker, dashboard: DashboardProcess
) -> None:
    with SimStation(broker.port) as station:
        station.alert()
        until(lambda: station.is_acknowledged(1), "the first one")
        assert dashboard.end() == 0
        for _ in range(20):
            station.alert()
        dashboard.start()
        until(lambda: station.is_acknowledged(21), "what came meanwhile")
    assert seqs(dashboard) == list(range(1, 22))


def test_kill_nine_loses_nothing_that_was_acknowledged(
    broker: Broker, dashboard: DashboardProcess
) -> None:
    with SimStation(broker.port) as station:
        for _ in range(40):
            station.alert()
        until(lambda: station.acks, "some answer")
        dashboard.end(SIGKILL)
        known = {seq for seq in range(1, 41) if station.is_acknowledged(seq)}
        dashboard.start()
        assert known <= set(seqs(dashboard))
        until(lambda: station.is_acknowledged(40), "the rest comes again")
    assert seqs(dashboard) == list(range(1, 41))


def test_page_is_up_without_a_broker_and_finds_it_later(tmp_path: Path) -> None:
    port = free_port()
    with DashboardProcess(tmp_path, port) as dashboard:
        until(
            lambda: "refused" in dashboard.get("/api/summary")["broker"]["reason"],
            "the reason is shown",
        )
        assert not dashboard.is_connected()
        assert dashboard.get("/healthz")["status"] == "degraded"
        with Broker(tmp_path, port=port):
            dashboard.wait_connected()


def test_broker_that_was_killed_is_found_again(
    broker: Broker, dashboard: DashboardProcess
) -> None:
    broker.kill()
    until(lambda: not dashboard.is_connected(), "the loss is noticed")
    broker.start()
    dashboard.wait_connected()
    with SimStation(broker.port) as station:
        station.alert()
        until(lambda: station.is_acknowledged(1), "it works again")


@pytest.mark.parametrize("says_why", [True, False])
def test_broker_with_only_mqtt_3_1_1_is_used_in_that_version(
    tmp_path: Path, broker: Broker, says_why: bool
) -> None:
    with (
        OldBroker(broker.port, says_why=says_why) as old,
        DashboardProcess(tmp_path, old.port) as dashboard,
    ):
        dashboard.wait_connected()
        assert old.refused >= 1
        assert dashboard.get("/api/summary")["broker"]["mqtt"] == "3.1.1"
        with SimStation(broker.port, protocol=MQTTProtocolVersion.MQTTv311) as station:
            station.alert()
            until(lambda: station.is_acknowledged(1), "acknowledged over 3.1.1")
        assert dashboard.end() == 0


class SimDashboard:
    """A collector alone: a test commits what it has received.

    Attributes:
        received: In the order of arrival.
        reasons: Why it was not connected.
    """

    def __init__(
        self, port: int, configured: str = "", *, is_first: bool = False
    ) -> None:
        self.received: list[Delivery] = []
        self.reasons: list[str] = []
        settings = CollectorBrokerSettings(port=port, client_id=configured)
        self.collector = Collector(
            settings,
            configured or "made-up",
            is_first=is_first,
            enqueue=self._enqueue,
        )

    def _enqueue(self, delivery: Delivery) -> bool:
        self.received.append(delivery)
        return True

    @property
    def event_ids(self) -> set[str]:
        """The events that it has received."""
        return {json.loads(each.message.payload)["id"] for each in self.received}

    def wait_up(self) -> None:
        """Wait until it is subscribed."""
        until(lambda: self.collector.status.is_up, lambda: self.reasons)

    def __enter__(self) -> Self:
        self.collector.start(lambda: self.reasons.append(self.collector.status.reason))
        self.wait_up()
        return self

    def __exit__(self, *_: object) -> None:
        self.collector.stop()


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("is_old", [False, True], ids=["mqtt-5", "mqtt-3.1.1"])
def test_what_is_sent_after_any_start_waits_in_the_broker(
    broker: Broker, is_first: bool, is_old: bool
) -> None:
    with ExitStack() as clean_up:
        port = broker.port
        if is_old:
            port = clean_up.enter_context(OldBroker(port)).port
        with SimDashboard(port, "wall", is_first=is_first):
            pass
        station = clean_up.enter_context(SimStation(broker.port))
        station.verdict(VerdictKind.OK)
        again = clean_up.enter_context(SimDashboard(port, "wall"))
        until(lambda: f"{station.stream}:1" in again.event_ids, "it waited")


@pytest.mark.fault(24)
@pytest.mark.parametrize(
    ("configured", "is_old"),
    [("", False), ("wall", True)],
    ids=["made-up-mqtt-5", "configured-mqtt-3.1.1"],
)
def test_dashboard_whose_session_is_taken_leaves_it_and_acknowledges_nothing_of_it(
    broker: Broker, configured: str, is_old: bool
) -> None:
    with ExitStack() as clean_up:
        port = broker.port
        if is_old:
            port = clean_up.enter_context(OldBroker(port)).port
        station = clean_up.enter_context(SimStation(broker.port))
        first = clean_up.enter_context(SimDashboard(port, configured))
        station.verdict(VerdictKind.OK)
        held = until(lambda: first.received)[0]
        second = clean_up.enter_context(SimDashboard(port, configured))
        taken = f"another dashboard uses the MQTT client id {configured or 'made-up'}; "
        both = (first, second)
        loser = until(
            lambda: next(
                (one for one in both if any(taken in each for each in one.reasons)),
                None,
            )
        )
        for one in both:
            one.wait_up()
            one.collector.acknowledge(AckRequest([held.receipt], []))  # too late
        assert "this one continues as" in "".join(loser.reasons)
        station.verdict(VerdictKind.OK)
        last = f"{station.stream}:2"
        until(lambda: all(last in one.event_ids for one in both), "both get everything")
        winner = second if loser is first else first
        winner.collector.stop()
        heir = clean_up.enter_context(SimDashboard(port, configured))
        until(lambda: f"{station.stream}:1" in heir.event_ids, "it waits in the broker")


def test_dashboards_with_one_copied_history_both_get_every_alert(
    tmp_path: Path, broker: Broker, dashboard: DashboardProcess
) -> None:
    with SimStation(broker.port) as station:
        station.alert()
        until(lambda: station.is_acknowledged(1), "the first one")
        assert dashboard.end() == 0
        (tmp_path / "copy").mkdir()
        shutil.copy(tmp_path / "history.sqlite3", tmp_path / "copy")
        dashboard.start()
        with DashboardProcess(tmp_path / "copy", broker.port) as copy:
            for each in (dashboard, copy):
                each.wait_connected()
            for _ in range(20):
                station.alert()
            everything = list(range(1, 22))
            for each in (dashboard, copy):
                until(lambda one=each: seqs(one) == everything, "each has all of them")
                assert each.get("/healthz")["broker"]["connections"] == 1


def test_hostile_messages_are_counted_and_have_no_other_effect(
    broker: Broker, dashboard: DashboardProcess
) -> None:
    with SimStation(broker.port) as station:
        root, alert = station.topics.root, station.topics.camera("top", "alert")
        good = alert_event(station.topics, 5, stream=station.stream)
        newer = good.model_copy(update={"schema_version": 99})
        for topic, payload in (
            (alert, b"\xff\xfe"),
            (alert, b"[" * 50_000),
            (alert, b'{"data": {"seq": 1e999}}'),
            (alert, newer.model_dump_json()),
            (alert, good.model_dump_json().replace('"seq":5', f'"seq":{2**70}')),
            (alert, b"x" * 400_000),
            (f"{root}/camera/top/image/..%2f..%2fetc", b"\xff\xd8\xff"),
            (f"{root}/camera/top/image/x:1", b"<script>"),
            (f"{root}/camera/TOP'--/alert", good.model_dump_json()),
            (f"{root}/nonsense/\u202e/\U0001f4a3", b"?"),
            ("graftline/a/b/c/status", b'{"state": "on fire"}'),
        ):
            station.publish(topic, payload)
        station.alert()
        until(lambda: station.is_acknowledged(1), "the good one is acknowledged")
        summary = dashboard.get("/api/summary")
        assert sum(summary["rejected"].values()) == 11
        assert summary["rejected"]["newer_schema"] == 1
        assert summary["broker"]["connections"] == 1
    assert seqs(dashboard) == [1]
    assert "Traceback" not in dashboard.log


def test_port_in_use_is_an_error_with_a_fix(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        config = tmp_path / "dashboard.toml"
        port = other.getsockname()[1]
        config.write_text(f"[server]\nport = {port}\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "graftline", "dashboard", "--config", config],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 3
    assert f"port = {port}" in done.stderr
    assert "Another program uses this port" in done.stderr
    assert "Fix:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "history.sqlite3").exists()


@pytest.mark.parametrize(("number", "code"), [(SIGTERM, 0), (SIGINT, 130)])
def test_signal_ends_it_in_order_even_with_open_pages(
    dashboard: DashboardProcess, number: int, code: int
) -> None:
    with dashboard.open("/api/events") as page:
        assert page.readline()
        started_s = time.monotonic()
        assert dashboard.end(number) == code  # type: ignore[arg-type]
        assert time.monotonic() - started_s < 10
    assert "Traceback" not in dashboard.log
    assert not (dashboard.folder / "history.sqlite3-wal").exists()  # folded in


def test_configuration_can_be_printed(tmp_path: Path) -> None:
    config = tmp_path / "dashboard.toml"
    config.write_text("[page]\nstale_after_s = 7\n", encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "graftline", "dashboard"),
            *("--config", config, "--print-config"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert '"stale_after_s": 7.0' in done.stdout
    assert str(tmp_path / "history.sqlite3") in done.stdout
