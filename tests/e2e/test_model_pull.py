"""A retained MQTT message makes the agent fetch a release and install it.

The agent is a process with the real self-test, behind the broker and the access list
of `graftline broker-config`, with a certificate of its own.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models.messages import DesiredModel, PullState, ReportedModel
from models.slot_files import SlotFolder
from models.topics import StationTopics
from tests.command import environment
from tests.e2e.test_broker_config import Person, broker_of
from tests.simulators.agent_pc import Workstation
from tests.simulators.broker import MOSQUITTO
from tests.simulators.certificates import Authority
from tests.simulators.packages import make_package
from tests.simulators.static_server import StaticServer
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto"),
]
TOPICS = StationTopics("plant", "line-1", "station-1")
CONFIG = """
slot = "line-pc"
[station]
site = "plant"
line = "line-1"
station = "station-1"
[broker]
port = {port}
tls_ca_file = "{ca}"
tls_cert_file = "{certificate}"
tls_key_file = "{key}"
[pull]
sources = ["{url}"]
"""


def last_report(person: Person) -> ReportedModel | None:
    payloads = [p for topic, p in person.received if topic == TOPICS.reported_model]
    return ReportedModel.model_validate_json(payloads[-1]) if payloads else None


def test_desired_model_is_fetched_installed_and_reported(tmp_path: Path) -> None:
    plant = Authority(tmp_path / "plant")
    workstation = Workstation.make(tmp_path / "keys")
    line_pc = workstation.line_pc(tmp_path / "line-pc")
    package = make_package(tmp_path / "package")
    certificate, key = plant.issue("plant/line-1/station-1/model")
    (tmp_path / "broker").mkdir()
    with (
        broker_of(tmp_path / "broker", plant) as broker,
        workstation.delivery(package) as delivery,
        StaticServer(delivery.folder) as server,
        Person(plant, broker, "collector") as collector,
        Person(plant, broker, "plant/line-1/station-1") as daemon,
    ):
        text = CONFIG.format(
            port=broker.port,
            ca=plant.certificate_file,
            certificate=certificate,
            key=key,
            url=server.url,
        )
        (tmp_path / "agent.toml").write_text(text)
        collector.listen("graftline/#")
        command = [sys.executable, "-m", "graftline", "agent", "--config", "agent.toml"]
        with (tmp_path / "agent.log").open("wb") as log:
            agent = subprocess.Popen(
                command, cwd=tmp_path, env=environment(), stderr=log
            )
        try:
            idle = until(lambda: last_report(collector))
            assert idle.state is PullState.IDLE
            order = DesiredModel(
                name="bright-cells", build=1, sha256=package.sha256, url=server.url
            )
            collector.publish(TOPICS.desired_model, order.model_dump_json())
            done = until(
                lambda: (
                    report
                    if (report := last_report(collector))
                    and report.state is PullState.IN_FORCE
                    else None
                ),
                (tmp_path / "agent.log").read_text,
                60,
            )
            assert done.model is not None
            assert done.model.sha256 == package.sha256
            slot = SlotFolder(line_pc.root)
            assert slot.package_of(slot.current) == package.sha256
            # The daemon of this station keeps its connection and cannot answer for it.
            assert daemon.connects == 1
            assert not daemon.may_write(TOPICS.reported_model)
        finally:
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(20) == 0, (tmp_path / "agent.log").read_text()


def test_certificate_of_the_agent_opens_its_two_topics_only(tmp_path: Path) -> None:
    plant = Authority(tmp_path / "plant")
    other = StationTopics("plant", "line-1", "station-2")
    (tmp_path / "broker").mkdir()
    with broker_of(tmp_path / "broker", plant) as broker:
        # The broker ends a connection after a message that it denies.
        # So another one reads.
        with Person(plant, broker, "plant/line-1/station-1/model") as agent:
            assert agent.may_write(TOPICS.reported_model)
            for topic in (
                TOPICS.status,
                TOPICS.ack,
                TOPICS.desired_model,
                TOPICS.camera("top", "alert"),
                other.reported_model,
                f"{TOPICS.root}/cmd/trigger",
            ):
                assert not agent.may_write(topic), topic
        with (
            Person(plant, broker, "plant/line-1/station-1/model") as agent,
            Person(plant, broker, "plant/line-1/station-1") as daemon,
            Person(plant, broker, "collector") as collector,
        ):
            agent.listen("#")
            daemon.listen("#")
            topics = (other.desired_model, TOPICS.ack, TOPICS.desired_model)
            assert all(map(collector.may_write, topics))
            assert until(lambda: agent.received and daemon.received)
            assert [topic for topic, _ in agent.received] == [TOPICS.desired_model]
            assert [topic for topic, _ in daemon.received] == [TOPICS.ack]
