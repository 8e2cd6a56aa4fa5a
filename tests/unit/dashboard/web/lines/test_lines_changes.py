import json
from datetime import UTC, datetime
from typing import Any

import pytest

from dashboard.history.maintenance import is_quiet, quiet_cameras
from dashboard.history.model_orders import note_order
from dashboard.history.settings import read_settings
from dashboard.history.tables.audit import entries
from dashboard.history.tables.received import cameras, stations
from dashboard.messages import Message, read_message
from dashboard.status import now_ms
from dashboard.web.lines import changes as line_changes
from models.commands import CommandRefusal, CommandReply
from models.home_assistant import CAMERA_PLATFORMS
from models.messages import CameraState, DesiredModel
from tests.unit.dashboard.asgi import Answer, get, post_json
from tests.unit.dashboard.history_file import JPEG, PRESS
from tests.unit.dashboard.sim_broker import SimBroker, picture_reply
from tests.unit.dashboard.sim_site import SimSite
from tests.unit.dashboard.web.lines.floor import Floor

API = "/api/lines/plant/line-1/press-1"
DESIRED = {
    "name": "boards",
    "build": 9,
    "sha256": "cd" * 32,
    "url": "https://releases.works/boards",
}
LONG_AGO_MS = 3_600_000


@pytest.fixture
def broker(site: SimSite) -> SimBroker:
    return SimBroker(site.outgoing)


@pytest.fixture
def floor(site: SimSite) -> Floor:
    floor = Floor(site)
    floor.station()
    floor.camera()
    return floor


def audited(site: SimSite) -> list[tuple[str, str]]:
    with site.database.read() as connection:
        rows = connection.execute(entries.select().order_by(entries.c.n)).all()
    return [(row.action, row.subject) for row in rows]


def post(floor: Floor, path: str, content: object) -> Answer:
    return post_json(floor.site.app, f"{API}/{path}", content)


def shown(floor: Floor) -> dict[str, Any]:
    found = get(floor.site.app, API).json
    assert isinstance(found, dict)
    return found


# --- desired model ------------------------------------------------------------------


def test_order_is_published_retained_as_the_agent_reads_it(
    floor: Floor, broker: SimBroker
) -> None:
    assert post(floor, "desired", DESIRED).status == 200
    [(topic, payload, is_retained)] = broker.sent
    assert (topic, is_retained) == (PRESS.desired_model, True)
    assert DesiredModel.model_validate_json(payload).url == DESIRED["url"]
    page = shown(floor)
    assert page["desired_state"] == "waiting"
    assert page["desired"]["user"] == "local"
    assert audited(floor.site) == [("model.desire", "plant/line-1/press-1")]


def test_order_is_done_when_the_station_reports_the_model(
    floor: Floor, broker: SimBroker
) -> None:
    sha256 = shown(floor)["status"]["model"]["sha256"]
    post(floor, "desired", {**DESIRED, "sha256": sha256})
    assert broker.sent
    assert shown(floor)["desired_state"] == "done"


def test_order_that_is_taken_back_is_emptied_at_the_broker(
    floor: Floor, broker: SimBroker
) -> None:
    post(floor, "desired", DESIRED)
    assert post(floor, "desired/take-back", {}).status == 200
    assert broker.sent[-1] == (PRESS.desired_model, b"", True)
    assert shown(floor)["desired_state"] == ""


def test_order_for_a_station_that_was_never_heard_is_shown_and_can_be_taken_back(
    floor: Floor, broker: SimBroker
) -> None:
    new = "plant/line-9/new-pc"
    answer = post_json(floor.site.app, f"/api/lines/{new}/desired", DESIRED)
    assert answer.status == 200
    listed = get(floor.site.app, "/api/lines").json["stations"]
    states = {each["station"]: each["state"] for each in listed}
    assert states == {"press-1": "ok", "new-pc": "unheard"}
    page = get(floor.site.app, f"/lines/{new}").body.decode()
    assert "which has sent no message yet" in page
    assert "take-back" in page
    post_json(floor.site.app, f"/api/lines/{new}/desired/take-back", {})
    assert broker.sent[-1] == (f"graftline/{new}/model/desired", b"", True)
    assert get(floor.site.app, f"/lines/{new}").status == 404


def test_station_that_was_never_heard_can_be_forgotten(
    floor: Floor, broker: SimBroker
) -> None:
    new = "plant/line-9/new-pc"
    post_json(floor.site.app, f"/api/lines/{new}/desired", DESIRED)
    answer = post_json(floor.site.app, f"/api/lines/{new}/forget", {})
    assert answer.status == 200
    assert (f"graftline/{new}/model/desired", b"", True) in broker.sent
    assert get(floor.site.app, f"/lines/{new}").status == 404


def test_order_that_the_broker_refuses_is_not_shown_as_given(
    floor: Floor, broker: SimBroker
) -> None:
    post(floor, "desired", DESIRED)
    broker.refused = PRESS.root
    answer = post(floor, "desired", {**DESIRED, "build": 10})
    assert answer.status == 502
    assert "Not authorized" in answer.json["error"]
    assert shown(floor)["desired"]["build"] == 9
    assert [action for action, _ in audited(floor.site)][-1] == "model.not-sent"


def test_order_without_a_broker_is_refused_with_the_reason(floor: Floor) -> None:
    answer = post(floor, "desired", DESIRED)
    assert answer.status == 502
    assert "no connection to the broker" in answer.json["error"]
    assert shown(floor)["desired_state"] == ""


@pytest.mark.parametrize("is_on_its_way", [True, False])
def test_order_without_an_answer_is_undone_only_if_it_cannot_be_sent(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, is_on_its_way: bool
) -> None:
    sent: list[str] = []

    def send(topic: str, _payload: bytes, _retain: bool) -> int:
        sent.append(topic)
        return len(sent)

    outgoing = floor.site.outgoing
    outgoing.open((lambda: outgoing.send(send)) if is_on_its_way else lambda: None)
    monkeypatch.setattr(line_changes, "BROKER_LIMIT_S", 0.05)
    assert post(floor, "desired", DESIRED).status == 502
    outgoing.send(send)
    assert len(sent) == int(is_on_its_way)
    assert shown(floor)["desired_state"] == ("waiting" if is_on_its_way else "")
    action = "model.answer-unknown" if is_on_its_way else "model.not-sent"
    assert [each for each, _ in audited(floor.site)][-1] == action


def test_order_that_is_not_sent_leaves_a_newer_one(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = DesiredModel.model_validate({**DESIRED, "build": 11})

    def order_of_another() -> None:
        with floor.site.database.write() as connection:
            note_order(connection, PRESS, now_ms(), "eve", newer)

    floor.site.outgoing.open(order_of_another)
    monkeypatch.setattr(line_changes, "BROKER_LIMIT_S", 0.05)
    assert post(floor, "desired", DESIRED).status == 502
    assert shown(floor)["desired"]["build"] == 11


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"},
        {"build": -1},
        {"sha256": "cd"},
        {"url": "https://anna:secret@releases.works"},
        {"url": "https://releases.works/\n"},
        {"url": "x" * 3000},
    ],
    ids=["name", "build", "sha256", "login", "line-break", "long"],
)
def test_order_that_no_agent_would_take_is_refused(
    floor: Floor, broker: SimBroker, change: dict[str, object]
) -> None:
    assert post(floor, "desired", {**DESIRED, **change}).status == 400
    assert broker.sent == []


# --- maintenance --------------------------------------------------------------------


def test_camera_in_maintenance_is_quiet_and_shown_as_such(floor: Floor) -> None:
    body = {"camera": "top", "minutes": 30, "reason": "lens is cleaned"}
    answer = post(floor, "maintenance", body)
    assert answer.status == 200
    until_ms = answer.json["until_ms"]
    assert until_ms - now_ms() == pytest.approx(30 * 60_000, abs=5000)
    where = ("plant", "line-1", "press-1", "top")
    with floor.site.database.read() as connection:
        quiet = quiet_cameras(connection, now_ms())
        later = quiet_cameras(connection, until_ms)
    assert is_quiet(quiet, where)
    assert not is_quiet(quiet, (*where[:3], "side"))
    assert not is_quiet(later, where)  # it ends by itself
    page = get(floor.site.app, "/lines").body.decode()
    assert "Maintenance until" in page
    assert "lens is cleaned" in page
    assert audited(floor.site) == [("maintenance.start", "plant/line-1/press-1/top")]


def test_maintenance_of_a_line_pc_is_of_all_its_cameras(floor: Floor) -> None:
    post(floor, "maintenance", {"camera": "", "minutes": 1, "reason": "moved"})
    with floor.site.database.read() as connection:
        quiet = quiet_cameras(connection, now_ms())
    assert is_quiet(quiet, ("plant", "line-1", "press-1", "any"))
    assert not is_quiet(quiet, ("plant", "line-1", "press-2", "any"))


def test_maintenance_ends_on_request(floor: Floor) -> None:
    post(floor, "maintenance", {"camera": "top", "minutes": 30, "reason": "x"})
    assert post(floor, "maintenance/end", {"camera": "top"}).json == {"ended": 1}
    assert post(floor, "maintenance/end", {"camera": "top"}).json == {"ended": 0}
    with floor.site.database.read() as connection:
        assert not quiet_cameras(connection, now_ms())
    actions = [action for action, _ in audited(floor.site)]
    assert actions == ["maintenance.start", "maintenance.end"]


@pytest.mark.parametrize(
    "change",
    [
        {"minutes": 0},
        {"minutes": 99_999},
        {"reason": " "},
        {"reason": "x" * 300},
        {"camera": "TOP"},
        {"camera": "top\n"},
        {"other": 1},
    ],
    ids=["none", "long", "no-reason", "long-reason", "camera", "line-break", "field"],
)
def test_maintenance_without_bounds_is_refused(
    floor: Floor, change: dict[str, object]
) -> None:
    body = {"camera": "top", "minutes": 30, "reason": "x", **change}
    assert post(floor, "maintenance", body).status == 400


# --- name ---------------------------------------------------------------------------


def test_new_name_is_shown_and_the_topic_stays(floor: Floor) -> None:
    assert post(floor, "name", {"camera": "top", "name": "Oben links"}).status == 200
    page = get(floor.site.app, "/lines").body.decode()
    assert "Oben links" in page
    assert shown(floor)["cameras"][0]["camera"] == "top"
    assert post(floor, "name", {"camera": "top", "name": ""}).status == 200
    with floor.site.database.read() as connection:
        assert read_settings(connection).names == {}
    assert [action for action, _ in audited(floor.site)] == ["name.change"] * 2


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "x" * 61])
def test_name_that_cannot_be_shown_is_refused(floor: Floor, name: str) -> None:
    assert post(floor, "name", {"camera": "top", "name": name}).status == 400
    assert audited(floor.site) == []


# --- forget -------------------------------------------------------------------------


def ghost(floor: Floor, camera: str = "old") -> None:
    at_ms = now_ms() - LONG_AGO_MS
    floor.camera(CameraState.ENDED, camera=camera, at_ms=at_ms)


def test_forgotten_camera_leaves_page_broker_and_home_assistant(
    floor: Floor, broker: SimBroker
) -> None:
    ghost(floor)
    assert post(floor, "forget", {"camera": "old"}).json == {
        "done": True,
        "warning": "",
    }
    left = [each["camera"] for each in shown(floor)["cameras"]]
    assert left == ["top"]
    (status, config) = broker.sent
    assert status == (PRESS.camera("old", "status"), b"", True)
    topic, payload, is_retained = config
    assert topic == "homeassistant/device/graftline-plant-line-1-press-1/config"
    assert not is_retained  # the station's own message describes what is left
    components = json.loads(payload)["components"]
    assert components == {
        f"old-{part}": {"platform": platform}
        for part, platform in CAMERA_PLATFORMS.items()
    }
    assert audited(floor.site) == [("sender.forget", "plant/line-1/press-1/old")]


def test_forgotten_station_leaves_nothing_retained_and_keeps_its_alerts(
    site: SimSite, broker: SimBroker
) -> None:
    floor = Floor(site)
    event = site.add(1)
    at_ms = now_ms() - LONG_AGO_MS
    with site.database.write() as connection:
        for table in (stations, cameras):
            connection.execute(table.update().values(heard_ms=at_ms))
    assert post(floor, "forget", {"camera": ""}).status == 200
    assert get(site.app, API).status == 404
    assert get(site.app, f"/api/alerts/{event}").status == 200
    assert set(broker.topics) == {
        PRESS.camera("top", "status"),
        PRESS.desired_model,
        PRESS.reported_model,
        PRESS.status,
        "homeassistant/device/graftline-plant-line-1-press-1/config",
    }
    assert all(payload == b"" and retain for _, payload, retain in broker.sent)


def test_running_camera_is_not_forgotten(floor: Floor, broker: SimBroker) -> None:
    answer = post(floor, "forget", {"camera": "top"})
    assert answer.status == 409
    assert "still sends" in answer.json["error"]
    assert post(floor, "forget", {"camera": ""}).status == 409
    assert broker.sent == []


def test_nothing_is_forgotten_without_the_broker(floor: Floor) -> None:
    ghost(floor)
    assert post(floor, "forget", {"camera": "old"}).status == 502
    assert len(shown(floor)["cameras"]) == 2


def test_home_assistant_that_is_closed_to_the_page_is_a_warning(
    floor: Floor, broker: SimBroker
) -> None:
    ghost(floor)
    broker.refused = "homeassistant"
    answer = post(floor, "forget", {"camera": "old"})
    assert answer.status == 200
    assert "Not authorized" in answer.json["warning"]


def test_forgotten_camera_comes_back_with_its_next_message(
    floor: Floor, broker: SimBroker
) -> None:
    ghost(floor)
    post(floor, "forget", {"camera": "old"})
    assert broker.sent
    floor.camera(camera="old")
    assert len(shown(floor)["cameras"]) == 2


def test_own_deletion_that_the_broker_returns_is_no_invalid_message() -> None:
    topic = PRESS.camera("top", "status")
    assert read_message(Message(topic, b"", now_ms())) is None


# --- picture ------------------------------------------------------------------------


def test_live_picture_is_that_of_the_reply(floor: Floor, broker: SimBroker) -> None:
    broker.reply = picture_reply(JPEG)
    answer = post(floor, "pictures", {"camera": "top"})
    assert answer.status == 200
    picture = get(floor.site.app, answer.json["url"])
    assert (picture.body, picture.headers["content-type"]) == (JPEG, "image/jpeg")
    assert picture.headers["cache-control"] == "private, no-store"
    [(topic, payload, is_retained)] = broker.sent
    assert topic == f"{PRESS.root}/cmd/snapshot"
    assert not is_retained
    assert json.loads(payload)["camera"] == "top"
    page = get(floor.site.app, "/lines/plant/line-1/press-1").body.decode()
    assert "/pictures/top?at=" in page


def test_refusal_of_the_station_is_the_reason(floor: Floor, broker: SimBroker) -> None:
    broker.reply = lambda topic, command: CommandReply(
        id=str(command["id"]),
        verb=topic.rpartition("/")[2],
        accepted=False,
        refusal=CommandRefusal.NOT_POSSIBLE,
        reason="camera top lost: cable out",
        at=datetime.now(UTC),
    )
    answer = post(floor, "pictures", {"camera": "top"})
    assert (answer.status, answer.json["error"]) == (409, "camera top lost: cable out")


@pytest.mark.parametrize("jpeg", [b"", b"<svg onload=x>", JPEG * 20_000])
def test_reply_without_a_picture_is_refused(
    floor: Floor, broker: SimBroker, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_changes, "REPLY_LIMIT_S", 0.05)
    broker.reply = picture_reply(jpeg)
    status = post(floor, "pictures", {"camera": "top"}).status
    assert status in {502, 504}  # a reply that is too large is none
    assert get(floor.site.app, f"{API}/pictures/top").status == 404


def test_station_that_does_not_reply_is_said_so(
    floor: Floor, broker: SimBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_changes, "REPLY_LIMIT_S", 0.05)
    answer = post(floor, "pictures", {"camera": "top"})
    assert (answer.status, answer.json["error"]) == (
        504,
        "the station did not reply",
    )
    assert broker.sent


@pytest.mark.parametrize(
    "path",
    ["desired", "desired/take-back", "maintenance", "name", "forget", "pictures"],
)
def test_change_of_what_is_no_station_is_refused(floor: Floor, path: str) -> None:
    url = f"/api/lines/plant/LINE/press-1/{path}"
    assert post_json(floor.site.app, url, DESIRED).status == 404
