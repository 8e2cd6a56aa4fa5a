"""Address and password of a PostgreSQL database."""

from dataclasses import dataclass, field

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

DRIVER = "postgresql+psycopg"
SCHEMES = ("postgresql", "postgres")


@dataclass(frozen=True, slots=True)
class PostgresqlLogin:
    """Address and password of a database.

    Attributes:
        url: ``postgresql://user@host:port/database``, without a password.
        password: None: the server asks for none, or the driver's own file has it.
    """

    url: str
    password: str | None = field(default=None, repr=False)

    def full_url(self) -> URL:
        """Return the URL with the driver and the password."""
        url = checked_url(self.url).set(drivername=DRIVER)
        return url if self.password is None else url.set(password=self.password)


def checked_url(text_of_url: str) -> URL:
    """Return the parsed URL of a database.

    Raises:
        ValueError: It is no address of a PostgreSQL database, or has a password. The
            message does not show the URL.
    """
    try:
        url = make_url(text_of_url)
    except (ArgumentError, ValueError):
        raise ValueError("not postgresql://user@host:port/database") from None
    if url.drivername not in SCHEMES:
        raise ValueError("it starts with postgresql://")
    if url.password is not None or "password" in url.query:
        raise ValueError("the password stands in a file, see password_file")
    if not url.database:
        raise ValueError("the name of the database is missing")
    return url
