"""Cameras that were renamed or removed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.config.station import BrokerSettings
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.published_cameras import FILE, GONE_MAX, PublishedCameras
from edge.delivery.publisher import Publisher
from tests.simulators.alerts import TOPICS, station_status


class SpyPublisher(Publisher):
    """A publisher that was never started, and the topics that it empties."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__(BrokerSettings(), outbox, TOPICS, station_status())
        self.emptied: list[str] = []
        self.is_up = True

    def publish_retained(self, topic: str, payload: bytes) -> None:
        assert payload == b""
        self.emptied.append(topic)

    @property
    def connected(self) -> bool:
        return self.is_up


class Station:
    """Starts of one daemon, with other cameras each time."""

    def __init__(self, folder: Path, publisher: SpyPublisher) -> None:
        self.folder, self.publisher = folder, publisher
        self.names: list[str] = []
        self.depth = 0

    def start(self, *names: str) -> PublishedCameras:
        self.names = list(names)
        cameras = PublishedCameras(
            TOPICS,
            lambda: self.names,
            self.folder,
            self.publisher,
            lambda: self.depth,
        )
        cameras.start()
        return cameras

    @property
    def kept(self) -> list[str]:
        names: list[str] = json.loads((self.folder / FILE).read_text())
        return names


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    outbox = Outbox(tmp_path / "outbox.db", TOPICS, 64 << 20)
    outbox.start()
    publisher = SpyPublisher(outbox)
    yield Station(tmp_path, publisher)
    publisher.stop(station_status(), 1)
    outbox.close()


def status_of(camera: str) -> str:
    return TOPICS.camera(camera, "status")


def test_camera_that_is_renamed_over_a_restart_is_retired(station: Station) -> None:
    station.start("top", "side").check()
    assert station.publisher.emptied == []
    again = station.start("top", "left")
    assert again.gone == ("side",)
    again.check()
    again.check()
    assert station.publisher.emptied == [status_of("side")]
    again.stop()
    assert station.kept == ["left", "top"]


def test_camera_that_a_reload_removes_is_retired(station: Station) -> None:
    cameras = station.start("top", "side")
    station.names = ["top"]
    cameras.start()
    cameras.check()
    assert station.publisher.emptied == [status_of("side")]
    station.names = ["top", "side"]  # and comes back
    cameras.start()
    cameras.check()
    cameras.stop()
    assert station.kept == ["side", "top"]


@pytest.mark.parametrize("reason", ["events wait", "no broker"])
def test_camera_is_kept_until_its_last_event_is_delivered(
    station: Station, reason: str
) -> None:
    station.start("old").stop()
    station.depth = reason == "events wait"
    station.publisher.is_up = reason != "no broker"
    cameras = station.start("new")
    cameras.check()
    cameras.stop()
    assert station.publisher.emptied == []
    assert station.kept == ["new", "old"]
    station.depth, station.publisher.is_up = 0, True
    cameras.check()
    assert station.publisher.emptied == [status_of("old")]


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b'{"a": 1}', b'["a/b"]', b"[" * 50_000]
)
def test_damaged_file_is_written_again(station: Station, content: bytes) -> None:
    (station.folder / FILE).write_bytes(content)
    cameras = station.start("top")
    cameras.check()
    assert station.publisher.emptied == []
    assert station.kept == ["top"]


def test_names_are_limited(station: Station) -> None:
    station.start(*(f"camera-{n}" for n in range(GONE_MAX + 9))).stop()
    cameras = station.start("top")
    assert len(cameras.gone) == GONE_MAX
