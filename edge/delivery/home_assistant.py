"""What Home Assistant must know to show a station: one message, made here. Pure.

It names topics that the station speaks on anyway; nothing is published twice for it.

Source:
    Home Assistant, "MQTT": device discovery, one retained message
    ``<prefix>/device/<id>/config`` for all entities of a device; an empty one takes it
    back. ``image_topic`` may hold a wildcard: it is a topic to subscribe to.

Announces the station to Home Assistant, and takes an announcement back.

What was announced is noted in a file beside the outbox: a retained message outlives the
daemon that sent it, and only who knows that it is there can take it back. A broker on
which nothing was ever announced hears nothing about it.
"""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.config.monitoring import HomeAssistantSettings
from edge.delivery.publisher import Publisher
from models.files import write_atomically
from models.messages import CameraState, DaemonState
from models.topics import StationTopics

HERE = (DaemonState.INIT, DaemonState.READY, DaemonState.DEGRADED)
Component = dict[str, object]


def discovery_topic(prefix: str, topics: StationTopics) -> str:
    """Return where a station is announced.

    Args:
        prefix: That Home Assistant is set to.
        topics: Of the station.

    >>> discovery_topic("homeassistant", StationTopics("s", "l", "press-1"))
    'homeassistant/device/graftline-s-l-press-1/config'
    """
    return f"{prefix}/device/{_identity(topics)}/config"


def build_discovery(
    topics: StationTopics, cameras: Sequence[str], version: str
) -> bytes:
    """Return the announcement of a station.

    Args:
        topics: Of the station.
        cameras: Names of its cameras.
        version: Of Graftline.
    """
    identity = _identity(topics)
    components = _station(topics)
    for camera in cameras:
        components |= _camera(topics, camera)
    for name, component in components.items():
        component["unique_id"] = f"{identity}-{name}"
    is_here = " or ".join(f"value_json.state == '{state.value}'" for state in HERE)
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
                "value_template": "{{ 'online' if " + is_here + " else 'offline' }}",
            }
        ],
        "qos": 1,
        "components": components,
    }
    return json.dumps(document).encode()


def _identity(topics: StationTopics) -> str:
    """Return the name of the device, of letters, digits and dashes."""
    return topics.root.replace("/", "-")


def _station(topics: StationTopics) -> dict[str, Component]:
    """Return what is shown of the station."""
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
    """Return what is shown of a camera."""
    status, stats = (topics.camera(camera, leaf) for leaf in ("status", "stats"))
    alert = topics.camera(camera, "alert")
    states = [state.value for state in CameraState]
    return {
        f"{camera}-state": _choice(f"{camera} state", status, states),
        f"{camera}-alerts": _sensor(f"{camera} alerts", stats, "value_json.alerts")
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
    """Return a sensor that shows a value of a JSON message."""
    return {
        "platform": "sensor",
        "name": name,
        "state_topic": topic,
        "value_template": "{{ " + value + " }}",
    }


def _choice(name: str, topic: str, options: list[str]) -> Component:
    """Return a sensor that shows one of some states."""
    sensor = _sensor(name, topic, "value_json.state")
    return sensor | {"device_class": "enum", "options": options}


NOTE_NAME = "home-assistant.topic"
logger = logging.getLogger(__name__)


class HomeAssistantDiscovery:
    """Keeps the announcement as the configuration wants it.

    Args:
        settings: Whether, and where.
        topics: Of this station.
        cameras: Gives the names of those in force.
        version: Of Graftline.
        folder: For the note.
        publisher: Way to the broker.
    """

    def __init__(
        self,
        settings: HomeAssistantSettings,
        topics: StationTopics,
        cameras: Callable[[], Sequence[str]],
        version: str,
        folder: Path,
        publisher: Publisher,
    ) -> None:
        self._settings, self._publisher = settings, publisher
        self._topic = discovery_topic(settings.prefix, topics)
        self._topics, self._cameras, self._version = topics, cameras, version
        self._note = folder / NOTE_NAME
        self._taken_back = False

    def start(self) -> None:
        """Announce, or take back; told again by the publisher at each connect.

        Called again when there are other cameras.
        """
        before = self._noted()
        wanted = self._topic if self._settings.enabled else ""
        if before and before != wanted:
            self._publisher.publish_retained(before, b"")
            self._taken_back = not wanted
            logger.info("home_assistant_taken_back topic=%s", before)
        if wanted:
            self._write_note(wanted)
            content = build_discovery(self._topics, self._cameras(), self._version)
            self._publisher.publish_retained(wanted, content)

    def stop(self) -> None:
        """Forget an announcement that the broker was told to drop."""
        if not (self._taken_back and self._publisher.connected):
            return
        try:
            self._note.unlink(missing_ok=True)
        except OSError as exc:  # it is taken back once more at the next start
            logger.warning("note_not_removed path=%s reason=%s", self._note, exc)

    def _noted(self) -> str:
        """Return the topic of an earlier announcement; empty if there is none."""
        try:
            return self._note.read_text("utf-8").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as exc:
            logger.warning("note_unreadable path=%s reason=%s", self._note, exc)
            return ""

    def _write_note(self, topic: str) -> None:
        """Remember an announcement before it is made."""
        try:
            write_atomically(self._note, f"{topic}\n".encode())
        except OSError as exc:
            logger.warning("note_not_written path=%s reason=%s", self._note, exc)
