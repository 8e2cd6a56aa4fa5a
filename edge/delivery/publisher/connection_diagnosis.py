"""Why a broker cannot be used, in one sentence.

An MQTT client does not report every cause. With TLS 1.3 the broker checks the client
certificate after the client's side of the handshake is over, so that a refusal appears
as a closed connection. This module opens a TLS connection without MQTT and waits for
that check; then it opens a session and ends it. The session's client id is random, so
that no other client is disconnected.

Source:
    paho 2.2: a wrong, expired or revoked client certificate is "Unspecified error".
    RFC 8446 section 6.2 (alerts), MQTT 3.1.1 section 3.2.
"""

import secrets
import select
import socket
import ssl
from contextlib import suppress
from typing import NoReturn

from models.broker import BrokerLogin, make_tls_context, read_password
from models.errors import ConfigError
from models.mqtt_session import (
    CLOSED,
    ConnectionLostError,
    ConnectionRefusedByBrokerError,
    HungUpError,
    MqttSession,
    MqttVersion,
    OtherVersionError,
)
from models.tls_errors import explain_tls

FIRST_BYTE_OF_CONNACK = 0x20
FIRST_BYTE_OF_TLS_ALERT = 0x15  # the answer of a TLS port to plain bytes
CERTIFICATE_CHECK_LIMIT_S = 1.0  # wait for the broker's check of the certificate
# paho's names of the return codes 2, 4 and 5 of MQTT 3.1.1.
LOGIN_REFUSALS = {
    "Client identifier not valid": "the broker refuses client ids that it does not "
    "know",
    "Bad user name or password": "the broker refuses the login: bad user name or "
    "password",
    "Not authorized": "the broker refuses the login: not authorized",
}


class RefusalError(Exception):
    """Only a person can remove the cause, which is the error's text."""


def explain_connection(login: BrokerLogin, timeout_s: float) -> str | None:
    """Return why no connection can be opened; None if it can.

    Args:
        timeout_s: Longest wait of each step: connection, handshake, login.
    """
    try:
        _try_connection(login, timeout_s)
    except RefusalError as exc:
        return str(exc)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except OSError as exc:
        return exc.strerror or str(exc)
    return None


def explain_handshake(login: BrokerLogin, timeout_s: float) -> str | None:
    """Return why no TLS connection can be opened; None if it can. Without a login.

    Args:
        login: With ``tls_ca_file``.
        timeout_s: Longest wait of each step: connection, handshake.
    """
    try:
        context = make_tls_context(login)
        if context is not None:
            _check_handshake(login, context, timeout_s)
    except (RefusalError, ConfigError) as exc:
        return str(exc)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except OSError as exc:
        return exc.strerror or str(exc)
    return None


def explain_refusal(login: BrokerLogin, timeout_s: float) -> str | None:
    """Return a cause that only a person can remove; None also if no broker answers.

    Args:
        timeout_s: Longest wait of each step: connection, handshake, login.
    """
    try:
        _try_connection(login, timeout_s)
    except RefusalError as exc:
        return str(exc)
    except OSError:  # unreachable: the client tries again
        return None
    return None


def _try_connection(login: BrokerLogin, timeout_s: float) -> None:
    """Connect, do the TLS handshake, log in and disconnect.

    Raises:
        RefusalError: Only a person can remove the cause.
        OSError: There is no broker, or it does not answer.
    """
    try:
        context = make_tls_context(login)
        read_password(login)
    except ConfigError as exc:
        raise RefusalError(str(exc)) from exc
    if context is not None:
        _check_handshake(login, context, timeout_s)
    try:
        try:
            _log_in(login, MqttVersion.V311, timeout_s)
        except HungUpError as exc:
            if not exc.is_protocol_error:
                raise
            _log_in(login, MqttVersion.V5, timeout_s)  # the broker knows no 3.1.1
    except ConnectionLostError as exc:
        _raise_cause(exc)


def _log_in(login: BrokerLogin, version: MqttVersion, timeout_s: float) -> None:
    """Open a session and end it.

    Raises:
        ConnectionLostError: It cannot be opened.
        RefusalError: A program other than an MQTT broker answers.
        OSError: Nothing answers.
    """
    session = MqttSession(
        login,
        f"graftline-{secrets.token_hex(4)}",
        version,
        connect_limit_s=timeout_s,
        answer_limit_s=timeout_s,
    )
    try:
        session.connect()
        if login.tls_ca_file is None:
            _check_first_byte(session.connection, timeout_s)
        session.await_answer()
    finally:
        session.close()


def _raise_cause(error: ConnectionLostError) -> NoReturn:
    """Raise what ended a session as a refusal or as an error of the network."""
    if isinstance(error, ConnectionRefusedByBrokerError):
        refusal = str(error).rpartition(": ")[2]
        raise RefusalError(LOGIN_REFUSALS.get(refusal, str(error))) from error
    if isinstance(error.__cause__, OSError):
        raise error.__cause__
    if error.is_protocol_error:
        raise RefusalError("there is no MQTT broker at this port") from error
    if isinstance(error, HungUpError) or not isinstance(error, OtherVersionError):
        raise ConnectionResetError(CLOSED) from error
    raise TimeoutError(str(error)) from error


def _check_handshake(
    login: BrokerLogin, context: ssl.SSLContext, timeout_s: float
) -> None:
    """Open a TLS connection, and wait for the broker's check of the certificate.

    Nothing is sent before the check: a broker that closes while bytes are unread resets
    the connection, and the reason is lost. A broker that accepts the certificate sends
    its session tickets immediately.

    Raises:
        RefusalError: One side does not accept the other's certificate.
        OSError: There is no broker, or it does not answer.
    """
    address = (login.host, login.port)
    with socket.create_connection(address, timeout=timeout_s) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=login.host) as secured:
                wait_s = CERTIFICATE_CHECK_LIMIT_S
                readable, _, _ = select.select([secured], [], [], wait_s)
                secured.settimeout(0)
                with suppress(ssl.SSLWantReadError):
                    if readable and not secured.recv(1):
                        raise ConnectionResetError(CLOSED)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
            raise ConnectionResetError(CLOSED) from exc
        except ssl.SSLError as exc:
            raise RefusalError(explain_tls(exc)) from exc


def _check_first_byte(connection: socket.socket, timeout_s: float) -> None:
    """Check that an MQTT broker answers a login without TLS.

    Raises:
        RefusalError: The port expects TLS, or is not that of an MQTT broker.
        OSError: Nothing answers.
    """
    readable, _, _ = select.select([connection], [], [], timeout_s)
    if not readable:
        raise TimeoutError
    first = b""
    with suppress(ConnectionResetError, BrokenPipeError):
        first = connection.recv(1, socket.MSG_PEEK)
    if not first:
        raise ConnectionResetError(
            "closes the connection on the login: does the port need TLS (tls_ca_file)?"
        )
    if first[0] == FIRST_BYTE_OF_TLS_ALERT:
        raise RefusalError("the port needs TLS: give tls_ca_file")
    if first[0] != FIRST_BYTE_OF_CONNACK:
        raise RefusalError("there is no MQTT broker at this port")
