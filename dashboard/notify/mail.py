"""Sends a message by e-mail, through the mail server of the plant.

Source:
    RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 4616 (UTF-8 in PLAIN), RFC 3834
    (``Auto-Submitted``: no automatic reply). A message that is sent twice has one
    ``Message-ID``.
"""

import base64
import smtplib
from collections.abc import Collection, Mapping
from email.message import EmailMessage
from email.utils import formatdate

from dashboard.notify.bodies import NotificationMessage
from dashboard.notify.deadline import (
    ANSWER_LIMIT_S,
    SEND_LIMIT_S,
    SendError,
    deadline,
    failure_of,
)
from dashboard.notify.http_post import tls_context
from dashboard.notify_settings import MailTls, NotifySettings
from models.password_file import read_password_file

MORE_WANTED, LOGGED_IN = 334, 235  # answers to AUTH
PERMANENT = 500  # codes from here on: the same command fails again (RFC 5321, 4.2.1)


def mail_message(
    receiver: NotifySettings,
    message: NotificationMessage,
    limit_s: float = SEND_LIMIT_S,
    *,
    has_it: Collection[str] = (),
) -> None:
    """Send a message, and return when the mail server has accepted it for all.

    Args:
        has_it: Addresses that an earlier attempt has reached; they get it only once.

    Raises:
        SendError: It was not accepted for somebody, or not within the limit.
        ConfigError: A file of the settings cannot be used.
    """
    letter = EmailMessage()
    letter["From"] = receiver.sender
    letter["To"] = ", ".join(receiver.to)
    letter["Subject"] = message.title
    letter["Date"] = formatdate()
    letter["Message-ID"] = f"<{message.key}@{receiver.sender.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text())
    addresses = [each for each in receiver.to if each not in has_it]
    client = _client(receiver)
    try:
        with deadline(lambda: client.sock, limit_s):
            client.connect(receiver.host, receiver.mail_port)
            _log_in(client, receiver)
            refused = client.send_message(letter, to_addrs=addresses)
            if refused:
                raise _refusal(receiver, refused, addresses, has_it)
            client.quit()
    except smtplib.SMTPResponseException as exc:
        text = exc.smtp_error
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        raise SendError(
            f"{receiver.host}: {exc.smtp_code} {shown[:120]}",
            is_refused=isinstance(exc, smtplib.SMTPDataError)
            and exc.smtp_code >= PERMANENT,
        ) from exc
    except smtplib.SMTPRecipientsRefused as exc:
        raise _refusal(receiver, exc.recipients, addresses, has_it) from exc
    except (OSError, ValueError) as exc:  # smtplib's own errors are OSErrors
        raise SendError(f"{receiver.host}: {failure_of(exc)}") from exc
    finally:
        client.close()


def _refusal(
    receiver: NotifySettings,
    refused: Mapping[str, tuple[int, bytes]],
    addresses: Collection[str],
    has_it: Collection[str],
) -> SendError:
    """Return the error of addresses that were refused.

    Those that are refused for good are not tried again once others have the message:
    it would wait for them, and the next messages with it.
    """
    accepted = [each for each in addresses if each not in refused]
    is_reached = bool(accepted or has_it)
    is_permanent = all(code >= PERMANENT for code, _ in refused.values())
    return SendError(
        f"{receiver.host} refused {', '.join(sorted(refused))}",
        is_refused=is_reached and is_permanent,
        accepted=accepted,
    )


def _client(receiver: NotifySettings) -> smtplib.SMTP:
    if receiver.tls is MailTls.TLS:
        context = tls_context(receiver)
        client: smtplib.SMTP = smtplib.SMTP_SSL(timeout=ANSWER_LIMIT_S, context=context)
    else:
        client = smtplib.SMTP(timeout=ANSWER_LIMIT_S)
    # Certificates are checked against the name of the first argument of the class.
    client._host = receiver.host  # type: ignore[attr-defined]  # noqa: SLF001
    return client


def _log_in(client: smtplib.SMTP, receiver: NotifySettings) -> None:
    if receiver.tls is MailTls.STARTTLS:
        client.starttls(context=tls_context(receiver))
    if receiver.password_file is not None:
        field = f"notify.{receiver.name}.password_file"
        password = read_password_file(field, receiver.password_file)
        if (receiver.username + password).isascii():
            client.login(receiver.username, password)
        else:
            _log_in_with_utf8(client, receiver.username, password)


def _log_in_with_utf8(client: smtplib.SMTP, username: str, password: str) -> None:
    """Log in with letters outside ASCII, which ``smtplib`` does not send."""
    client.ehlo_or_helo_if_needed()
    offered = client.esmtp_features.get("auth", "").upper().split()
    if "PLAIN" in offered:
        both = _base64(f"\0{username}\0{password}")
        code, answer = client.docmd("AUTH", f"PLAIN {both}")
    elif "LOGIN" in offered:
        code, answer = client.docmd("AUTH", "LOGIN")
        for text in (username, password):
            if code == MORE_WANTED:
                code, answer = client.docmd(_base64(text))
    else:
        raise SendError(
            "the password has letters outside ASCII, for which the mail server would "
            "have to offer AUTH PLAIN or LOGIN"
        )
    if code != LOGGED_IN:
        raise smtplib.SMTPAuthenticationError(code, answer)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")
