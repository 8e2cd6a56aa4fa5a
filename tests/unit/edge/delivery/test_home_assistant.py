"""The discovery message, and the file that keeps its topic."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config.monitoring import HomeAssistantSettings
from edge.config.station import BrokerSettings
from edge.delivery.home_assistant import (
    TOPIC_FILE,
    HomeAssistantDiscovery,
    build_discovery,
    discovery_topic,
)
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher import Publisher
from tests.simulators.alerts import TOPICS, station_status

TOPIC = "homeassistant/device/graftline-plant-line-1-station-1/config"


class SpyPublisher(Publisher):
    """A publisher that was never started, and what it is given.

    Attributes:
        published: Topic and payload.
    """

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(BrokerSettings(), outbox, TOPICS, station_status())
        self.published: list[tuple[str, bytes]] = []

    def publish_retained(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, payload))

    @property
    def connected(self) -> bool:
        return True


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[SpyPublisher]:
    outbox = Outbox(tmp_path / "outbox.db", TOPICS, 64 << 20)
    outbox.start()
    result = SpyPublisher(outbox)
    yield result
    result.stop(station_status(), 1)
    outbox.close()


def discovery(
    publisher: Publisher, folder: Path, *, enabled: bool, prefix: str = "homeassistant"
) -> HomeAssistantDiscovery:
    settings = HomeAssistantSettings(enabled=enabled, prefix=prefix)
    cameras = lambda: ["top"]  # noqa: E731 - one line
    gone = lambda: ["side"]  # noqa: E731
    return HomeAssistantDiscovery(
        settings, TOPICS, cameras, gone, "1", folder, publisher
    )


def test_every_entity_has_an_id_of_its_own() -> None:
    document = json.loads(build_discovery(TOPICS, ["top", "side"], "1"))
    components = document["components"]
    ids = {each["unique_id"] for each in components.values()}
    assert len(ids) == len(components) == 5 + 2 * 5
    assert components["top-image"]["image_topic"] == TOPICS.camera("top", "image/+")


def test_topic_holds_the_station() -> None:
    assert discovery_topic("homeassistant", TOPICS) == TOPIC


def test_message_is_published_and_its_topic_kept(
    publisher: SpyPublisher, tmp_path: Path
) -> None:
    discovery(publisher, tmp_path, enabled=True).start()
    ((topic, payload),) = publisher.published
    assert topic == TOPIC
    document = json.loads(payload)
    assert document["device"]["name"] == "plant line-1 station-1"
    parts = document["components"]
    assert parts["top-image"]["unique_id"]
    assert parts["side-image"] == {"platform": "image"}, "it is removed"
    assert (tmp_path / TOPIC_FILE).read_text() == f"{TOPIC}\n"


def test_message_is_removed_once_it_is_disabled(
    publisher: SpyPublisher, tmp_path: Path
) -> None:
    discovery(publisher, tmp_path, enabled=True).start()
    disabled = discovery(publisher, tmp_path, enabled=False)
    disabled.start()
    assert publisher.published[1:] == [(TOPIC, b"")]
    disabled.stop()
    assert not (tmp_path / TOPIC_FILE).exists()


def test_message_under_another_prefix_is_replaced(
    publisher: SpyPublisher, tmp_path: Path
) -> None:
    discovery(publisher, tmp_path, enabled=True).start()
    discovery(publisher, tmp_path, enabled=True, prefix="ha").start()
    topics = [topic for topic, _ in publisher.published]
    assert topics == [TOPIC, TOPIC, TOPIC.replace("homeassistant", "ha")]
    assert publisher.published[1][1] == b""


def test_nothing_is_published_where_it_was_never_enabled(
    publisher: SpyPublisher, tmp_path: Path
) -> None:
    never = discovery(publisher, tmp_path, enabled=False)
    never.start()
    never.stop()
    assert publisher.published == []
    assert not (tmp_path / TOPIC_FILE).exists()
