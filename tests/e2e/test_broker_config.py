"""What ``graftline broker-config`` writes and makes, in a real mosquitto.

A station publishes its own topics and is denied those of another.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.config.station import BrokerSettings
from edge.delivery.publisher.connection_diagnosis import explain_connection
from graftline import main
from models.topics import StationTopics
from tests.simulators.broker import MOSQUITTO, Broker, free_port
from tests.simulators.certificates import Authority
from tests.simulators.edge import SimEdge
from tests.waiting import until

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto"),
]
MINE = StationTopics("plant", "line-1", "station-1")
PRESS = StationTopics("press", "line-1", "station-1")  # not named as the CA
OTHER = StationTopics("plant", "line-1", "station-2")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "plant")


class PlantBroker(Broker):
    """The broker of ``graftline broker-config``, as it was written."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port, self.folder = port, folder
        self._config = folder / "started.conf"
        # Tests may run as root, and would lose the right to read these folders.
        text = (folder / "mosquitto.conf").read_text("utf-8")
        self._config.write_text(f"{text}user root\n", "utf-8")
        self._process = None


# As Debian ships it: /etc/mosquitto/mosquitto.conf.
DEBIAN_CONF = """
pid_file {folder}/mosquitto.pid

persistence true
persistence_location {folder}/data/

log_dest stderr

include_dir {folder}/conf.d
"""


@contextmanager
def debian_broker(folder: Path, *stations: str) -> Iterator[Broker]:
    """Run the broker of Debian with what the command adds to it."""
    for name in ("conf.d", "data"):
        (folder / name).mkdir()
    (folder / "mosquitto.conf").write_text(DEBIAN_CONF.format(folder=folder))
    port = free_port()
    arguments = ["broker-config", "--out", folder / "conf.d", "--port", port]
    arguments += ["--certificates", folder / "tls", "--make-certificates", *stations]
    assert main([str(argument) for argument in arguments]) == 0
    with PlantBroker(folder, port) as broker:
        yield broker


@contextmanager
def broker_of(folder: Path, plant: Authority) -> Iterator[Broker]:
    port = free_port()
    (folder / "data").mkdir()
    certificate, key = plant.issue("broker")
    arguments = ["broker-config", "--out", folder, "--port", port, "--data"]
    arguments += [folder / "data", "--crl", plant.crl_file]
    arguments += ["--tls", plant.certificate_file, certificate, key]
    assert main([str(argument) for argument in arguments]) == 0
    with PlantBroker(folder, port) as broker:
        yield broker


class MadeCertificates:
    """The files that ``--make-certificates`` made, in the place of an authority."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.certificate_file = folder, folder / "ca.pem"

    def issue(self, name: str) -> tuple[Path, Path]:
        stem = name.replace("/", ".")
        return self.folder / f"{stem}.pem", self.folder / f"{stem}-key.pem"


class Person:
    """A client with a certificate."""

    def __init__(
        self,
        plant: Authority | MadeCertificates,
        broker: Broker,
        name: str,
        client_id: str = "",
    ) -> None:
        self.connects = 0
        self.answers: dict[int, ReasonCode] = {}
        self.received: list[tuple[str, bytes]] = []
        self._is_subscribed = False
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        certificate, key = plant.issue(name)
        self._client.tls_set(plant.certificate_file, certificate, key)
        self._client.on_connect = self._note_connected
        self._client.on_publish = self._note_answer
        self._client.on_message = self._note_message
        self._client.on_subscribe = self._note_subscribed
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def _note_answer(self, *args: Any) -> None:
        self.answers[args[2]] = args[3]

    def _note_connected(self, *_: object) -> None:
        self.connects += 1

    def _note_message(self, _: Client, __: object, message: MQTTMessage) -> None:
        self.received.append((message.topic, message.payload))

    def _note_subscribed(self, *_: object) -> None:
        self._is_subscribed = True

    def may_write(self, topic: str) -> bool:
        """Publish, and return whether the broker took it."""
        mid = self._client.publish(topic, b"x", qos=1).mid
        assert until(lambda: mid in self.answers)
        return not self.answers[mid].is_failure

    def publish(self, topic: str, payload: str) -> None:
        """Publish a retained message."""
        mid = self._client.publish(topic, payload, qos=1, retain=True).mid
        assert until(lambda: mid in self.answers)
        assert not self.answers[mid].is_failure

    def listen(self, topic: str) -> None:
        """Subscribe, and wait until the broker knows."""
        self._client.subscribe(topic, qos=1)
        assert until(lambda: self._is_subscribed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.mark.parametrize("is_listed", [True, False], ids=["2.1", "2.0"])
def test_made_certificates_serve_the_stations_of_debians_own_broker(
    tmp_path: Path, *, is_listed: bool
) -> None:
    """mosquitto 2.1 matches no pattern with slashes: the list alone has to serve."""
    with debian_broker(tmp_path, "plant/line-1/station-1") as broker:
        acl = tmp_path / "conf.d" / "stations.acl"
        rules = acl.read_text("utf-8")
        part = rules.replace("%u/", "%u/matches-nothing/")
        if not is_listed:
            part = rules.partition("\nuser plant/line-1/station-1\n")[0]
        acl.write_text(part, "utf-8")
        broker.stop()
        broker.start()
        made = MadeCertificates(tmp_path / "tls")
        with (
            Person(made, broker, "plant/line-1/station-1") as station,
            Person(made, broker, "collector") as collector,
        ):
            station.listen("#")
            assert collector.may_write(MINE.ack)
            assert until(lambda: [topic for topic, _ in station.received] == [MINE.ack])
            assert station.may_write(MINE.camera("top", "alert"))
            assert station.may_write(f"{MINE.root}/model/doctor")
            # mosquitto 2.0.11 may end the connection after it denied a message.
            assert not station.may_write(OTHER.status)
            assert not station.may_write(f"{MINE.root}/model/desired")


def test_station_writes_its_own_topics_and_no_others(
    tmp_path: Path, plant: Authority
) -> None:
    with (
        broker_of(tmp_path, plant) as broker,
        Person(plant, broker, "plant/line-1/station-1") as station,
    ):
        assert station.may_write(MINE.status)
        assert station.may_write(MINE.camera("top", "alert"))
        assert station.may_write(MINE.camera("top", "image/some-id"))
        assert not station.may_write(OTHER.status)
        assert not station.may_write(OTHER.ack)
        assert not station.may_write(f"{OTHER.root}/cmd/restart")
        assert not station.may_write("graftline/plant")
        assert not station.may_write(f"{MINE.root}/cmd/trigger")
        assert station.may_write(MINE.reply("trigger", "1"))
        assert station.may_write(f"{MINE.root}/model/doctor")
        assert not station.may_write("$SYS/x")


def test_station_receives_what_is_meant_for_it_and_nothing_else(
    tmp_path: Path, plant: Authority
) -> None:
    with (
        broker_of(tmp_path, plant) as broker,
        Person(plant, broker, "plant/line-1/station-1") as station,
        Person(plant, broker, "collector") as collector,
    ):
        station.listen("#")
        assert collector.may_write(OTHER.ack)
        assert collector.may_write(f"{OTHER.root}/cmd/restart")
        assert collector.may_write(f"{MINE.root}/cmd/restart")
        assert collector.may_write(f"{MINE.root}/model/desired")
        assert collector.may_write(MINE.ack)
        assert not collector.may_write(MINE.camera("top", "alert"))
        assert until(lambda: len(station.received) == 2)
        topics = [topic.removeprefix(f"{MINE.root}/") for topic, _ in station.received]
        assert topics == ["cmd/restart", "ack"]


def test_dashboard_receives_from_every_station(
    tmp_path: Path, plant: Authority
) -> None:
    with (
        broker_of(tmp_path, plant) as broker,
        Person(plant, broker, "collector") as collector,
        Person(plant, broker, "plant/line-1/station-1") as first,
        Person(plant, broker, "plant/line-1/station-2") as second,
    ):
        collector.listen("graftline/#")
        assert first.may_write(MINE.camera("top", "alert"))
        assert second.may_write(OTHER.camera("top", "alert"))
        assert until(lambda: len(collector.received) == 2)


def test_common_name_with_a_wildcard_opens_nothing(
    tmp_path: Path, plant: Authority
) -> None:
    with (
        broker_of(tmp_path, plant) as broker,
        Person(plant, broker, "plant/line-1/+") as thief,
    ):
        assert not thief.may_write(MINE.status)
        assert not thief.may_write(OTHER.ack)


@pytest.mark.parametrize(
    "name", ["press", "press/line-1", "graftline", "press/line-1/"]
)
def test_common_name_of_fewer_than_three_levels_opens_no_station(
    tmp_path: Path, plant: Authority, name: str
) -> None:
    topics = [
        *(PRESS.status, PRESS.ack, PRESS.loss, f"{PRESS.root}/cmd/trigger"),
        *(PRESS.reply("trigger", "1"), f"{PRESS.root}/model/desired"),
        *(PRESS.camera("top", leaf) for leaf in ("alert", "status", "image/1")),
    ]
    with (
        broker_of(tmp_path, plant) as broker,
        Person(plant, broker, name) as thief,
        Person(plant, broker, "press/line-1/station-1") as station,
        Person(plant, broker, "collector") as collector,
    ):
        thief.listen("graftline/#")
        assert [topic for topic in topics if thief.may_write(topic)] == []
        assert station.may_write(PRESS.camera("top", "alert"))
        assert collector.may_write(PRESS.ack)
        assert station.may_write(PRESS.status)
        assert thief.received == []


def test_certificate_cannot_take_the_client_id_of_another(
    tmp_path: Path, plant: Authority
) -> None:
    with (
        broker_of(tmp_path, plant) as broker,
        Person(
            plant, broker, "plant/line-1/station-1", "plant/line-1/station-1"
        ) as one,
        Person(
            plant, broker, "plant/line-1/station-2", "plant/line-1/station-1"
        ) as two,
    ):
        assert two.may_write(OTHER.status)
        assert one.may_write(MINE.status)
        assert one.connects == 1
        assert "already connected" not in (tmp_path / "mosquitto.log").read_text()


@pytest.mark.fault(21)
def test_daemon_delivers_through_it_and_a_revoked_certificate_does_not(
    tmp_path: Path, plant: Authority
) -> None:
    revoked = plant.issue("plant/line-1/station-9", is_revoked=True)
    certificate, key = plant.issue("plant/line-1/station-1")
    login = {"tls_ca_file": plant.certificate_file}
    mine = {**login, "tls_cert_file": certificate, "tls_key_file": key}
    with (
        broker_of(tmp_path, plant) as broker,
        SimEdge(tmp_path, broker.port, collector_ack="off", **mine) as edge,
    ):
        edge.put_all(range(50))
        assert until(lambda: edge.outbox.depth() == 0)
        assert edge.publisher.alarm == ""
        assert "New client connected" in (tmp_path / "mosquitto.log").read_text("utf-8")
        his = {**login, "tls_cert_file": revoked[0], "tls_key_file": revoked[1]}
        settings = BrokerSettings.model_validate({"port": broker.port, **his})
        assert "revoked" in (explain_connection(settings, 10) or "")
