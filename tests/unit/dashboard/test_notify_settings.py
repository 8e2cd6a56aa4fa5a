from pathlib import Path

import pytest

from dashboard.config import DashboardSettings
from dashboard.notify_settings import NotifySettings
from models.config import load_config
from models.errors import ConfigError

MAIL = 'kind = "email"\nhost = "mail.plant"\nsender = "a@b.c"\nto = ["d@e.f"]\n'


def load(tmp_path: Path, *receivers: str) -> DashboardSettings:
    path = tmp_path / "dashboard.toml"
    tables = [f'[[notify]]\nname = "shift"\n{each}\n' for each in receivers]
    path.write_text("".join(tables), encoding="utf-8")
    return load_config(path, DashboardSettings).beside(tmp_path)


def test_files_are_beside_the_configuration(tmp_path: Path) -> None:
    (found,) = load(tmp_path, 'kind = "teams"\nurl_file = "teams.url"').notify
    assert found.url_file == tmp_path / "teams.url"


def test_port_follows_from_the_encryption(tmp_path: Path) -> None:
    assert load(tmp_path, MAIL).notify[0].mail_port == 587
    assert load(tmp_path, MAIL + 'tls = "tls"').notify[0].mail_port == 465
    assert load(tmp_path, MAIL + "port = 2525").notify[0].mail_port == 2525


@pytest.mark.parametrize(
    "text",
    [
        'kind = "webhook"',
        'kind = "webhook"\nurl = "file:///etc/passwd"',
        'kind = "webhook"\nurl = "http://"',
        'kind = "webhook"\nurl = "http://a:b@c"',
        'kind = "webhook"\nurl = "http://a\\r\\nx: y"',
        'kind = "webhook"\nurl = "http://a:99999/"',
        'kind = "webhook"\nurl = "http://a"\nurl_file = "b"',
        'kind = "teams"\nurl = "http://a"\nto = ["a@b.c"]',
        'kind = "fax"\nurl = "http://a"',
        'kind = "email"',
        MAIL + 'url = "http://a"',
        MAIL + 'username = "u"',
        MAIL + 'username = "u"\npassword_file = "p"\ntls = "none"',
        MAIL + 'quiet_hours = ["25:00-06:00"]',
        MAIL + 'places = ["plant/*"]',
        MAIL + "max_per_hour = 0",
        MAIL.replace("d@e.f", "d@e.f\\nBcc: x@y.z"),
    ],
)
def test_receiver_that_cannot_work_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path, text)


def test_secret_address_is_not_repeated_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, 'kind = "webhook"\nurl = "ftp://host/secret-part"')
    assert "secret-part" not in str(caught.value)


def test_two_receivers_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="notify"):
        load(tmp_path, MAIL, MAIL)


def test_password_to_this_machine_needs_no_encryption(tmp_path: Path) -> None:
    text = MAIL.replace("mail.plant", "127.0.0.1")
    text += 'username = "u"\npassword_file = "p"\ntls = "none"'
    assert load(tmp_path, text).notify[0].mail_port == 25


@pytest.mark.parametrize(
    ("place", "is_wanted"),
    [
        ("plant", True),
        ("plant/line-1", True),
        ("plant/line-1/press-1/top", True),
        ("plant/line", False),
        ("plant/line-1/press-1/bottom", False),
    ],
)
def test_places_select_cameras(place: str, is_wanted: bool) -> None:
    settings = NotifySettings.model_validate(
        {"name": "a", "kind": "webhook", "url": "http://a", "places": [place]}
    )
    assert settings.concerns(("plant", "line-1", "press-1", "top")) == is_wanted
