"""Other brokers than an open mosquitto: MQTT 3.1.1 only, TLS, client certificates."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from edge.config.station import BrokerSettings, CollectorAck
from edge.delivery.outbox.outbox import EventKind, Outbox
from edge.delivery.publisher import Publisher
from models.errors import ConfigError
from models.messages import DaemonState
from tests.simulators.alerts import ALERT_TOPIC, TOPICS, alert, jpeg, station_status
from tests.simulators.amqtt_broker import amqtt_broker
from tests.simulators.broker import MOSQUITTO, Broker
from tests.simulators.collector import SimCollector
from tests.waiting import until

pytestmark = pytest.mark.e2e
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto")


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    result = Outbox(tmp_path / "outbox.db", TOPICS, 64 << 20)
    result.start()
    yield result
    result.close()


@contextmanager
def publishing(outbox: Outbox, **broker: object) -> Iterator[Publisher]:
    settings = BrokerSettings.model_validate({"reconnect_max_s": 1, **broker})
    will = station_status(DaemonState.LOST)
    publisher = Publisher(settings, outbox, TOPICS, will)
    publisher.start()
    yield publisher
    publisher.stop(station_status(DaemonState.DISCONNECTED), 3)


def put(outbox: Outbox, frame_id: int) -> None:
    image = jpeg(frame_id, 3000)
    content = alert(frame_id, image)
    outbox.put(EventKind.ALERT, ALERT_TOPIC, content, image).result(10)


@pytest.mark.fault(25)
def test_broker_without_mqtt_5_is_used_in_311(tmp_path: Path, outbox: Outbox) -> None:
    put(outbox, 1)
    with (
        amqtt_broker(tmp_path) as port,
        SimCollector(tmp_path, port, MQTTProtocolVersion.MQTTv311) as collector,
        publishing(outbox, port=port) as publisher,
    ):
        assert until(lambda: publisher.connected)
        put(outbox, 2)
        assert collector.wait_for(2) == 2
        assert until(lambda: outbox.depth() == 0)


@needs_mosquitto
@pytest.mark.fault(74)
def test_node_that_is_gone_is_passed_over_where_a_name_has_several_addresses(
    tmp_path: Path, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(_host: str, port: int, *_: object) -> list[tuple[Any, ...]]:
        nodes = ("127.0.0.2", "127.0.0.1")  # nothing listens on the first one
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", (node, port)) for node in nodes
        ]

    put(outbox, 1)
    with Broker(tmp_path) as broker, SimCollector(tmp_path, broker.port) as collector:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        host = "brokers.plant.example"
        with publishing(outbox, host=host, port=broker.port):
            assert collector.wait_for(1) == 1
            assert until(lambda: outbox.depth() == 0)


# --- TLS -----------------------------------------------------------------------------


def openssl(*arguments: str | Path) -> None:
    command = ["openssl", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)


class Certificates:
    """An authority, and what it has signed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.ca = folder / "ca.pem"
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl(
            *("req", "-x509", *curve, "-days", "2", "-subj", f"/CN={folder.name}"),
            *("-keyout", folder / "ca.key", "-out", self.ca),
        )
        self._curve = curve

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key for a name."""
        key, request = self.folder / f"{name}.key", self.folder / f"{name}.csr"
        certificate = self.folder / f"{name}.pem"
        openssl(
            *("req", *self._curve, "-subj", f"/CN={name}"),
            *("-keyout", key, "-out", request),
        )
        extra = self.folder / "extra"
        extra.write_text("subjectAltName = IP:127.0.0.1, DNS:localhost\n")
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-days", "2"),
            *("-CAkey", self.folder / "ca.key", "-CAcreateserial"),
            *("-extfile", extra, "-out", certificate),
        )
        return certificate, key


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls") / "authority")


@contextmanager
def encrypted(folder: Path, authority: Certificates) -> Iterator[Broker]:
    """Run a mosquitto that asks for certificates."""
    certificate, key = authority.issue("broker")
    with Broker(
        folder,
        f"set_tcp_nodelay true\ncafile {authority.ca}\ncertfile {certificate}\n"
        f"keyfile {key}\nrequire_certificate true\nuse_identity_as_username true",
    ) as broker:
        yield broker


@needs_mosquitto
def test_station_with_its_certificate_delivers_over_tls(
    tmp_path: Path, outbox: Outbox, authority: Certificates
) -> None:
    certificate, key = authority.issue("plant-line-1-station-1")
    with (
        encrypted(tmp_path, authority) as broker,
        publishing(
            outbox,
            port=broker.port,
            tls_ca_file=authority.ca,
            tls_cert_file=certificate,
            tls_key_file=key,
            collector_ack=CollectorAck.OFF,
        ),
    ):
        for number in range(50):
            put(outbox, number)
        assert until(lambda: outbox.depth() == 0)


@pytest.mark.fault(21)
@needs_mosquitto
def test_station_without_a_certificate_keeps_its_alerts_and_reports_it(
    tmp_path: Path, outbox: Outbox, authority: Certificates
) -> None:
    with (
        encrypted(tmp_path, authority) as broker,
        publishing(outbox, port=broker.port, tls_ca_file=authority.ca) as publisher,
    ):
        put(outbox, 1)
        assert until(lambda: publisher.problem != "")
        assert not publisher.connected
        assert outbox.depth() == 1


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.fault(22)
@needs_mosquitto
def test_broker_of_a_foreign_authority_gets_nothing(
    tmp_path: Path, outbox: Outbox, authority: Certificates
) -> None:
    foreign = Certificates(tmp_path / "foreign")
    with (
        encrypted(tmp_path, authority) as broker,
        publishing(outbox, port=broker.port, tls_ca_file=foreign.ca) as publisher,
    ):
        put(outbox, 1)
        assert until(lambda: "certificate verify failed" in publisher.problem)
        assert outbox.depth() == 1


@pytest.mark.parametrize(
    ("broker", "field"),
    [
        ({"tls_ca_file": "absent.pem"}, "tls_ca_file"),
        ({"tls_ca_file": "rubbish.pem"}, "tls_ca_file"),
        (
            {
                "tls_ca_file": "ca.pem",
                "tls_cert_file": "rubbish.pem",
                "tls_key_file": "rubbish.pem",
            },
            "tls_cert_file",
        ),
        ({"username": "edge", "password_file": "absent"}, "password_file"),
    ],
)
def test_credentials_that_cannot_be_read_stop_the_start(
    tmp_path: Path,
    outbox: Outbox,
    authority: Certificates,
    broker: dict[str, str],
    field: str,
) -> None:
    (tmp_path / "rubbish.pem").write_text("rubbish")
    (tmp_path / "ca.pem").write_bytes(authority.ca.read_bytes())
    paths = {k: v if k == "username" else tmp_path / v for k, v in broker.items()}
    settings = BrokerSettings.model_validate(paths)
    publisher = Publisher(settings, outbox, TOPICS, station_status())
    with pytest.raises(ConfigError, match=field) as caught:
        publisher.start()
    assert caught.value.fix
    publisher.stop(station_status(), 1)
