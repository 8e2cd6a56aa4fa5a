"""Checks whether events can reach the broker: name, TCP, TLS, login, topic rights.

One step after the other, so that the first failing one is named. Other clients are not
disturbed: the client has its own id, and its message is empty and not retained.
"""

import ipaddress
from datetime import UTC, datetime

from edge.config.station import BrokerSettings
from edge.delivery.publisher.connection_diagnosis import (
    LOGIN_REFUSALS,
    explain_connection,
    explain_handshake,
)
from edge.delivery.publisher.identity import (
    expiring_certificate,
    login_in_words,
    wrong_certificate,
)
from edge.delivery.publisher.probe import probe_broker
from edge.doctor.check_result import CheckResult, Grade
from models.errors import DeliveryError
from models.files import is_open_to_others
from models.topics import StationTopics

STEP_LIMIT_S = 1.5
CHECK = "broker"
EXPIRES_SOON_DAYS = 30


def check_broker(
    settings: BrokerSettings,
    topics: StationTopics,
    limit_s: float,
    *,
    daemon_is_connected: bool = False,
) -> CheckResult:
    """Connect, publish to the station's topics, and receive the message back.

    Args:
        topics: Topics of this station, which it must be allowed to use.
        limit_s: Limit of the MQTT steps.
        daemon_is_connected: A daemon of this station has a connection now.

    Raises:
        DeliveryError: A step failed, or a password or certificate cannot be read.
    """
    name = f"{settings.host}:{settings.port}"
    # A broker that binds client ids to certificates would end the daemon's connection.
    shares_id = daemon_is_connected and settings.tls_cert_file is not None
    explain = explain_handshake if shares_id else explain_connection
    explained = explain(settings, STEP_LIMIT_S)
    if explained in LOGIN_REFUSALS.values():
        raise DeliveryError(
            f"broker {name}: {explained}.",
            why=f"The login was: {login_in_words(settings)}.",
            fix="Check [broker] username and password_file, and the broker's users.",
        )
    if explained is not None:
        raise DeliveryError(
            f"broker {name}: {explained}.",
            why="The connection failed before MQTT.",
            fix="Check [broker] host, port and tls_* files, and the broker.",
        )
    if shares_id:
        what = f"{name}: TLS; the running daemon is connected, so no second login"
        return _with_warnings(settings, what)
    answer = probe_broker(settings, topics, limit_s)
    wrong = wrong_certificate(settings, topics)
    if answer.problem and wrong:
        raise DeliveryError(
            f"broker {name}: {answer.problem}.",
            why=f"{wrong[0].upper()}{wrong[1:]}.",
            fix="Set [broker] tls_cert_file and tls_key_file to those of this station, "
            "or correct [station].",
        )
    if answer.problem:
        raise DeliveryError(
            f"broker {name}: {answer.problem}.",
            why="The connection works; this is the broker's own answer.",
            fix="Check [broker] username, password_file and the broker's rights "
            f"(ACL) for {topics.root}/#.",
        )
    secured = "TLS" if settings.tls_ca_file else "no TLS"
    what = f"{name}: {answer.protocol}, {secured}, may publish and subscribe"
    return _with_warnings(settings, what, wrong)


def _with_warnings(settings: BrokerSettings, what: str, wrong: str = "") -> CheckResult:
    """Return a connection that works, with what is wrong although it works.

    Args:
        wrong: The certificate names another station; empty = it does not.
    """
    password, faults, fixes = settings.password_file, list[str](), list[str]()
    if wrong:
        faults.append(f"{wrong[0].upper()}{wrong[1:]}.")
        fixes.append("Set tls_cert_file and tls_key_file to those of this station.")
    if password is not None and settings.tls_ca_file is None and not _is_here(settings):
        faults.append(
            "The password is sent without TLS: who listens on the network reads it."
        )
        fixes.append("Set tls_ca_file, and the port of the broker with TLS.")
    if ends := expiring_certificate(settings, datetime.now(UTC), EXPIRES_SOON_DAYS):
        sentence, _, fix = ends.partition(" Fix: ")
        faults.append(f"{sentence[0].upper()}{sentence[1:]}")
        fixes.append(f"{fix[0].upper()}{fix[1:]}.")
    secrets = [file for file in (password, settings.tls_key_file) if file is not None]
    for file in [file for file in secrets if is_open_to_others(file)]:
        faults.append(f"Other users of this machine may read {file}.")
        fixes.append(f"chmod 600 {file}")
    if not faults:
        return CheckResult(CHECK, Grade.OK, what)
    return CheckResult(CHECK, Grade.WARN, what, " ".join(faults), "; ".join(fixes))


def _is_here(settings: BrokerSettings) -> bool:
    """Return whether the broker is on this machine: nothing leaves it."""
    if settings.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        return False
