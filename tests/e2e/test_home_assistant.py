"""Home Assistant finds a station by itself where enabled, and loses it again."""

import json
import re
import time
from pathlib import Path
from typing import Any, Self

import jinja2
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from models.errors import ConfigError
from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.videos import defect_between, write_video
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TOPIC = "homeassistant/device/graftline-site-line-station/config"
ENABLED = "[home_assistant]\nenabled = true\n"


class Home:
    """Receives everything on a broker, as Home Assistant would."""

    def __init__(self, port: int) -> None:
        self.messages: dict[str, list[bytes]] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._client.subscribe("#", 1)

    def _hear(self, _: object, __: object, message: mqtt.MQTTMessage) -> None:
        self.messages.setdefault(message.topic, []).append(message.payload)

    def last(self, pattern: str) -> bytes | None:
        """Return the last message on a topic; ``+`` stands for one level."""
        expression = re.escape(pattern).replace(r"\+", "[^/]+")
        found = [m for t, m in self.messages.items() if re.fullmatch(expression, t)]
        return found[-1][-1] if found else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def retained(port: int) -> dict[str, bytes]:
    """Return what a broker keeps for those who come later."""
    with Home(port) as home:
        sentinel = f"sentinel/{time.monotonic_ns()}"
        home._client.publish(sentinel, b"x", qos=1)  # noqa: SLF001 (our own)
        until(lambda: sentinel in home.messages)
        return {t: m[-1] for t, m in home.messages.items() if t != sentinel}


@pytest.fixture
def pc(tmp_path: Path) -> DaemonPc:
    pc = DaemonPc(tmp_path, 1)
    write_video(pc.folder / "a.avi", 100, 20, defect_between(5, 99))
    return pc


def shown(component: dict[str, Any], home: Home) -> str:
    """Return what Home Assistant would show for a component."""
    message = home.last(component["state_topic"])
    assert message is not None, component
    template = jinja2.Environment(autoescape=False).from_string(  # noqa: S701
        component["value_template"]
    )
    return template.render(value_json=json.loads(message))


def test_every_entity_shows_what_the_daemon_publishes(
    pc: DaemonPc, tmp_path: Path
) -> None:
    (tmp_path / "broker").mkdir()
    pc.tables = ENABLED
    with Broker(tmp_path / "broker") as broker, Home(broker.port) as home:
        pc.port = broker.port
        with SimCollector(tmp_path, broker.port):
            code, _, stderr = pc.run(camera_table("belt", "a.avi"))
        assert code == 0, stderr
        announced = home.last(TOPIC)
        assert announced is not None
        document = json.loads(announced)
        parts = document["components"]
        values = {
            name: shown(part, home)
            for name, part in parts.items()
            if "state_topic" in part
        }
        assert values["state"] == "disconnected"
        assert (values["problem"], values["reason"]) == ("OFF", "")
        assert values["model"] == "bright-cells build 1"
        assert values["outbox"].isdigit()
        assert values["belt-state"] == "ended"
        assert int(values["belt-alerts"]) in {0, 1}
        assert float(values["belt-fps"]) >= 0
        assert values["belt-defect"] == "bright"
        image = home.last(parts["belt-image"]["image_topic"])
        assert image is not None
        assert image.startswith(b"\xff\xd8")  # JPEG
        (availability,) = document["availability"]
        template = jinja2.Template(availability["value_template"])
        states = [
            (
                json.loads(message)["state"],
                template.render(value_json=json.loads(message)),
            )
            for message in home.messages[availability["topic"]]
        ]
        assert ("ready", "online") in states
        assert states[-1] == ("disconnected", "offline")
    ids = [part["unique_id"] for part in parts.values()]
    assert len(set(ids)) == len(ids)
    assert all(part["platform"] for part in parts.values())


def test_announcement_is_retained_and_removed_when_disabled(
    pc: DaemonPc, tmp_path: Path
) -> None:
    (tmp_path / "broker").mkdir()
    camera = camera_table("belt", "a.avi", fps=100.0)
    with (
        Broker(tmp_path / "broker") as broker,
        SimCollector(tmp_path, broker.port),
    ):
        pc.port = broker.port
        assert pc.run(camera)[0] == 0
        assert TOPIC not in retained(broker.port)  # it was never enabled
        pc.tables = ENABLED
        assert pc.run(camera)[0] == 0
        assert TOPIC in retained(broker.port)
        pc.tables = ENABLED + 'prefix = "house/two"\n'
        camera = camera_table("renamed", "a.avi", fps=100.0)
        assert pc.run(camera)[0] == 0
        kept = retained(broker.port)
        topics = [t for t in kept if t.endswith("/config")]
        assert topics == [TOPIC.replace("homeassistant", "house/two")]
        parts = json.loads(kept[topics[0]])["components"]
        assert parts["renamed-state"]["unique_id"]
        assert parts["belt-state"] == {"platform": "sensor"}, "it is removed there"
        cameras = {t.split("/")[5] for t in kept if "/camera/" in t}
        assert cameras == {"renamed"}
        pc.tables = ""
        assert pc.run(camera)[0] == 0
        assert not [t for t in retained(broker.port) if t.endswith("/config")]
    assert not (pc.folder / "home-assistant.topic").exists()


def test_prefix_that_is_no_topic_is_refused(pc: DaemonPc) -> None:
    pc.tables = ENABLED + 'prefix = "home/#"\n'
    code, _, stderr = pc.run(camera_table("belt", "a.avi"))
    assert code == ConfigError.exit_code
    assert "home_assistant.prefix" in stderr
