import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashboard.history.notifications import Notification, NotificationKind
from dashboard.notify.bodies import NotificationMessage, make_message
from dashboard.notify.deadline import SendError
from dashboard.notify.http_post import post_message
from dashboard.notify_settings import NotifySettings
from dashboard.plant_settings import PlantSettings
from models.errors import ConfigError
from tests.simulators.certificates import Authority
from tests.simulators.webhook import WebhookServer
from tests.unit.dashboard.notify.plant_events import TOP, secret_file, webhook


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as webhook_server:
        yield webhook_server


def message(reason: str = "no frame") -> NotificationMessage:
    values = {"state": "lost", "reason": reason}
    down = Notification(NotificationKind.LINE_DOWN, TOP, 1_764_900_000_000, values)
    return make_message("key-1", [down], PlantSettings(), "Plant", "https://wall")


def receiver(url: str, **settings: Any) -> NotifySettings:
    return NotifySettings.model_validate(webhook(url, **settings))


def test_path_query_and_token_are_sent(server: WebhookServer, tmp_path: Path) -> None:
    token = secret_file(tmp_path, "t0ken")
    post_message(receiver(f"{server.url}/a?b=c", token_file=token), message())
    (post,) = server.posts
    assert post.path == "/a?b=c"
    assert post.headers["authorization"] == "Bearer t0ken"
    assert post.content["schema"] == "graftline-notification-1"


def test_redirect_is_not_followed(server: WebhookServer) -> None:
    with WebhookServer() as other:
        server.statuses, server.location = [307], other.url
        with pytest.raises(SendError, match="redirects"):
            post_message(receiver(server.url), message())
        assert not other.posts


def test_server_that_sends_byte_by_byte_is_cut_off(server: WebhookServer) -> None:
    server.dribbles_s = 0.05
    with pytest.raises(SendError):
        post_message(receiver(server.url), message(), limit_s=0.3)


def test_address_in_a_file_is_not_shown(server: WebhookServer, tmp_path: Path) -> None:
    secret = secret_file(tmp_path, f"{server.url}/secret-part")
    settings = receiver("", url_file=secret)
    post_message(settings, message())
    assert server.posts[0].path == "/secret-part"
    server.statuses = [404]
    with pytest.raises(SendError) as caught:
        post_message(settings, message())
    assert "secret-part" not in str(caught.value)
    secret.write_text("gopher://secret-part\n", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        post_message(settings, message())
    assert "secret-part" not in str(refused.value)


def test_card_shows_hostile_text_as_it_is(server: WebhookServer) -> None:
    hostile = "[x](http://evil.example)\n**bold**"
    post_message(receiver(server.url, kind="teams"), message(hostile))
    (post,) = server.posts
    (attachment,) = post.content["attachments"]
    card = attachment["content"]
    blocks = {block["type"] for block in card["body"]}
    assert blocks == {"RichTextBlock"}, "a TextBlock would make links of names"
    assert "\n" not in card["body"][1]["inlines"][0]["text"]
    assert card["actions"][0]["url"] == "https://wall/lines/plant/line-1/press-1"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    json.dumps(post.content)


def test_certificate_is_checked(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    files = authority.issue("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*files)
    with WebhookServer(tls) as server:
        with pytest.raises(SendError, match="certificate"):
            post_message(receiver(server.url), message())
        trusted = receiver(server.url, tls_ca_file=authority.certificate_file)
        post_message(trusted, message())
        assert len(server.posts) == 1


def test_name_that_is_no_host_is_named() -> None:
    with pytest.raises(SendError, match=r"wall\.\.plant"):
        post_message(receiver("http://wall..plant/a"), message())
