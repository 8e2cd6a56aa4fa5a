"""What a station announces to Home Assistant: topic, device, and the parts of a camera.

Source:
    Home Assistant, "MQTT": device discovery. A retained message on
    ``<prefix>/device/<id>/config`` describes all components of a device; an empty one
    removes the device, and a component with nothing but its platform is removed.
"""

import json
from typing import Final

from models.topics import StationTopics

CAMERA_PLATFORMS: Final = {
    "state": "sensor",
    "alerts": "sensor",
    "fps": "sensor",
    "defect": "sensor",
    "image": "image",
}


def device_identity(topics: StationTopics) -> str:
    """Return the id of a station's device, of letters, digits and dashes."""
    return topics.root.replace("/", "-")


def discovery_topic(prefix: str, topics: StationTopics) -> str:
    """Return the topic of the discovery message of a station.

    Args:
        prefix: Discovery prefix that is set in Home Assistant.

    >>> discovery_topic("homeassistant", StationTopics("s", "l", "press-1"))
    'homeassistant/device/graftline-s-l-press-1/config'
    """
    return f"{prefix}/device/{device_identity(topics)}/config"


def camera_removal(topics: StationTopics, camera: str) -> bytes:
    """Return the message that removes a camera from a station's device.

    It is not to be retained: the station's own message describes what is left.
    """
    document = {
        "device": {"identifiers": [device_identity(topics)]},
        "origin": {"name": "graftline"},
        "components": removed_components(camera),
    }
    return json.dumps(document).encode()


def removed_components(camera: str) -> dict[str, dict[str, object]]:
    """Return the components of a camera as Home Assistant removes them."""
    return {
        f"{camera}-{part}": {"platform": platform}
        for part, platform in CAMERA_PLATFORMS.items()
    }
