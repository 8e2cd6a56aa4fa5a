"""Notifications from the history to a web server: at least once, and not more."""

from collections.abc import Iterator
from typing import Any

import pytest

from dashboard.config import DashboardSettings
from dashboard.history.maintenance import start_maintenance
from dashboard.notify.notifier import Notifier, send_tests
from dashboard.notify.sources import STATION_WAITING_MAX
from dashboard.status import now_ms
from models.messages import CameraState
from tests.simulators.mail_server import MailServer
from tests.simulators.webhook import WebhookServer
from tests.unit.dashboard.history_file import HistoryFile
from tests.unit.dashboard.notify.plant_events import (
    MINUTE_MS,
    TOP,
    PlantEvents,
    webhook,
)
from tests.waiting import until

CAMERA = "line-1 · press-1 · top"


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as webhook_server:
        yield webhook_server


def plant_of(file: HistoryFile, server: WebhookServer, **settings: Any) -> PlantEvents:
    return PlantEvents(file, webhook(server.url, **settings))


def texts_of(server: WebhookServer) -> list[str]:
    """Return the lines of all messages, without their times."""
    return [
        line[20:] for post in server.posts for line in post.content["text"].split("\n")
    ]


def kinds_of(server: WebhookServer) -> list[str]:
    return [
        each["kind"] for post in server.posts for each in post.content["notifications"]
    ]


def test_alarm_is_sent_once_and_its_end_too(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    alarm = plant.raise_alarm()
    for _ in range(3):
        plant.turn()
    assert texts_of(server) == [f"{CAMERA}: 12.5 % of parts defective, limit 5 %"]
    plant.clear_alarm(alarm)
    plant.turn()
    assert kinds_of(server) == ["alarm-raised", "alarm-cleared"]
    assert server.posts[0].content["url"] == "https://wall.plant/wall?line=line-1"


def test_numbers_are_whole_and_in_the_words_of_the_language(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    plant.settings(language="de")
    plant.raise_alarm(station="press-2")
    plant.raise_alarm("streak", value=1234.0, limit=1000.0)
    plant.turn()
    shown = " ".join(texts_of(server))
    assert "12,5 %" in shown
    assert "1234 " in shown
    assert "1000" in shown


def test_what_is_there_at_the_first_start_is_not_sent(
    file: HistoryFile, server: WebhookServer
) -> None:
    PlantEvents(file).raise_alarm()
    plant = plant_of(file, server)
    plant.turn()
    assert not server.posts


def test_failed_message_is_sent_again_with_its_key_after_a_restart(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    server.statuses = [500]
    plant.raise_alarm()
    plant.turn()
    assert plant.senders[0].status.error == "HTTP 500 Internal Server Error"
    assert plant.senders[0].status.waiting == 1
    plant.restart()
    plant.turn()
    assert len(server.posts) == 1, "it waits first"
    plant.now_ms += 5000
    plant.turn()
    plant.turn()
    assert len(server.posts) == 2
    first, second = (each.headers["idempotency-key"] for each in server.posts)
    assert first == second == server.posts[0].content["id"]
    assert plant.senders[0].status.error == ""


def test_process_that_died_while_sending_is_replaced_after_a_while(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    plant.raise_alarm()
    plant.sources.read()
    claimed = plant.outboxes[0].claim()
    plant.restart()
    plant.turn()
    assert not server.posts, "the other process may still be sending"
    plant.now_ms += 2 * MINUTE_MS
    plant.turn()
    assert claimed is not None
    assert [each.content["id"] for each in server.posts] == [claimed.key]


def test_two_dashboards_send_each_notification_once(
    file: HistoryFile, server: WebhookServer
) -> None:
    one, other = plant_of(file, server), plant_of(file, server)
    one.raise_alarm()
    for plant in (one, other, one, other):
        plant.turn()
    assert len(server.posts) == 1


def test_escalation_leaves_out_what_was_acknowledged(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server, after_minutes=10)
    seen, unseen = plant.raise_alarm(), plant.raise_alarm("streak")
    plant.turn()
    plant.acknowledge(seen)
    plant.now_ms += 9 * MINUTE_MS
    plant.turn()
    assert not server.posts
    plant.now_ms += MINUTE_MS
    plant.turn()
    (post,) = server.posts
    assert [each["alarm"] for each in post.content["notifications"]] == [unseen]
    assert "Not acknowledged for 10 min" in post.content["title"]
    plant.clear_alarm(seen)
    plant.turn()
    assert len(server.posts) == 1, "its end is not sent, as its start was not"


def test_quiet_hours_hold_what_still_counts_at_their_end(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(
        file, server, about=["alarms", "alerts"], quiet_hours=["02:00-06:00"]
    )
    plant.settings(zone="Europe/Berlin")
    at_three = 1_764_900_000_000  # 2025-12-05, 03:00 in Berlin
    plant.now_ms = at_three
    over = plant.raise_alarm()
    still = plant.raise_alarm("streak")
    plant.turn()
    plant.clear_alarm(over)
    plant.turn()
    assert not server.posts
    plant.now_ms = at_three + 3 * 60 * MINUTE_MS
    plant.turn()
    (post,) = server.posts
    assert [each["alarm"] for each in post.content["notifications"]] == [still]


def test_messages_over_the_limit_wait_and_go_together(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server, max_per_hour=2)
    for _ in range(5):
        plant.clear_alarm(plant.raise_alarm())
        plant.turn()
    assert len(server.posts) == 2
    plant.now_ms += 60 * MINUTE_MS
    plant.turn()
    assert len(server.posts) == 3
    assert kinds_of(server) == ["alarm-raised", "alarm-cleared"] * 5


def test_alerts_of_one_camera_are_one_line(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server, about=["alerts"])
    ids = [plant.alert(seq) for seq in (1, 2, 3)]
    plant.turn()
    (text,) = texts_of(server)
    assert text.startswith(f"{CAMERA}: 3 defects (")
    (post,) = server.posts
    assert post.content["notifications"][0]["event_id"] == ids[-1]
    one = plant.alert(4)
    plant.turn()
    assert server.posts[1].content["url"] == f"https://wall.plant/alerts/{one}"


def test_lost_camera_and_its_return_are_sent(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server, about=["lines"])
    plant.camera_says(CameraState.UP)
    plant.turn()
    assert not server.posts, "nothing was wrong"
    plant.camera_says(CameraState.LOST, "no frame for 5 s")
    plant.turn()
    plant.camera_says(CameraState.UP)
    plant.turn()
    assert texts_of(server) == [
        f"{CAMERA}: lost: no frame for 5 s",
        f"{CAMERA}: runs again",
    ]


def test_camera_that_is_back_in_time_is_not_sent(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server, about=["lines"], after_minutes=5)
    plant.camera_says(CameraState.LOST)
    plant.turn()
    plant.camera_says(CameraState.UP)
    plant.now_ms += 6 * MINUTE_MS
    plant.turn()
    plant.turn()
    assert not server.posts


def test_camera_in_maintenance_is_quiet(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server, about=["alarms", "alerts", "lines"])
    with plant.database.write() as connection:
        until_ms = plant.now_ms + 60 * MINUTE_MS
        where = (*TOP[:3], "")
        start_maintenance(connection, where, plant.now_ms, until_ms, "otto", "oil")
    plant.raise_alarm()
    plant.camera_says(CameraState.LOST)
    plant.turn()
    assert not server.posts


def test_maintenance_keeps_no_end_from_what_was_reported_before(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server, about=["alarms", "lines"])
    alarm = plant.raise_alarm()
    plant.camera_says(CameraState.LOST)
    plant.turn()
    plant.maintain(60)
    plant.clear_alarm(alarm)
    plant.camera_says(CameraState.UP)
    plant.turn()
    assert kinds_of(server) == [
        "alarm-raised",
        "line-down",
        "alarm-cleared",
        "line-back",
    ]


@pytest.mark.parametrize("is_back", [True, False])
def test_what_is_still_down_after_maintenance_is_sent_once(
    file: HistoryFile,
    server: WebhookServer,
    is_back: bool,
) -> None:
    plant = plant_of(file, server, about=["lines"])
    plant.maintain(60)
    for state in (CameraState.LOST, CameraState.UP, CameraState.LOST):
        plant.camera_says(state)
    if is_back:
        plant.camera_says(CameraState.UP)
    plant.turn()
    plant.now_ms += 59 * MINUTE_MS
    plant.turn()
    assert not server.posts
    plant.now_ms += 2 * MINUTE_MS
    plant.turn()
    plant.turn()
    assert kinds_of(server) == ([] if is_back else ["line-down"])


def test_end_of_an_alarm_is_sent_after_weeks(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    alarm = plant.raise_alarm()
    plant.turn()
    plant.now_ms += 20 * 24 * 60 * MINUTE_MS
    plant.raise_alarm("streak")
    plant.turn()
    plant.clear_alarm(alarm)
    plant.turn()
    assert kinds_of(server) == ["alarm-raised", "alarm-raised", "alarm-cleared"]


def test_other_places_are_left_out(file: HistoryFile, server: WebhookServer) -> None:
    plant = plant_of(file, server, places=["plant/line-2"])
    plant.raise_alarm()
    plant.turn()
    assert not server.posts


def test_receiver_that_is_away_for_a_day_is_given_up(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    server.statuses = [503] * 9
    plant.raise_alarm()
    plant.turn()
    plant.now_ms += 25 * 60 * MINUTE_MS
    plant.turn()
    status = plant.senders[0].status
    assert (status.given_up, status.waiting) == (1, 0)
    assert status.error


def test_message_that_is_refused_does_not_keep_the_next_one_waiting(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    server.statuses = [400] * 3
    plant.raise_alarm()
    for _ in range(3):
        plant.turn()
        plant.now_ms += MINUTE_MS
    status = plant.senders[0].status
    assert (status.given_up, status.waiting) == (1, 0)
    assert status.error == "HTTP 400 Bad Request"
    plant.raise_alarm(station="press-2")
    plant.turn()
    assert plant.senders[0].status.sent == 1
    assert len({post.headers["idempotency-key"] for post in server.posts}) == 2


def mail_plant(file: HistoryFile, server: MailServer) -> PlantEvents:
    return PlantEvents(
        file,
        {
            "name": "boss",
            "kind": "email",
            "host": "127.0.0.1",
            "port": server.port,
            "sender": "wall@plant.example",
            "to": ["otto@plant.example", "gone@plant.example"],
            "tls": "none",
        },
    )


def test_address_that_is_refused_costs_the_others_neither_copies_nor_messages(
    file: HistoryFile,
) -> None:
    with MailServer() as mails:
        plant = mail_plant(file, mails)
        mails.refuses = {"gone@plant.example"}
        for number in (1, 2):
            plant.raise_alarm(station=f"press-{number}")
            for _ in range(3):
                plant.turn()
                plant.now_ms += MINUTE_MS
            status = plant.senders[0].status
            assert (status.sent, status.waiting) == (number, 0)
            assert status.error == "127.0.0.1 refused gone@plant.example"
    assert [mail.recipients for mail in mails.mails] == [("otto@plant.example",)] * 2


def test_address_that_is_asked_to_wait_is_tried_again_alone(file: HistoryFile) -> None:
    with MailServer() as mails:
        plant = mail_plant(file, mails)
        mails.later = {"gone@plant.example"}
        plant.raise_alarm()
        plant.turn()
        assert plant.senders[0].status.error == "127.0.0.1 refused gone@plant.example"
        plant.now_ms += MINUTE_MS
        plant.turn()
        mails.later = set()
        plant.now_ms += MINUTE_MS
        plant.turn()
        status = plant.senders[0].status
        assert (status.sent, status.waiting, status.error) == (1, 0, "")
    reached = [mail.recipients for mail in mails.mails]
    assert reached == [("otto@plant.example",), ("gone@plant.example",)]
    assert len({mail.message["Message-ID"] for mail in mails.mails}) == 1


def test_queue_of_a_receiver_is_bounded(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    for _ in range(STATION_WAITING_MAX // 2 + 3):
        plant.clear_alarm(plant.raise_alarm())
    plant.sources.read()
    plant.sources.read()
    assert plant.sources.dropped["shift"] == 6


def test_one_station_leaves_room_for_others_and_for_alarms(
    file: HistoryFile, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.notify.sources.STATION_WAITING_MAX", 10)
    plant = plant_of(file, server, about=["alarms", "lines"])
    for _ in range(6):
        plant.camera_says(CameraState.LOST)
        plant.camera_says(CameraState.UP)
    plant.sources.read()
    assert plant.sources.dropped["shift"] == 4
    plant.raise_alarm()
    plant.raise_alarm(station="press-10")
    plant.sources.read()
    assert plant.sources.dropped["shift"] == 4


def test_dropped_notifications_are_an_error_for_an_hour(
    file: HistoryFile, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.notify.sources.STATION_WAITING_MAX", 0)
    settings = DashboardSettings.model_validate({"notify": [webhook(server.url)]})
    plant = plant_of(file, server)
    notifier = Notifier(plant.database, settings, clock_ms=plant.clock)
    plant.raise_alarm()
    notifier._sources.read()  # noqa: SLF001 - a turn of its thread
    assert "dropped" in notifier.status()[0].error
    plant.now_ms += 60 * MINUTE_MS
    assert notifier.status()[0].error == ""


def test_wait_that_the_receiver_asks_for_is_kept(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    server.statuses, server.retry_after = [429], "120"
    plant.raise_alarm()
    plant.turn()
    plant.now_ms += MINUTE_MS
    plant.turn()
    assert len(server.posts) == 1
    plant.now_ms += MINUTE_MS
    plant.turn()
    assert len(server.posts) == 2


def test_threads_send_and_end(file: HistoryFile, server: WebhookServer) -> None:
    settings = DashboardSettings.model_validate({"notify": [webhook(server.url)]})
    plant = plant_of(file, server)
    changes: list[bool] = []
    notifier = Notifier(plant.database, settings, lambda: changes.append(True))
    plant.now_ms = now_ms()
    plant.raise_alarm()
    notifier.start()
    try:
        until(lambda: bool(server.posts), "it is posted", 10)
        until(lambda: notifier.status()[0].sent == 1, "it counts as sent", 10)
        until(lambda: changes, "the page is told", 10)
    finally:
        notifier.stop()


def test_what_happens_without_receivers_is_not_sent_later(
    file: HistoryFile, server: WebhookServer
) -> None:
    plant = plant_of(file, server)
    Notifier(plant.database, DashboardSettings()).start()
    plant.raise_alarm()
    plant.turn()
    assert not server.posts


def test_test_message_names_who_does_not_accept_it(server: WebhookServer) -> None:
    other = webhook("http://127.0.0.1:1", name="other")
    settings = DashboardSettings.model_validate(
        {"notify": [webhook(server.url), other]}
    )
    found = send_tests(settings, [])
    assert found["shift"] == ""
    assert found["other"] == "127.0.0.1: Connection refused"
    assert send_tests(settings, ["shift"]) == {"shift": ""}
    assert kinds_of(server) == ["test", "test"]


@pytest.mark.parametrize(
    "step", ["sources.NotificationSources._has_news", "notifier.post_message"]
)
def test_unexpected_error_ends_no_thread_and_is_shown(
    file: HistoryFile,
    server: WebhookServer,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    monkeypatch.setattr("dashboard.notify.notifier.TURN_S", 0.01)
    monkeypatch.setattr("dashboard.notify.schedule.FIRST_WAIT_S", 0.01)
    settings = DashboardSettings.model_validate({"notify": [webhook(server.url)]})
    plant = plant_of(file, server)
    notifier = Notifier(plant.database, settings)
    plant.now_ms = now_ms()
    plant.raise_alarm()
    with monkeypatch.context() as broken:
        broken.setattr(f"dashboard.notify.{step}", lambda *_: {"y": True}["x"])
        notifier.start()
        until(lambda: "KeyError" in notifier.status()[0].error, "it is shown", 10)
    try:
        until(lambda: bool(server.posts), "it is posted", 10)
        until(lambda: not notifier.status()[0].error, "it is over", 10)
    finally:
        notifier.stop()
