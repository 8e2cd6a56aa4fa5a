"""Posts a message to a webhook. Redirects are not followed: only what is configured.

Source:
    RFC 9110: 2xx is success; ``Retry-After`` of 429 and 503; 400, 413 and 422 are
    about the content of the request. The header
    ``Idempotency-Key``: draft-ietf-httpapi-idempotency-key-header.
"""

import http.client
import json
import ssl
from http import HTTPStatus
from urllib.parse import SplitResult

from dashboard.notify.bodies import NotificationMessage
from dashboard.notify.deadline import (
    ANSWER_LIMIT_S,
    SEND_LIMIT_S,
    SendError,
    deadline,
    failure_of,
)
from dashboard.notify_settings import NotifyKind, NotifySettings, address_of
from models.errors import ConfigError
from models.password_file import read_password_file, unusable_file

CONTENT_REFUSED = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


def post_message(
    receiver: NotifySettings,
    message: NotificationMessage,
    limit_s: float = SEND_LIMIT_S,
) -> None:
    """Post a message, and return when the receiver has accepted it.

    Raises:
        SendError: It was not accepted, or not within the limit.
        ConfigError: A file of the settings cannot be used.
    """
    is_card = receiver.kind is NotifyKind.TEAMS
    body = json.dumps(message.as_card() if is_card else message.as_json()).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "graftline",
        "Idempotency-Key": message.key,
    }
    if receiver.token_file is not None:
        token = read_password_file(_field(receiver, "token_file"), receiver.token_file)
        if not token.isascii() or not token.isprintable():
            fault = ValueError("It has characters that a header cannot hold.")
            field = _field(receiver, "token_file")
            raise unusable_file(field, receiver.token_file, fault)
        headers["Authorization"] = f"Bearer {token}"
    parts = _address(receiver)
    connection = _connection(parts, receiver)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with deadline(lambda: connection.sock, limit_s):
            connection.request("POST", target, body, headers)
            with connection.getresponse() as answer:
                _check(answer)
    except (OSError, ValueError, http.client.HTTPException) as exc:  # or no host name
        raise SendError(f"{parts.hostname}: {failure_of(exc)}") from exc
    finally:
        connection.close()


def _check(answer: http.client.HTTPResponse) -> None:
    if 200 <= answer.status < 300:
        return
    if 300 <= answer.status < 400:
        raise SendError(
            f"HTTP {answer.status}: it redirects to another address, which is not "
            "followed; give that address"
        )
    raise SendError(
        f"HTTP {answer.status} {answer.reason[:80]}",
        _asked_s(answer),
        is_refused=answer.status in CONTENT_REFUSED,
    )


def _asked_s(answer: http.client.HTTPResponse) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def _address(receiver: NotifySettings) -> SplitResult:
    if receiver.url_file is None:
        return address_of(receiver.url)
    field = _field(receiver, "url_file")
    url = read_password_file(field, receiver.url_file).strip()
    try:
        return address_of(url)
    except ValueError as exc:
        raise unusable_file(field, receiver.url_file, exc) from exc


def _connection(
    parts: SplitResult, receiver: NotifySettings
) -> http.client.HTTPConnection:
    host, port = str(parts.hostname), parts.port
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=ANSWER_LIMIT_S)
    context = tls_context(receiver)
    return http.client.HTTPSConnection(
        host, port, timeout=ANSWER_LIMIT_S, context=context
    )


def tls_context(receiver: NotifySettings) -> ssl.SSLContext:
    """Return the TLS context: certificates and names are verified.

    Raises:
        ConfigError: ``tls_ca_file`` cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=receiver.tls_ca_file)
    except OSError as exc:  # ssl.SSLError is one
        if receiver.tls_ca_file is None:
            raise ConfigError("the system's certificates: not usable.") from exc
        field = _field(receiver, "tls_ca_file")
        raise unusable_file(field, receiver.tls_ca_file, exc) from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _field(receiver: NotifySettings, name: str) -> str:
    return f"notify.{receiver.name}.{name}"
