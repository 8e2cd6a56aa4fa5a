"""Can events reach the broker? Name, TCP, TLS, login, and the rights on our topics.

One step after the other, so that the first that fails is named. Nobody is disturbed:
the client has a name of its own, and what it publishes is empty and not kept.
"""

import socket
import ssl

from edge.config import BrokerSettings
from edge.delivery.publisher.probe import probe_broker
from edge.doctor.finding import Finding, Grade
from models.broker import make_tls_context
from models.errors import DeliveryError
from models.topics import StationTopics

STEP_LIMIT_S = 1.5
ALERT_LIMIT_S = 0.3  # TLS 1.3: a refused client certificate is told after the handshake
CHECK = "broker"


def check_broker(
    settings: BrokerSettings, topics: StationTopics, limit_s: float
) -> Finding:
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
    return Finding(CHECK, Grade.OK, what)


def explain_connection(settings: BrokerSettings, timeout_s: float) -> str | None:
    """Return what keeps TCP and TLS from being opened; none if they open.

    Args:
        settings: Of the broker.
        timeout_s: For each step.

    Raises:
        ConfigError: A certificate cannot be read.
    """
    context = make_tls_context(settings)
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )
    except socket.gaierror as exc:
        return f"the name {settings.host} is not known ({exc.strerror})"
    address = (str(found[0][4][0]), settings.port)
    try:
        with socket.create_connection(address, timeout_s) as connection:
            if context is not None:
                _shake_hands(connection, context, settings.host)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except ssl.SSLCertVerificationError as exc:
        return f"its certificate is refused by us: {exc.verify_message}"
    except ssl.SSLError as exc:
        return f"TLS fails: {(exc.reason or str(exc)).replace('_', ' ').lower()}"
    except OSError as exc:
        return f"cannot be reached: {exc.strerror or exc}"
    return None


def _shake_hands(connection: socket.socket, context: ssl.SSLContext, host: str) -> None:
    """Open TLS, and wait a moment for an objection to our certificate."""
    with context.wrap_socket(connection, server_hostname=host) as tls:
        tls.settimeout(ALERT_LIMIT_S)
        try:
            tls.recv(1)
        except TimeoutError:
            return  # a broker says nothing before it is spoken to
