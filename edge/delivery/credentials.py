"""Password and certificates of a broker, read from files.

They are read again at every connect, so that a rotated certificate is taken up.
"""

import ssl
from pathlib import Path

from edge.config import BrokerSettings
from models.errors import ConfigError

PASSWORD_MAX_BYTES = 4096


def read_password(settings: BrokerSettings) -> str | None:
    """Return the password; none if there is no file for it.

    Args:
        settings: Of the broker.

    Raises:
        ConfigError: The file cannot be read.
    """
    path = settings.password_file
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline(PASSWORD_MAX_BYTES).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise _unreadable("password_file", path, exc) from exc


def make_tls_context(settings: BrokerSettings) -> ssl.SSLContext | None:
    """Return how to encrypt; none without TLS.

    Args:
        settings: Of the broker.

    Raises:
        ConfigError: A file cannot be read, or is not what it should be.
    """
    if settings.tls_ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca_file)
    except OSError as exc:  # ssl.SSLError is one
        raise _unreadable("tls_ca_file", settings.tls_ca_file, exc) from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate, key = settings.tls_cert_file, settings.tls_key_file
    if certificate is not None:
        try:
            # The empty answer keeps OpenSSL from asking at the terminal.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as exc:
            raise _unreadable("tls_cert_file", certificate, exc) from exc
    return context


def _unreadable(field: str, path: Path, error: Exception) -> ConfigError:
    """Return the error for a file that is missing or wrong."""
    reason = error.strerror if isinstance(error, OSError) else None
    return ConfigError(
        f"broker.{field} = {path} cannot be used.",
        why=reason or str(error),
        fix="Give a file that the daemon may read.",
    )
