"""What Home Assistant must know to show a station: one message, made here. Pure.

It names topics that the station speaks on anyway; nothing is published twice for it.

Source:
    Home Assistant, "MQTT": device discovery, one retained message
    ``<prefix>/device/<id>/config`` for all entities of a device; an empty one takes it
    back. ``image_topic`` may hold a wildcard: it is a topic to subscribe to.
"""

import json
from collections.abc import Sequence

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
