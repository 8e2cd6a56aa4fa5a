"""What the broker knows us by: password and certificates, read from files."""

import ssl

from dashboard.config import BrokerSettings
from models.errors import ConfigError


def read_password(settings: BrokerSettings) -> str | None:
    """Return the first line of the password file; nothing if there is none.

    Args:
        settings: The broker.

    Raises:
        ConfigError: The file cannot be read, or is empty.
    """
    path = settings.password_file
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(
            f"[broker] password_file = {path}: cannot be read.",
            why=str(exc),
            fix="Give a text file with the password on its first line.",
        ) from exc
    if not lines or not lines[0]:
        raise ConfigError(
            f"[broker] password_file = {path}: is empty.",
            why="The password is expected on its first line.",
            fix="Write it there.",
        )
    return lines[0]


def tls_context(settings: BrokerSettings) -> ssl.SSLContext | None:
    """Return how to talk to the broker in secret; nothing if no file says so.

    Args:
        settings: The broker.

    Raises:
        ConfigError: A file cannot be used.
    """
    if settings.ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(
            f"[broker] ca_file = {settings.ca_file}, cert_file = {settings.cert_file}:"
            " cannot be used.",
            why=str(exc),
            fix="Give certificates and the key as PEM files.",
        ) from exc
    return context
