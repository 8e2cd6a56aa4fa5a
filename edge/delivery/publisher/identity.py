"""Under which name a station logs in, and whether it is that of another station."""

from models.broker import BrokerLogin
from models.certificate_name import common_name
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


def login_in_words(login: BrokerLogin) -> str:
    """Return what the broker was asked to accept, without the password."""
    if not login.username:
        return "no username is set"
    password = login.password_file
    return f"user {login.username}, " + (
        f"password of {password}" if password else "no password"
    )
