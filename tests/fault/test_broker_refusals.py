"""What a broker refuses is an alarm, and the alerts are kept."""

import logging
import re
import resource
import subprocess
import time
from pathlib import Path
from signal import SIGHUP

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.simulators.alerts import ALERT_TOPIC, TOPICS, jpeg, photo
from tests.simulators.broker import MOSQUITTO, Broker
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.edge import SimEdge
from tests.simulators.old_broker import OldBroker
from tests.simulators.proxy import Proxy
from tests.simulators.videos import defect_between, write_video
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto"),
]
NO_ALERTS = (
    "topic read graftline/#\ntopic write graftline/+/+/+/status\n"
    "topic write graftline/+/+/+/ack\ntopic write graftline/+/+/+/camera/+/image/#\n"
    "topic write graftline/+/+/+/camera/+/verdict\n"
)
ALL = "topic readwrite graftline/#\n"


def log_of(broker: Broker) -> str:
    return (broker.folder / "mosquitto.log").read_text("utf-8")


def write_user(users: Path, name: str, password: str) -> None:
    """Replace the password file by one with this user only."""
    tool = Path(MOSQUITTO or "").parent.parent / "bin" / "mosquitto_passwd"
    command = [tool if tool.is_file() else "mosquitto_passwd", "-c", "-b"]
    subprocess.run([*command, users, name, password], check=True, timeout=10)


# --- row 19: access lists ------------------------------------------------------------


@pytest.mark.fault(19)
def test_denied_topic_is_an_alarm_until_the_broker_allows_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rules = tmp_path / "acl"
    rules.write_text(NO_ALERTS)
    with (
        Broker(tmp_path, f"acl_file {rules}") as broker,
        SimCollector(tmp_path, broker.port) as collector,
        SimEdge(tmp_path, broker.port) as edge,
    ):
        edge.put_all(range(3))
        denied = f"the broker refuses {ALERT_TOPIC}: Not authorized"
        assert until(lambda: edge.publisher.alarm == denied)
        assert edge.publisher.connected, "the other topics are still served"
        assert edge.outbox.depth() == 3
        rules.write_text(ALL)
        broker.signal(SIGHUP)
        assert collector.wait_for(3, 40) == 3
        assert until(lambda: edge.publisher.alarm == "")
        assert until(lambda: edge.outbox.depth() == 0)
    raised = [r for r in caplog.records if "delivery_alarm about" in r.getMessage()]
    assert [record.levelno for record in raised] == [logging.ERROR], "logged once"
    assert "delivery_alarm_over" in caplog.text


@pytest.mark.fault(19)
def test_silent_denial_of_mqtt_311_shows_as_a_collector_that_does_not_answer(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(ALL)
    with (
        Broker(tmp_path, f"acl_file {rules}") as broker,
        SimCollector(tmp_path, broker.port) as collector,
        SimEdge(
            tmp_path, broker.port, protocol="3.1.1", collector_silent_after_s=4
        ) as edge,
    ):
        edge.put(0)
        assert until(lambda: edge.outbox.depth() == 0 and edge.outbox.collector_known)
        rules.write_text(NO_ALERTS)
        broker.signal(SIGHUP)
        time.sleep(0.3)
        edge.put_all(range(1, 4))
        assert until(lambda: edge.outbox.unsent() == 0), "it confirms them"
        assert until(lambda: "not by the collector for 4 s" in edge.publisher.alarm)
        assert edge.outbox.depth() == 3
        rules.write_text(ALL)
        broker.signal(SIGHUP)
        assert collector.wait_for(4, 60) == 4
        assert until(lambda: edge.publisher.alarm == "")


@pytest.mark.fault(19)
def test_alarm_is_in_the_station_status_and_in_health_json(tmp_path: Path) -> None:

    rules = tmp_path / "acl"
    rules.write_text(NO_ALERTS)
    write_video(tmp_path / "belt.avi", 900, 30, defect_between(5, 200))
    with (
        Broker(tmp_path, f"acl_file {rules}") as broker,
        SimCollector(tmp_path, broker.port) as collector,
    ):
        pc = DaemonPc(tmp_path, broker.port)
        process = pc.start(camera_table("top", "belt.avi", fps=15.0))
        topic, text = pc.topics.status, "Not authorized"
        try:
            # The first refusals may come before the camera runs, in the state `init`.
            until(
                lambda: bool(
                    pc.health
                    and text in pc.health.reason
                    and pc.health.state == "degraded"
                ),
                limit_s=60,
            )
            until(
                lambda: (
                    text in collector.states[topic][-1]["reason"]
                    and collector.states[topic][-1]["state"] == "degraded"
                )
            )
            assert text in pc.stderr
        finally:
            process.terminate()
            pc.end_of(process)


@pytest.mark.fault(20)
def test_refusal_is_shown_in_health_json_and_on_the_terminal(
    tmp_path: Path,
) -> None:
    write_video(tmp_path / "belt.avi", 900, 30, defect_between(5, 200))
    with Broker(tmp_path, "allow_anonymous false") as broker:
        pc = DaemonPc(tmp_path, broker.port)
        process = pc.start(camera_table("top", "belt.avi", fps=15.0))
        try:
            refused = "refused the connection: Not authorized"
            until(lambda: bool(pc.health and refused in pc.health.reason), limit_s=60)
            before = pc.health.frames_inspected if pc.health else 0
            pc.wait_until_inspecting(before + 10)  # it continues to inspect
            until(lambda: f"not connected (broker 127.0.0.1:{broker.port}" in pc.stderr)
        finally:
            process.terminate()
            pc.end_of(process)


# --- row 20: the login ---------------------------------------------------------------


@pytest.mark.fault(20)
def test_wrong_password_is_an_alarm_with_slow_retries_until_it_is_corrected(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    users, secret = tmp_path / "users", tmp_path / "secret"
    write_user(users, "somebody-else", "right")  # as if our user had been removed
    secret.write_text("right\n")
    extra = f"allow_anonymous false\npassword_file {users}"
    with (
        Broker(tmp_path, extra) as broker,
        SimEdge(
            tmp_path,
            broker.port,
            username="edge",
            password_file=secret,
            collector_ack="off",
            reconnect_max_s=30,
        ) as edge,
    ):
        edge.put(1)
        assert until(lambda: "Not authorized" in edge.publisher.alarm)
        before = resource.getrusage(resource.RUSAGE_SELF)
        attempts_before = log_of(broker).count("not authorised")
        time.sleep(4)
        after = resource.getrusage(resource.RUSAGE_SELF)
        attempts = log_of(broker).count("not authorised") - attempts_before
        assert attempts <= 10, "the pauses double: 0.25, 0.5, 1, 2 s"
        used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert used_s < 2, "it waits, it does not spin"
        assert edge.outbox.depth() == 1
        write_user(users, "edge", "right")
        broker.signal(SIGHUP)
        assert until(lambda: edge.outbox.depth() == 0, limit_s=60)
        assert edge.publisher.alarm == ""
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1, "logged once"


@pytest.mark.fault(20)
def test_pauses_between_refused_logins_stay_within_a_minute() -> None:
    from edge.config.station import BrokerSettings
    from models.backoff import Backoff

    longest_s = BrokerSettings().reconnect_max_s
    pauses = Backoff(0.25, longest_s, lambda: 1.0)
    assert max(pauses.next_s() for _ in range(50)) <= 60


# --- row 24: two clients of one name -------------------------------------------------


@pytest.mark.long
@pytest.mark.fault(24)
def test_second_client_of_the_same_name_is_an_alarm_and_the_flapping_slows_down(
    tmp_path: Path,
) -> None:
    with (
        Broker(tmp_path) as broker,
        SimEdge(
            tmp_path, broker.port, reconnect_max_s=30, collector_ack="required"
        ) as edge,
    ):
        assert until(lambda: edge.publisher.connected)
        client_id = TOPICS.root.replace("/", ".")
        thief = Client(CallbackAPIVersion.VERSION2, client_id=client_id)
        thief.reconnect_delay_set(1, 1)
        thief.connect("127.0.0.1", broker.port)
        thief.loop_start()
        try:
            assert until(lambda: "taken over" in edge.publisher.alarm, limit_s=60)
            assert client_id in edge.publisher.alarm
            edge.put(1)
            taken = f"Client {client_id} already connected"
            before = log_of(broker).count(taken)
            time.sleep(6)
            # Two clients that reconnect after a second at most: 12 times or more.
            assert log_of(broker).count(taken) - before <= 6
        finally:
            thief.disconnect()
            thief.loop_stop()
        with SimCollector(tmp_path, broker.port) as collector:
            assert collector.wait_for(1, 60) == 1


# --- row 25: MQTT 3.1.1 only ---------------------------------------------------------


@pytest.mark.fault(25)
@pytest.mark.parametrize("says_why", [True, False])
def test_broker_that_refuses_mqtt_5_gets_311_and_the_collector_still_acknowledges(
    tmp_path: Path, says_why: bool
) -> None:
    with (
        Broker(tmp_path) as broker,
        OldBroker(broker.port, says_why=says_why) as old,
        SimCollector(tmp_path, broker.port, MQTTProtocolVersion.MQTTv311) as collector,
        SimEdge(tmp_path, old.port, collector_ack="required") as edge,
    ):
        edge.put_all(range(20))
        assert collector.wait_for(20) == 20
        assert until(lambda: edge.outbox.depth() == 0)
        assert old.refused >= 1
        assert edge.publisher.alarm == ""


# --- row 26: pictures that are too large ---------------------------------------------


@pytest.mark.fault(26)
@pytest.mark.parametrize(
    "limit",
    [
        pytest.param("max_packet_size 4000", id="announced"),
        pytest.param("message_size_limit 4000\nlog_type all", id="found out"),
    ],
)
def test_picture_beyond_the_limit_of_the_broker_is_left_out_and_its_alert_is_sent(
    tmp_path: Path, limit: str
) -> None:
    with (
        Broker(tmp_path, limit) as broker,
        SimCollector(tmp_path, broker.port) as collector,
        SimEdge(tmp_path, broker.port, collector_ack="required") as edge,
    ):
        edge.put(1, jpeg(1, 20_000))
        assert collector.wait_for(1, 40) == 1
        edge.put(2, jpeg(2, 30_000))
        edge.put(3, jpeg(3, 1000))
        assert collector.wait_for(3, 40) == 3
        pictures = [e["data"]["thumbnail_sha256"] for e in collector.history()]
        # These three are no pictures: they cannot be made smaller.
        assert [picture is None for picture in pictures] == [True, True, False]
        assert until(lambda: edge.outbox.depth() == 0)
        limit = re.search(
            r"takes no pictures of more than (\d+) b", edge.publisher.alarm
        )
        assert limit is not None
        assert log_of(broker).count("Dropped too large PUBLISH") <= 1, "not tried twice"


@pytest.mark.fault(26)
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_alerts_do_not_wait_behind_pictures_that_end_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    count, limit_bytes = 20, 6000
    # An older broker announces no limit, and gives no reason for closing.
    rule = "message_size_limit" if protocol == "5" else "max_packet_size"
    with (
        Broker(tmp_path, f"{rule} {limit_bytes}") as broker,
        SimCollector(tmp_path, broker.port) as collector,
        SimEdge(tmp_path, broker.port, protocol=protocol) as edge,
    ):
        for number in range(count):
            edge.put(number, photo(number))
        assert collector.wait_for(count, 60) == count
        sizes = [e["data"]["thumbnail_sha256"] for e in collector.history()]
        assert None not in sizes, "they were made smaller"
        assert until(lambda: edge.outbox.depth() == 0)
        assert "they are made smaller" in edge.publisher.alarm
        assert "taken over" not in edge.publisher.alarm
    assert "closed the connection at a picture of" in caplog.text


@pytest.mark.fault(26)
def test_connections_that_end_after_some_bytes_deliver_every_alert(
    tmp_path: Path,
) -> None:
    with (
        Broker(tmp_path) as broker,
        Proxy(broker.port) as proxy,
        SimCollector(tmp_path, broker.port) as collector,
        SimEdge(tmp_path, proxy.port, reconnect_max_s=0.2) as edge,
    ):
        proxy.weather.connection_max_bytes = 9000
        for number in range(3):
            edge.put(number, photo(number))
        assert collector.wait_for(3, 60) == 3
        assert until(lambda: edge.outbox.depth() == 0, limit_s=30)


@pytest.mark.long
@pytest.mark.fault(26)
def test_picture_that_mqtt_311_confirms_and_drops_does_not_hold_its_alert(
    tmp_path: Path,
) -> None:
    with (
        Broker(tmp_path, "message_size_limit 9000") as broker,
        SimCollector(tmp_path, broker.port) as collector,
        SimEdge(
            tmp_path, broker.port, protocol="3.1.1", collector_ack="required"
        ) as edge,
    ):
        edge.put(0, photo(0))
        edge.put(1, photo(1))
        assert collector.wait_for(2, 90) == 2
        assert until(lambda: edge.outbox.depth() == 0)


@pytest.mark.fault(26)
def test_alert_beyond_the_limit_of_the_broker_is_kept_and_an_alarm(
    tmp_path: Path,
) -> None:
    with (
        Broker(tmp_path, "max_packet_size 1200") as broker,
        SimEdge(tmp_path, broker.port, collector_ack="required") as edge,
    ):
        edge.put(1)
        assert until(lambda: "beyond the broker's limit" in edge.publisher.alarm)
        time.sleep(0.5)
        assert edge.publisher.connected, (
            "it is not sent, so the broker does not hang up"
        )
        assert edge.outbox.depth() == 1
