"""Publishes the discovery message of Home Assistant, and removes it.

The message names topics that the station publishes anyway; nothing is published a
second time. Its topic is kept in a file beside the outbox: a retained message stays at
the broker after the daemon has ended, and can only be removed by its topic. Without
that file no message is removed.

Source:
    Home Assistant, "MQTT": device discovery, one retained message
    ``<prefix>/device/<id>/config`` for all entities of a device; an empty one removes
    it. ``image_topic`` may hold a wildcard: it is a topic to subscribe to.
"""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.config.monitoring import HomeAssistantSettings
from edge.delivery.publisher import Publisher
from models.files import read_regular, write_atomically
from models.home_assistant import (
    device_identity,
    discovery_topic,
    removed_components,
)
from models.messages import CameraState, DaemonState
from models.topics import StationTopics

ONLINE = (DaemonState.INIT, DaemonState.READY, DaemonState.DEGRADED)
TOPIC_MAX_BYTES = 65_536  # longest topic of MQTT
TOPIC_FILE = "home-assistant.topic"
Component = dict[str, object]
logger = logging.getLogger(__name__)


def build_discovery(
    topics: StationTopics,
    cameras: Sequence[str],
    version: str,
    gone: Sequence[str] = (),
) -> bytes:
    """Return the discovery message of a station.

    Args:
        gone: Cameras whose components are removed.
    """
    identity = device_identity(topics)
    components = _station(topics)
    for camera in cameras:
        components |= _camera(topics, camera)
    for name, component in components.items():
        component["unique_id"] = f"{identity}-{name}"
    for camera in gone:
        components |= removed_components(camera)
    is_online = " or ".join(f"value_json.state == '{state.value}'" for state in ONLINE)
    document = {
        "device": {
            "identifiers": [identity],
            "name": f"{topics.site} {topics.line} {topics.station}",
            "manufacturer": "Graftline",
            "model": "Inspection station",
            "sw_version": version,
        },
        "origin": {"name": "graftline", "sw_version": version},
        "availability": [
            {
                "topic": topics.status,
                "value_template": "{{ 'online' if " + is_online + " else 'offline' }}",
            }
        ],
        "qos": 1,
        "components": components,
    }
    return json.dumps(document).encode()


def _station(topics: StationTopics) -> dict[str, Component]:
    status = topics.status
    return {
        "state": _choice("State", status, [state.value for state in DaemonState]),
        "problem": {
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            "state_topic": status,
            "value_template": "{{ 'ON' if value_json.reason else 'OFF' }}",
        },
        "reason": _sensor("Reason", status, "value_json.reason"),
        "model": _sensor(
            "Model",
            status,
            "value_json.model.name ~ ' build ' ~ value_json.model.build "
            "if value_json.model else 'none'",
        ),
        "outbox": _sensor("Alerts waiting", status, "value_json.outbox_depth")
        | {"state_class": "measurement"},
    }


def _camera(topics: StationTopics, camera: str) -> dict[str, Component]:
    status, stats = (topics.camera(camera, leaf) for leaf in ("status", "stats"))
    alert = topics.camera(camera, "alert")
    states = [state.value for state in CameraState]
    return {
        f"{camera}-state": _choice(f"{camera} state", status, states),
        f"{camera}-alerts": _sensor(camera + " alerts", stats, "value_json.alerts")
        | {"state_class": "total_increasing"},
        f"{camera}-fps": _sensor(f"{camera} rate", stats, "value_json.fps")
        | {"state_class": "measurement", "unit_of_measurement": "frames/s"},
        f"{camera}-defect": _sensor(
            f"{camera} last defect",
            alert,
            "value_json.data.detections | map(attribute='label') | join(', ')",
        ),
        f"{camera}-image": {
            "platform": "image",
            "name": f"{camera} last alert",
            "image_topic": topics.camera(camera, "image/+"),
            "content_type": "image/jpeg",
        },
    }


def _sensor(name: str, topic: str, value: str) -> Component:
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": topic,
        "value_template": "{{ " + value + " }}",
    }


def _choice(name: str, topic: str, options: list[str]) -> Component:
    sensor = _sensor(name, topic, "value_json.state")
    return sensor | {"device_class": "enum", "options": options}


class HomeAssistantDiscovery:
    """Keeps the discovery message in accordance with the configuration.

    Args:
        cameras: Returns the names of the cameras in force.
        gone: Returns those that were published and are not in force any more.
        folder: For the file that keeps the topic.
        publisher: Publishes the message at each connect.
    """

    def __init__(
        self,
        settings: HomeAssistantSettings,
        topics: StationTopics,
        cameras: Callable[[], Sequence[str]],
        gone: Callable[[], Sequence[str]],
        version: str,
        folder: Path,
        publisher: Publisher,
    ) -> None:
        self._settings, self._publisher = settings, publisher
        self._topic = discovery_topic(settings.prefix, topics)
        self._topics, self._version = topics, version
        self._cameras, self._gone = cameras, gone
        self._topic_file = folder / TOPIC_FILE
        self._is_removed = False

    def start(self) -> None:
        """Publish or remove the message; called again when the cameras change."""
        before = self._published_topic()
        wanted = self._topic if self._settings.enabled else ""
        if before and before != wanted:
            self._publisher.publish_retained(before, b"")
            self._is_removed = not wanted
            logger.info("home_assistant_taken_back topic=%s", before)
        if wanted:
            self._keep_topic(wanted)
            content = build_discovery(
                self._topics, self._cameras(), self._version, self._gone()
            )
            self._publisher.publish_retained(wanted, content)

    def stop(self) -> None:
        """Delete the kept topic of a message that was removed."""
        if not (self._is_removed and self._publisher.connected):
            return
        try:
            self._topic_file.unlink(missing_ok=True)
        except OSError as exc:  # the message is removed once more at the next start
            logger.warning("note_not_removed path=%s reason=%s", self._topic_file, exc)

    def _published_topic(self) -> str:
        """Return the topic of an earlier message; empty if there is none."""
        try:
            return read_regular(self._topic_file, TOPIC_MAX_BYTES).decode().strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as exc:
            logger.warning("note_unreadable path=%s reason=%s", self._topic_file, exc)
            return ""

    def _keep_topic(self, topic: str) -> None:
        """Keep the topic of a message before it is published."""
        try:
            write_atomically(self._topic_file, f"{topic}\n".encode())
        except OSError as exc:
            logger.warning("note_not_written path=%s reason=%s", self._topic_file, exc)
