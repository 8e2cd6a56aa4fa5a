"""One connection to the broker to see what it lets us do, for ``graftline doctor``.

It is a connection of its own kind: nothing is delivered, nothing tried again, and its
client id is not the daemon's, which would be thrown out.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.config.station import BrokerSettings, ProtocolChoice
from edge.delivery.publisher.session import protocols_of
from models.broker import make_tls_context, read_password
from models.topics import StationTopics

LEAF = "model/doctor"  # nobody listens; the right to it is that to every leaf
TURN_S = 0.05


@dataclass(frozen=True, slots=True)
class BrokerAnswer:
    """What the broker said.

    Attributes:
        protocol: Version of MQTT that was spoken; empty if none was.
        problem: What it refused; empty if nothing.
    """

    protocol: str
    problem: str


def probe_broker(
    settings: BrokerSettings, topics: StationTopics, limit_s: float
) -> BrokerAnswer:
    """Log in, subscribe and publish as the daemon does, under another client id.

    Args:
        settings: Of the broker.
        topics: Of the station.
        limit_s: Longest wait in each version of MQTT.

    Raises:
        ConfigError: The password or a certificate cannot be read.
    """
    problem = ""
    for protocol in protocols_of(settings.protocol):
        probe = _Probe(settings, topics, protocol)
        try:
            problem = probe.run(limit_s)
        finally:
            probe.close()
        if probe.is_understood:
            return BrokerAnswer(protocol.name, problem)
    spoken = "" if settings.protocol is ProtocolChoice.AUTO else settings.protocol.value
    return BrokerAnswer(spoken, problem)


class _Probe:
    """One attempt in one version of MQTT.

    Attributes:
        is_understood: The broker speaks this version.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        topics: StationTopics,
        protocol: MQTTProtocolVersion,
    ) -> None:
        self.is_understood = False
        self._settings, self._topics = settings, topics
        self._connack: ReasonCode | None = None
        self._answers: dict[str, ReasonCode] = {}  # topic to the broker's word
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{topics.root}/{LEAF}".replace("/", "-"),
            protocol=protocol,
        )
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        self._client = client

    def run(self, limit_s: float) -> str:
        """Return what was refused; empty if nothing.

        Args:
            limit_s: Longest wait.
        """
        settings, client = self._settings, self._client
        deadline_s = time.monotonic() + limit_s
        client.connect_timeout = limit_s
        if settings.username:
            client.username_pw_set(settings.username, read_password(settings))
        if (context := make_tls_context(settings)) is not None:
            client.tls_set_context(context)
        try:
            client.connect(settings.host, settings.port, keepalive=settings.keepalive_s)
        except (OSError, ValueError) as exc:
            return f"cannot be reached: {exc}"
        if not self._turn_until(lambda: self._connack is not None, deadline_s):
            return "accepts connections but does not answer"
        if self._connack is None or self._connack.is_failure:
            return f"refused the connection: {self._connack}"
        client.subscribe(self._topics.ack, qos=1)
        client.publish(f"{self._topics.root}/{LEAF}", b"", qos=1)
        if not self._turn_until(lambda: len(self._answers) == 2, deadline_s):
            return f"confirms nothing within {limit_s:g} s, or closed the connection"
        refused = [
            f"refuses {topic}: {reason}"
            for topic, reason in self._answers.items()
            if reason.is_failure
        ]
        return "; ".join(refused)

    def close(self) -> None:
        """End in order."""
        self._client.disconnect()
        connection = self._client.socket()
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def _turn_until(self, is_so: Callable[[], bool], deadline_s: float) -> bool:
        """Serve the network until something is so; return whether it came to that."""
        while not is_so():
            is_broken = self._client.loop(TURN_S) != mqtt.MQTT_ERR_SUCCESS
            if is_broken or time.monotonic() > deadline_s:
                return is_so()
        return True

    def _on_connect(
        self,
        _client: mqtt.Client,
        _data: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._connack = reason
        self.is_understood = reason.getName() != "Unsupported protocol version"

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        for reason in reasons:
            self._answers[self._topics.ack] = reason

    def _on_publish(
        self,
        _client: mqtt.Client,
        _data: object,
        _mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._answers[f"{self._topics.root}/{LEAF}"] = reason
