"""Address, password and certificates of the MQTT broker.

Secrets are paths to files. They are read at every connect, so that a rotated
certificate is used.
"""

import hashlib
import ssl
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from models.config import Settings
from models.errors import ConfigError
from models.files import read_regular
from models.password_file import read_password_file, unusable_file

SECRET_MAX_BYTES = 4 << 20  # a bundle of certificates has some 200 kB
FILE_FIELDS = ("password_file", "tls_ca_file", "tls_cert_file", "tls_key_file")


class BrokerLogin(Settings):
    """The settings of ``[broker]`` that the daemon and the dashboard share."""

    host: str = Field(default="127.0.0.1", min_length=1, description="Name or address.")
    port: int = Field(default=1883, ge=1, le=65535, description="TCP port.")
    username: str = Field(default="", description="User; empty = anonymous.")
    password_file: Path | None = Field(
        default=None, description="File whose first line is the password."
    )
    tls_ca_file: Path | None = Field(
        default=None, description="Certificates to trust, PEM; turns TLS on."
    )
    tls_cert_file: Path | None = Field(
        default=None, description="Certificate of this program, PEM."
    )
    tls_key_file: Path | None = Field(
        default=None, description="Key of that certificate, PEM."
    )
    keepalive_s: int = Field(
        default=15,
        ge=2,
        le=3600,
        description="Keepalive in seconds; a dead connection is detected within twice "
        "this time.",
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.password_file is not None and not self.username:
            raise ValueError("password_file needs username")
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file go together")
        if self.tls_cert_file is not None and self.tls_ca_file is None:
            raise ValueError("tls_cert_file needs tls_ca_file")
        return self

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, host: str) -> str:
        """Refuse an address with more than the host: it may hold a login."""
        if set(host) & set("@/?#") or not host.isprintable() or " " in host:
            raise ValueError("give the name or address only, and no login")
        return host

    def located(self, folder: Path) -> Self:
        """Return the same settings with relative paths resolved against a folder."""
        files = {name: getattr(self, name) for name in FILE_FIELDS}
        found = {name: folder / path for name, path in files.items() if path}
        return self.model_copy(update=found)


def read_password(login: BrokerLogin) -> str | None:
    """Return the password; None if there is no file for it.

    Raises:
        ConfigError: The file cannot be read, or is empty.
    """
    if login.password_file is None:
        return None
    return read_password_file("broker.password_file", login.password_file)


def make_tls_context(login: BrokerLogin) -> ssl.SSLContext | None:
    """Return the TLS context; None without TLS.

    Raises:
        ConfigError: A file cannot be read, or holds no certificate or key.
    """
    if login.tls_ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=login.tls_ca_file)
    except OSError as exc:  # ssl.SSLError is one
        raise _unusable("tls_ca_file", login.tls_ca_file, exc) from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate, key = login.tls_cert_file, login.tls_key_file
    if certificate is not None:
        try:
            # The empty password keeps OpenSSL from asking at the terminal.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as exc:
            raise _unusable("tls_cert_file", certificate, exc) from exc
    return context


def login_fingerprint(login: BrokerLogin) -> str:
    """Return a hash of the files of a login.

    It changes when a password or certificate is rotated under the same name.

    Raises:
        ConfigError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for field in FILE_FIELDS:
        path: Path | None = getattr(login, field)
        if path is None:
            continue
        try:
            content = read_regular(path, SECRET_MAX_BYTES)
        except OSError as exc:
            if field == "password_file":
                read_password(login)  # its message does not show a missing file
            raise _unusable(field, path, exc) from exc
        digest.update(f"{field} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _unusable(field: str, path: Path, error: Exception) -> ConfigError:
    return unusable_file(f"broker.{field}", path, error)
