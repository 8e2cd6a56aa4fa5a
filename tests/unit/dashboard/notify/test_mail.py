import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.history.notifications import Notification, NotificationKind
from dashboard.notify.bodies import NotificationMessage, make_message
from dashboard.notify.deadline import SendError
from dashboard.notify.mail import mail_message
from dashboard.notify_settings import NotifySettings
from dashboard.plant_settings import PlantSettings
from tests.simulators.certificates import Authority
from tests.simulators.mail_server import MailServer
from tests.unit.dashboard.notify.plant_events import TOP, secret_file


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def server(authority: Authority) -> Iterator[MailServer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("mail"))
    with MailServer(tls) as mail_server:
        yield mail_server


def receiver(server: MailServer, **settings: Any) -> NotifySettings:
    return NotifySettings.model_validate(
        {
            "name": "boss",
            "kind": "email",
            "host": "127.0.0.1",
            "port": server.port,
            "sender": "wall@plant.example",
            "to": ["otto@plant.example", "ann@plant.example"],
            "tls": "none",
            **settings,
        }
    )


def message(reason: str = "no frame") -> NotificationMessage:
    values = {"state": "lost", "reason": reason}
    down = Notification(NotificationKind.LINE_DOWN, TOP, 1_764_900_000_000, values)
    settings = PlantSettings(language="de", zone="Europe/Berlin")
    return make_message("key-1", [down], settings, "Halle\r\nBcc: x@y.z", "")


def test_mail_is_encrypted_and_from_a_user(
    server: MailServer, authority: Authority, tmp_path: Path
) -> None:
    login = {"username": "wall", "password_file": secret_file(tmp_path, "p@ss")}
    trusted = {"tls": "starttls", "tls_ca_file": authority.certificate_file}
    mail_message(receiver(server, **login, **trusted), message())
    (mail,) = server.mails
    assert mail.is_encrypted
    assert mail.login == ("wall", "p@ss")
    assert mail.recipients == ("otto@plant.example", "ann@plant.example")
    assert mail.message["Message-ID"] == "<key-1@plant.example>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    text = "2025-12-05 03:00:00 line-1 · press-1 · top: ausgefallen: no frame\n"
    assert mail.message.get_content().replace("\r\n", "\n") == text


def test_hostile_text_adds_no_header(server: MailServer) -> None:
    mail_message(receiver(server), message("x\r\nBcc: x@y.z\r\n.\r\nMAIL FROM:<a@b>"))
    (mail,) = server.mails
    assert mail.message["Bcc"] is None
    assert mail.recipients == ("otto@plant.example", "ann@plant.example")
    assert "\\r\\nBcc" in mail.message["Subject"].replace("\n", "")


def test_unknown_certificate_is_refused(server: MailServer) -> None:
    with pytest.raises(SendError, match="certificate"):
        mail_message(receiver(server, tls="starttls"), message())
    assert not server.mails


def test_password_never_goes_to_a_server_without_encryption(
    authority: Authority, tmp_path: Path
) -> None:
    login = {"username": "wall", "password_file": secret_file(tmp_path, "p")}
    with MailServer() as open_server:
        settings = receiver(open_server, tls="starttls", **login)
        with pytest.raises(SendError, match="STARTTLS"):
            mail_message(settings, message())
        assert not open_server.mails


def test_one_refused_address_is_named(server: MailServer) -> None:
    server.refuses = {"ann@plant.example"}
    with pytest.raises(SendError, match="ann@plant"):
        mail_message(receiver(server), message())
    server.refuses.add("otto@plant.example")
    with pytest.raises(SendError, match="otto@plant"):
        mail_message(receiver(server), message())


@pytest.mark.parametrize("reason", ["busy", "login", "away"])
def test_reason_of_the_server_is_shown(
    server: MailServer, tmp_path: Path, reason: str
) -> None:
    settings = receiver(server)
    if reason == "busy":
        server.busy = 1
    elif reason == "login":
        password = secret_file(tmp_path, "wrong")
        settings = receiver(server, username="u", password_file=password)
    else:
        settings = receiver(server, port=1)
    expected = {"busy": "451 try later", "login": "535 no", "away": "refused"}
    with pytest.raises(SendError, match=expected[reason]):
        mail_message(settings, message())


def test_password_with_letters_outside_ascii_is_sent_as_utf8(
    server: MailServer, tmp_path: Path
) -> None:
    login = {"username": "wall", "password_file": secret_file(tmp_path, "pässwörd")}
    mail_message(receiver(server, **login), message())
    assert server.mails[0].login == ("wall", "pässwörd")


def test_name_that_is_no_host_is_named(server: MailServer) -> None:
    settings = receiver(server).model_copy(update={"host": "mail..plant"})
    with pytest.raises(SendError, match=r"mail\.\.plant"):
        mail_message(settings, message())
