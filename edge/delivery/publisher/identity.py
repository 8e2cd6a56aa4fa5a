"""Under which name a station logs in, and whether it is that of another station."""

from datetime import datetime, timedelta

from models.broker import BrokerLogin
from models.certificate_file import common_name, expiry
from models.topics import StationTopics


def wrong_certificate(login: BrokerLogin, topics: StationTopics) -> str:
    """Return that the certificate names another station; empty = it does not.

    Another form of name says nothing: the broker may have rules of its own.
    """
    if login.tls_cert_file is None:
        return ""
    try:
        name = common_name(login.tls_cert_file)
    except (OSError, ValueError):
        return ""  # the connection fails, with the reason
    wanted = f"{topics.site}/{topics.line}/{topics.station}"
    if name == wanted or name.count("/") != wanted.count("/"):
        return ""
    return f"your certificate says {name}, this station is {wanted}"


def expiring_certificate(login: BrokerLogin, now: datetime, days: int) -> str:
    """Return that the certificate expires soon, or has; empty = neither.

    Args:
        now: UTC.
        days: What is soon.
    """
    if login.tls_cert_file is None:
        return ""
    try:
        end = expiry(login.tls_cert_file)
    except (OSError, ValueError):
        return ""  # the connection fails, with the reason
    if end - now > timedelta(days=days):
        return ""
    return (
        f"the certificate {login.tls_cert_file} expires at {end:%Y-%m-%d %H:%M} UTC; "
        "after that the broker refuses this station. Fix: replace it, then SIGHUP"
    )


def login_in_words(login: BrokerLogin) -> str:
    """Return what the broker was asked to accept, without the password."""
    if not login.username:
        return "no username is set"
    password = login.password_file
    return f"user {login.username}, " + (
        f"password of {password}" if password else "no password"
    )
