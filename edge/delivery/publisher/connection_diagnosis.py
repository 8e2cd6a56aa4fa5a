"""Why a broker cannot be used, in words.

MQTT libraries tell less than they know. With TLS 1.3 the broker judges our certificate
after our side of the handshake is over, so that a refusal looks like a connection that
was closed. Here a connection is opened by hand, as far as the broker's answer to a
login, and closed again. Its client id is a random one: it takes nobody's place.

Source:
    paho 2.2: a wrong, expired or revoked client certificate is "Unspecified error".
    RFC 8446 section 6.2 (alerts), MQTT 3.1.1 sections 3.1 and 3.2.
"""

import secrets
import select
import socket
import ssl
import struct
from contextlib import suppress

from models.broker import BrokerLogin, make_tls_context, read_password
from models.errors import ConfigError

CONNECT, CONNACK, DISCONNECT = 0x10, 0x20, b"\xe0\x00"
CONNACK_BYTES = 4
TLS_ALERT = 0x15  # what a TLS port answers to plain bytes
HAS_USER, HAS_PASSWORD, CLEAN_SESSION = 0x80, 0x40, 0x02
KEEPALIVE_S = 10
VERDICT_LIMIT_S = 1.0  # for the broker to judge our certificate
LOGIN_REFUSALS = {
    2: "the broker refuses client ids that it does not know",
    4: "the broker refuses the login: bad user name or password",
    5: "the broker refuses the login: not authorized",
}
# Names of OpenSSL's reasons after "ALERT_"; what is before changed between versions.
ALERT_WORDS = {
    "CERTIFICATE_EXPIRED": "our certificate has expired",
    "CERTIFICATE_REVOKED": "our certificate is revoked",
    "CERTIFICATE_REQUIRED": "it wants a certificate, and we gave none",
    "HANDSHAKE_FAILURE": "it wants a certificate that we did not give, or a cipher "
    "that we do not have",
    "UNKNOWN_CA": "it does not know the authority that signed our certificate",
    "BAD_CERTIFICATE": "our certificate is not one that it can use",
    "CERTIFICATE_UNKNOWN": "our certificate is not one that it can use",
    "UNSUPPORTED_CERTIFICATE": "our certificate is not made for clients",
    "DECRYPT_ERROR": "our certificate and our key do not go together",
    "PROTOCOL_VERSION": "it speaks no TLS 1.2 or newer",
}
# X509_V_ERR_* of OpenSSL
VERIFY_WORDS = {
    2: "it is signed by an authority that is not in tls_ca_file",
    9: "it is not valid yet, or our clock is slow",
    10: "it has expired, or our clock is fast",
    18: "it is signed by itself and not in tls_ca_file",
    19: "it is signed by an authority that is not in tls_ca_file",
    20: "it is signed by an authority that is not in tls_ca_file",
    21: "it is signed by an authority that is not in tls_ca_file",
    23: "it is revoked",
    62: "it is made out to another name than host",
    64: "it is made out to another address than host",
}


class RefusalError(Exception):
    """A person must mend something; its text says what."""


def explain_connection(settings: BrokerLogin, timeout_s: float) -> str | None:
    """Return why no connection can be made; none if all is well.

    Args:
        settings: Of the broker.
        timeout_s: Longest wait of each step: connection, handshake, login.
    """
    try:
        _log_in(settings, timeout_s)
    except RefusalError as exc:
        return str(exc)
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except OSError as exc:
        return exc.strerror or str(exc)
    return None


def explain_refusal(settings: BrokerLogin, timeout_s: float) -> str | None:
    """Return what a person must mend; none also where nobody answers.

    Args:
        settings: Of the broker.
        timeout_s: Longest wait of each step: connection, handshake, login.
    """
    try:
        _log_in(settings, timeout_s)
    except RefusalError as exc:
        return str(exc)
    except OSError:  # it is away, and may come back
        return None
    return None


def explain_tls(error: ssl.SSLError) -> str:
    """Return what a failed handshake means.

    Args:
        error: As raised.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        words = VERIFY_WORDS.get(error.verify_code, error.verify_message)
        return (
            f"the broker's certificate is not accepted: {words} "
            f"(certificate verify failed: {error.verify_message})"
        )
    reason = error.reason or str(error)
    alert = reason.upper().replace(" ", "_").rpartition("ALERT_")[2]
    if alert in ALERT_WORDS:
        return f"the broker refuses us: {ALERT_WORDS[alert]} ({reason})"
    if "WRONG_VERSION" in reason or "PACKET_LENGTH" in reason:
        return f"the port does not speak TLS ({reason})"
    return f"no TLS connection: {reason}"


def _log_in(settings: BrokerLogin, timeout_s: float) -> None:
    """Connect, shake hands, log in and leave.

    Raises:
        RefusalError: Of what a person must mend.
        OSError: The broker is not there, or does not answer.
    """
    try:
        context = make_tls_context(settings)
        password = read_password(settings)
    except ConfigError as exc:
        raise RefusalError(str(exc)) from exc
    address = (settings.host, settings.port)
    with socket.create_connection(address, timeout=timeout_s) as plain:
        try:
            if context is None:
                _exchange_plain(plain, settings.username, password)
                return
            with context.wrap_socket(plain, server_hostname=settings.host) as secret:
                _await_verdict(secret)
                _exchange(secret, settings.username, password)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as exc:
            raise ConnectionResetError("closed the connection") from exc
        except ssl.SSLError as exc:
            raise RefusalError(explain_tls(exc)) from exc


def _await_verdict(secret: ssl.SSLSocket) -> None:
    """Wait for what the broker says to our certificate, before anything is sent.

    A broker that closes on bytes that it has not read resets the connection, and the
    reason is lost. One that accepts us sends its session tickets at once.

    Raises:
        ssl.SSLError: It refuses our certificate.
    """
    readable, _, _ = select.select([secret], [], [], VERDICT_LIMIT_S)
    if readable:
        timeout_s = secret.gettimeout()
        secret.settimeout(0)
        with suppress(ssl.SSLWantReadError):
            if not secret.recv(1):
                raise ConnectionResetError("closed the connection")
        secret.settimeout(timeout_s)


def _exchange_plain(
    connection: socket.socket, username: str, password: str | None
) -> None:
    """Log in without TLS; a port that wants it may only hang up."""
    try:
        _exchange(connection, username, password)
    except (ConnectionResetError, BrokenPipeError) as exc:
        raise ConnectionResetError(
            "hangs up on our greeting: does the port want TLS (tls_ca_file)?"
        ) from exc


def _exchange(connection: socket.socket, username: str, password: str | None) -> None:
    """Send the login and read the answer."""
    connection.sendall(_connect_packet(username, password))
    answer = connection.recv(CONNACK_BYTES)
    if not answer:
        raise ConnectionResetError("closed the connection")
    if answer[0] == TLS_ALERT:
        raise RefusalError("the port must want TLS: give tls_ca_file")
    if answer[0] != CONNACK or len(answer) < CONNACK_BYTES:
        raise RefusalError("what answers at this port is no MQTT broker")
    if refusal := LOGIN_REFUSALS.get(answer[3]):
        raise RefusalError(refusal)
    connection.sendall(DISCONNECT)


def _connect_packet(username: str, password: str | None) -> bytes:
    """Return a CONNECT of MQTT 3.1.1, which every broker understands."""
    flags, fields = CLEAN_SESSION, [f"graftline-{secrets.token_hex(4)}"]
    if username:
        flags, fields = flags | HAS_USER, [*fields, username]
    if username and password is not None:
        flags, fields = flags | HAS_PASSWORD, [*fields, password]
    body = b"\0\x04MQTT\x04" + struct.pack("!BH", flags, KEEPALIVE_S)
    for field in fields:
        text = field.encode()
        body += struct.pack("!H", len(text)) + text
    return bytes([CONNECT]) + _length(len(body)) + body


def _length(number: int) -> bytes:
    """Return a number in MQTT's own coding: seven bits a byte, lowest first."""
    coded = bytearray()
    while True:
        number, low = divmod(number, 0x80)
        coded.append(low | (0x80 if number else 0))
        if not number:
            return bytes(coded)
