"""Can events reach the broker? Name, TCP, TLS, login, and the rights on our topics.

One step after the other, so that the first that fails is named. Nobody is disturbed:
the client has a name of its own, and what it publishes is empty and not kept.
"""

from edge.config.station import BrokerSettings
from edge.delivery.publisher.connection_diagnosis import explain_connection
from edge.delivery.publisher.probe import probe_broker
from edge.doctor.finding import CheckResult, Grade
from models.errors import DeliveryError
from models.topics import StationTopics

STEP_LIMIT_S = 1.5
CHECK = "broker"


def check_broker(
    settings: BrokerSettings, topics: StationTopics, limit_s: float
) -> CheckResult:
    """Go the whole way to the broker and back.

    Args:
        settings: Of the broker.
        topics: Of this station, which it must be allowed to use.
        limit_s: For the MQTT part.

    Raises:
        DeliveryError: Where the way ends.
        ConfigError: A password or certificate cannot be read.
    """
    name = f"{settings.host}:{settings.port}"
    explained = explain_connection(settings, STEP_LIMIT_S)
    if explained is not None:
        raise DeliveryError(
            f"broker {name}: {explained}.",
            why="Seen on the way to it, before MQTT.",
            fix="Look at [broker] host, port and tls_* files, and at the broker.",
        )
    answer = probe_broker(settings, topics, limit_s)
    if answer.problem:
        raise DeliveryError(
            f"broker {name}: {answer.problem}.",
            why="The way to it is open; this is its own answer.",
            fix="Look at [broker] username, password_file and the broker's rights "
            f"(ACL) for {topics.root}/#.",
        )
    secured = "TLS" if settings.tls_ca_file else "no TLS"
    what = f"{name}: {answer.protocol}, {secured}, may publish and hear"
    return CheckResult(CHECK, Grade.OK, what)
