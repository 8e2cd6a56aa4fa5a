"""One connection to the broker to see what it lets us do, for ``graftline doctor``."""

import socket
import time
from contextlib import closing
from dataclasses import dataclass

from paho.mqtt.enums import MQTTProtocolVersion

from edge.config import BrokerSettings
from edge.delivery.feed import Packet
from edge.delivery.publisher.link import (
    TURN_S,
    Link,
    LostError,
    OtherProtocolError,
    protocols_of,
)
from models.topics import StationTopics

LEAF = "model/doctor"  # nobody listens; the right to it is that to every leaf


@dataclass(frozen=True, slots=True)
class BrokerAnswer:
    """What the broker said.

    Attributes:
        protocol: Version of MQTT that was spoken; empty if none was.
        problem: What it refused; empty if nothing.
    """

    protocol: str
    problem: str


class _NoEvents:
    """Stands for the outbox's feed where there are no events: nothing is confirmed."""

    def confirmed(self, packet: Packet, now_ns: int) -> None:
        """Take notice of a confirmed event; a probe sends none."""

    def refused(self, packet: Packet, now_ns: int) -> None:
        """Take notice of a refused event; a probe sends none."""

    def acknowledged(self, payload: bytes, now_ns: int) -> None:
        """Take notice of a collector's word; it is for the daemon."""


def probe_broker(
    settings: BrokerSettings, topics: StationTopics, limit_s: float
) -> BrokerAnswer:
    """Log in, subscribe and publish as the daemon does, under another client id.

    Args:
        settings: Of the broker.
        topics: Of the station.
        limit_s: Longest time for publishing and subscribing.
    """
    problem = ""
    for protocol in protocols_of(settings.protocol):
        try:
            problem = _try(settings, topics, protocol, limit_s)
        except OtherProtocolError as exc:
            problem = str(exc)
            continue
        except LostError as exc:
            problem = str(exc)
        return BrokerAnswer(protocol.name, problem)
    return BrokerAnswer("", problem)


def _try(
    settings: BrokerSettings,
    topics: StationTopics,
    protocol: MQTTProtocolVersion,
    limit_s: float,
) -> str:
    """Return what was refused in one version of MQTT."""
    packet = Packet(f"{topics.root}/{LEAF}", b"")
    client_id = f"{topics.root}/{LEAF}".replace("/", "-")
    link = Link(settings, client_id, protocol, packet, _NoEvents(), topics.ack)
    reader, writer = socket.socketpair()
    with closing(reader), closing(writer):
        reader.settimeout(0)
        try:
            link.open(reader)
            link.publish(packet)
            deadline_s = time.monotonic() + limit_s
            while link.in_flight and time.monotonic() < deadline_s:
                link.turn(TURN_S)
            unanswered = bool(link.in_flight)
            link.close()
        finally:
            link.abandon()
    if unanswered:
        return f"it confirms nothing within {limit_s:g} s"
    return link.refusal
