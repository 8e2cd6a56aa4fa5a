"""Certificates that are not accepted: the reason is reported, the alerts are kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.config.station import BrokerSettings
from edge.delivery.publisher.connection_diagnosis import explain_connection
from tests.simulators.broker import MOSQUITTO, Broker, free_port
from tests.simulators.certificates import Authority
from tests.simulators.edge import SimEdge
from tests.simulators.proxy import Proxy
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto"),
    # paho leaves the socket of a failed handshake to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
STATION = "plant/line-1/station-1"
Files = dict[str, Path]


@dataclass(frozen=True)
class Plant:
    """The plant's authority, and another one that no program here trusts."""

    ours: Authority
    foreign: Authority


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    folder = tmp_path_factory.mktemp("tls")
    return Plant(Authority(folder / "plant"), Authority(folder / "foreign"))


@contextmanager
def encrypted(
    folder: Path, plant: Plant, certificate: tuple[Path, Path] | None = None
) -> Iterator[Broker]:
    """Run a mosquitto that asks for certificates and knows who is revoked."""
    certificate_file, key_file = certificate or plant.ours.issue("broker")
    with Broker(
        folder,
        f"cafile {plant.ours.certificate_file}\ncertfile {certificate_file}\n"
        f"keyfile {key_file}\ncrlfile {plant.ours.crl_file}\n"
        "require_certificate true\nuse_identity_as_username true",
    ) as broker:
        yield broker


def login(authority: Authority, files: tuple[Path, Path] | None) -> Files:
    """Return the settings of a client that trusts an authority."""
    result = {"tls_ca_file": authority.certificate_file}
    if files is not None:
        result |= {"tls_cert_file": files[0], "tls_key_file": files[1]}
    return result


def good(plant: Plant) -> Files:
    return login(plant.ours, plant.ours.issue(STATION))


def expired(plant: Plant) -> Files:
    return login(plant.ours, plant.ours.issue(STATION, is_expired=True))


def revoked(plant: Plant) -> Files:
    return login(plant.ours, plant.ours.issue(STATION, is_revoked=True))


def of_a_foreign_authority(plant: Plant) -> Files:
    return login(plant.ours, plant.foreign.issue(STATION))


def without_a_certificate(plant: Plant) -> Files:
    return login(plant.ours, None)


def with_the_key_of_another(plant: Plant) -> Files:
    certificate, _ = plant.ours.issue(STATION)
    _, key = plant.ours.issue(STATION)
    return login(plant.ours, (certificate, key))


BAD_CLIENTS = [
    (expired, "our certificate has expired"),
    (revoked, "our certificate is revoked"),
    (of_a_foreign_authority, "does not know the authority that signed our certificate"),
    (without_a_certificate, "it requires a certificate, and none was sent"),
]


@pytest.mark.fault(21)
@pytest.mark.parametrize(("client", "reason"), BAD_CLIENTS)
def test_certificate_that_the_broker_refuses_is_an_alarm_with_its_reason(
    tmp_path: Path, plant: Plant, client: Callable[[Plant], Files], reason: str
) -> None:
    files = client(plant)
    with (
        encrypted(tmp_path, plant) as broker,
        SimEdge(tmp_path, broker.port, **files) as edge,
    ):
        edge.put(1)
        until(lambda: reason in edge.publisher.alarm, lambda: edge.publisher.problem)
        assert not edge.publisher.connected
        assert edge.outbox.depth() == 1
        settings = BrokerSettings.model_validate({"port": broker.port, **files})
        assert reason in (explain_connection(settings, 10) or "")


@pytest.mark.fault(21)
def test_key_of_another_certificate_is_reported_before_the_broker_is_asked(
    plant: Plant,
) -> None:
    files = with_the_key_of_another(plant)
    settings = BrokerSettings.model_validate({"port": free_port(), **files})
    reason = explain_connection(settings, 10)
    assert reason is not None
    assert "tls_cert_file" in reason
    assert "key values mismatch" in reason


@pytest.mark.fault(21)
def test_right_certificate_after_a_wrong_one_delivers_what_was_kept(
    tmp_path: Path, plant: Plant
) -> None:
    mine = tmp_path / "mine.pem", tmp_path / "mine.key"
    for target, source in zip(mine, plant.foreign.issue(STATION), strict=True):
        target.write_bytes(source.read_bytes())
    files = login(plant.ours, mine)
    with (
        encrypted(tmp_path, plant) as broker,
        SimEdge(tmp_path, broker.port, collector_ack="off", **files) as edge,
    ):
        edge.put_all(range(10))
        assert until(lambda: edge.publisher.alarm)
        # In between its two files do not go together: that is only one more refusal.
        for target, source in zip(mine, plant.ours.issue(STATION), strict=True):
            target.write_bytes(source.read_bytes())
        assert until(lambda: edge.outbox.depth() == 0)
        assert edge.publisher.alarm == ""


@pytest.mark.fault(21)
def test_explanation_finds_nothing_where_all_is_well(
    tmp_path: Path, plant: Plant
) -> None:
    with encrypted(tmp_path, plant) as broker:
        settings = BrokerSettings.model_validate({"port": broker.port, **good(plant)})
        assert explain_connection(settings, 10) is None


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("hosts", "is_expired", "reason"),
    [
        pytest.param(("127.0.0.9",), False, "to another address", id="wrong address"),
        pytest.param(("elsewhere",), False, "to another address", id="wrong name"),
        pytest.param(("127.0.0.1",), True, "it has expired", id="expired"),
    ],
)
def test_broker_with_a_wrong_certificate_gets_nothing(
    tmp_path: Path,
    plant: Plant,
    hosts: tuple[str, ...],
    is_expired: bool,
    reason: str,
) -> None:
    certificate = plant.ours.issue("broker", hosts=hosts, is_expired=is_expired)
    files = good(plant)
    with (
        encrypted(tmp_path, plant, certificate) as broker,
        Proxy(broker.port) as proxy,
        SimEdge(tmp_path, proxy.port, **files) as edge,
    ):
        edge.put(1)
        until(lambda: reason in edge.publisher.alarm, lambda: edge.publisher.problem)
        assert "the broker's certificate is not accepted" in edge.publisher.alarm
        assert edge.outbox.depth() == 1
        log = (broker.folder / "mosquitto.log").read_text("utf-8")
        assert "New client connected" not in log
        settings = BrokerSettings.model_validate({"port": broker.port, **files})
        assert reason in (explain_connection(settings, 10) or "")


@pytest.mark.fault(22)
def test_broker_of_a_foreign_authority_is_refused_with_its_reason(
    tmp_path: Path, plant: Plant
) -> None:
    files = login(plant.foreign, plant.ours.issue(STATION))
    with encrypted(tmp_path, plant) as broker:
        settings = BrokerSettings.model_validate({"port": broker.port, **files})
        reason = explain_connection(settings, 10)
    assert reason is not None
    assert "an authority that is not in tls_ca_file" in reason


# --- ports that are not what was meant -----------------------------------------------


@pytest.mark.fault(22)
def test_plain_and_encrypted_ports_are_not_mixed_up(
    tmp_path: Path, plant: Plant
) -> None:
    with encrypted(tmp_path, plant) as broker:
        plain = BrokerSettings.model_validate({"port": broker.port})
        assert "need TLS" in (explain_connection(plain, 10) or "")
    with Broker(tmp_path) as broker:
        secret = BrokerSettings.model_validate({"port": broker.port, **good(plant)})
        reason = explain_connection(secret, 10)
        assert reason is not None  # it hangs up in one way or another
        assert explain_connection(plain_at(broker.port), 10) is None


@pytest.mark.fault(20)
def test_explanation_names_a_wrong_password(tmp_path: Path) -> None:
    with Broker(tmp_path, "allow_anonymous false") as broker:
        reason = explain_connection(plain_at(broker.port), 10)
    assert reason == "the broker refuses the login: not authorized"


def test_explanation_of_a_port_without_a_listener_is_connection_refused() -> None:
    assert explain_connection(plain_at(free_port()), 10) == "Connection refused"


def test_explanation_does_not_wait_without_end(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker, Proxy(broker.port) as proxy:
        proxy.weather.swallows = True
        reason = explain_connection(plain_at(proxy.port), 0.3)
    assert reason == "no answer within 0.3 s"


def plain_at(port: int) -> BrokerSettings:
    return BrokerSettings.model_validate({"port": port})
