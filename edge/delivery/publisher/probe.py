"""One connection to the broker to find its rights, for ``graftline doctor``.

It delivers nothing and repeats nothing. Its client id differs from the daemon's,
because the broker would disconnect a daemon with the same id.
"""

import time
from dataclasses import dataclass

from edge.config.station import BrokerSettings, ProtocolChoice
from edge.delivery.publisher.session import versions_of
from models.broker import make_tls_context, read_password
from models.mqtt_session import (
    ConnectionLostError,
    MqttSession,
    MqttVersion,
    OtherVersionError,
    PublishAnswer,
    ReceivedMessage,
    SubscribeAnswer,
    open_session,
)
from models.topics import StationTopics

LEAF = "model/doctor"  # no program reads it; rights cover all leaves of a station
TURN_S = 0.05
QUESTIONS = 2  # one subscription, one publication


@dataclass(frozen=True, slots=True)
class BrokerAnswer:
    """The broker's answers.

    Attributes:
        protocol: Version of MQTT, such as ``MQTTv5``; empty if none was accepted.
        problem: What the broker refused; empty if it refused nothing.
    """

    protocol: str
    problem: str


def probe_broker(
    settings: BrokerSettings, topics: StationTopics, limit_s: float
) -> BrokerAnswer:
    """Log in, subscribe and publish as the daemon does, under another client id.

    Args:
        topics: MQTT topics of the station, which the broker must allow.
        limit_s: Longest wait in each version of MQTT.

    Raises:
        ConfigError: The password or a certificate cannot be read.
    """
    read_password(settings)
    make_tls_context(settings)

    def make_session(version: MqttVersion) -> MqttSession:
        return MqttSession(
            settings,
            f"{topics.root}/{LEAF}".replace("/", "-"),
            version,
            connect_limit_s=limit_s,
            answer_limit_s=limit_s,
        )

    versions = versions_of(settings.protocol)
    try:
        session = open_session(make_session, versions)
    except OtherVersionError as exc:
        is_chosen = settings.protocol is not ProtocolChoice.AUTO
        return BrokerAnswer(settings.protocol.value if is_chosen else "", str(exc))
    except ConnectionLostError as exc:
        return BrokerAnswer("", str(exc))
    try:
        refusals = _ask_for_rights(session, topics, limit_s)
    except ConnectionLostError:
        refusals = None
    finally:
        session.close()
    if refusals is None:
        problem = f"confirms nothing within {limit_s:g} s, or closed the connection"
    else:
        problem = "; ".join(
            f"refuses {topic}: {reason}" for topic, reason in refusals.items() if reason
        )
    return BrokerAnswer(session.version.label, problem)


def _ask_for_rights(
    session: MqttSession, topics: StationTopics, limit_s: float
) -> dict[str, str] | None:
    """Return the refusal of each topic; None if an answer does not come in time."""
    deadline_s = time.monotonic() + limit_s
    leaf = f"{topics.root}/{LEAF}"
    session.subscribe((topics.ack,))
    session.publish(leaf, b"")
    refusals: dict[str, str] = {}
    while len(refusals) < QUESTIONS and time.monotonic() < deadline_s:
        for event in session.turn(TURN_S):
            match event:
                case SubscribeAnswer():
                    refusals |= event.refusals
                case PublishAnswer():
                    refusals[leaf] = event.refusal
                case ReceivedMessage():
                    pass
    return refusals if len(refusals) == QUESTIONS else None
