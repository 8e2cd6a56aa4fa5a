"""Checks whether events can reach the broker: name, TCP, TLS, login, topic rights.

One step after the other, so that the first failing one is named. Other clients are not
disturbed: the client has its own id, and its message is empty and not retained.
"""

from edge.config.station import BrokerSettings
from edge.delivery.publisher.connection_diagnosis import explain_connection
from edge.delivery.publisher.probe import probe_broker
from edge.doctor.check_result import CheckResult, Grade
from models.errors import DeliveryError
from models.topics import StationTopics

STEP_LIMIT_S = 1.5
CHECK = "broker"


def check_broker(
    settings: BrokerSettings, topics: StationTopics, limit_s: float
) -> CheckResult:
    """Connect, publish to the station's topics, and receive the message back.

    Args:
        topics: Topics of this station, which it must be allowed to use.
        limit_s: Limit of the MQTT steps.

    Raises:
        DeliveryError: A step failed, or a password or certificate cannot be read.
    """
    name = f"{settings.host}:{settings.port}"
    explained = explain_connection(settings, STEP_LIMIT_S)
    if explained is not None:
        raise DeliveryError(
            f"broker {name}: {explained}.",
            why="The connection failed before MQTT.",
            fix="Check [broker] host, port and tls_* files, and the broker.",
        )
    answer = probe_broker(settings, topics, limit_s)
    if answer.problem:
        raise DeliveryError(
            f"broker {name}: {answer.problem}.",
            why="The connection works; this is the broker's own answer.",
            fix="Check [broker] username, password_file and the broker's rights "
            f"(ACL) for {topics.root}/#.",
        )
    secured = "TLS" if settings.tls_ca_file else "no TLS"
    what = f"{name}: {answer.protocol}, {secured}, may publish and subscribe"
    return CheckResult(CHECK, Grade.OK, what)
