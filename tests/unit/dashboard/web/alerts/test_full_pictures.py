"""A full picture is put together from its pieces, or it is said why not."""

import base64
import hashlib
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from dashboard.config import HistorySettings
from dashboard.history.full_picture_cache import PictureKind, read_full_picture
from dashboard.history.tables.received import stations
from dashboard.outgoing import Outgoing
from dashboard.web.alerts.full_pictures import (
    BUSY_TRIES,
    TRIES,
    Fetch,
    FetchState,
    FullPictures,
    Wanted,
)
from edge.delivery.evidence import encode_heat_map
from models.commands import PIECE_MAX_BYTES, CommandReply, EvidenceCommand
from models.heat_map import HEAT_MAP_MAX_BYTES
from models.topics import parse_topic
from tests.simulators.station import alert_event
from tests.unit.dashboard.asgi import get, post_json
from tests.unit.dashboard.history_file import PRESS, alert_record
from tests.unit.dashboard.sim_site import SimSite
from tests.waiting import until

PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 500
SHA256 = hashlib.sha256(PICTURE).hexdigest()
HEAT_MAP = encode_heat_map(np.arange(96, dtype=np.uint8).reshape(8, 12))
PATH = f"2026-11-30/top/board-17-{SHA256[:8]}.jpg"


class LinePc:
    """Answers commands as a station does; ``change`` replaces fields of the piece."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.outgoing, self.asked = outgoing, 0
        self.picture = PICTURE
        self.change: dict[str, Any] = {}
        self.refusals: list[tuple[str, str]] = []
        self.is_silent = False
        self.mid = 0
        outgoing.open(self.answer)

    def answer(self) -> None:
        sent: list[tuple[str, bytes]] = []

        def publish(topic: str, payload: bytes, _retain: bool) -> int:
            sent.append((topic, payload))
            self.mid += 1
            return self.mid

        self.outgoing.send(publish)
        for topic, payload in sent:
            self.outgoing.note_answer(self.mid, "")
            self._reply(topic, EvidenceCommand.model_validate_json(payload))

    def _reply(self, topic: str, command: EvidenceCommand) -> None:
        self.asked += 1
        parsed = parse_topic(topic)
        assert parsed is not None
        if self.is_silent:
            return
        values: dict[str, Any] = {
            "id": command.id,
            "verb": "evidence",
            "accepted": True,
            "at": datetime.now(UTC),
        }
        if self.refusals:
            refusal, reason = self.refusals.pop()
            values |= {"accepted": False, "refusal": refusal, "reason": reason}
        else:
            content = self.picture[command.offset : command.offset + PIECE_MAX_BYTES]
            values["evidence"] = {
                "offset": command.offset,
                "size_bytes": len(self.picture),
                "sha256": hashlib.sha256(self.picture).hexdigest(),
                "content": base64.b64encode(content).decode(),
                **self.change,
            }
        reply = CommandReply.model_validate(values)
        place = parsed.topics.reply("evidence", command.id)
        self.outgoing.note_reply(place, reply.model_dump_json().encode())


@pytest.fixture
def line_pc(site: SimSite) -> LinePc:
    return LinePc(site.outgoing)


def fetch(
    site: SimSite,
    path: str = PATH,
    reply_limit_s: float = 10,
    kind: PictureKind = PictureKind.FULL,
    **settings: Any,
) -> Fetch:
    pictures = FullPictures(
        *(site.outgoing, site.database, HistorySettings(**settings), lambda _: None),
        reply_limit_s=reply_limit_s,
    )
    wanted = Wanted("press-1:1", kind)
    pictures.start(wanted, PRESS, path)
    until(lambda: pictures.state(wanted).state is not FetchState.RUNNING, "the end")
    return pictures.state(wanted)


def test_picture_is_put_together_and_kept(site: SimSite, line_pc: LinePc) -> None:
    ended = fetch(site)
    assert ended == Fetch(FetchState.DONE, len(PICTURE), len(PICTURE))
    assert line_pc.asked == -(-len(PICTURE) // PIECE_MAX_BYTES)
    with site.database.read() as connection:
        assert read_full_picture(connection, "press-1:1") == (SHA256, PICTURE)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sha256": "0" * 64}, "not the picture of this alert"),
        ({"content": "eHh4", "size_bytes": 3}, "not the picture"),
        ({"content": "%%%"}, "damaged"),
        ({"content": ""}, "do not belong together"),
        ({"offset": 5}, "do not belong together"),
    ],
)
def test_wrong_picture_is_refused(
    site: SimSite, line_pc: LinePc, change: dict[str, Any], reason: str
) -> None:
    line_pc.change = change
    ended = fetch(site)
    assert ended.state is FetchState.FAILED
    assert reason in ended.reason
    with site.database.read() as connection:
        assert read_full_picture(connection, "press-1:1") is None


def test_picture_of_another_alert_is_refused(site: SimSite, line_pc: LinePc) -> None:
    ended = fetch(site, "2026-11-30/top/board-17-00000000.jpg")
    assert "not the picture of this alert" in ended.reason
    assert line_pc.asked


def test_picture_that_is_gone_is_named(site: SimSite, line_pc: LinePc) -> None:
    line_pc.refusals = [("not-possible", "the line PC has it no longer")]
    assert fetch(site).reason == "the line PC has it no longer"


def test_busy_station_is_asked_again(site: SimSite, line_pc: LinePc) -> None:
    line_pc.refusals = [("queue-full", "")] * BUSY_TRIES
    assert fetch(site).state is FetchState.DONE


def test_older_station_is_named(site: SimSite, line_pc: LinePc) -> None:
    line_pc.refusals = [("unknown-verb", "")]
    assert "older version" in fetch(site).reason


def test_silent_station_is_given_up(site: SimSite, line_pc: LinePc) -> None:
    line_pc.is_silent = True
    assert "does not answer" in fetch(site, reply_limit_s=0.02).reason
    assert line_pc.asked == TRIES


def test_missing_broker_is_named(site: SimSite) -> None:
    assert "no connection to the broker" in fetch(site).reason


@pytest.mark.parametrize("path", ["../etc/passwd", "/etc/passwd", "a" * 400])
def test_path_that_is_none_is_not_asked_for(
    site: SimSite, line_pc: LinePc, path: str
) -> None:
    assert fetch(site, path).state is FetchState.FAILED
    assert line_pc.asked == 0


def test_picture_without_room_is_named(site: SimSite, line_pc: LinePc) -> None:
    assert "leaves 0 MiB" in fetch(site, full_pictures_mb=0).reason
    assert line_pc.asked


def add(site: SimSite, **changes: Any) -> str:
    event = alert_event(PRESS, 1, **{"evidence": PATH, **changes})
    site.file.record(alert_record(event))
    return event.id


def test_page_asks_and_looks(site: SimSite, line_pc: LinePc) -> None:
    event_id = add(site)
    url = f"/api/alerts/{event_id}/full-picture"
    assert get(site.app, url).status == 404
    assert get(site.app, f"{url}/state").json["state"] == "none"
    assert post_json(site.app, url, {}).json["state"] in ("running", "done")
    until(lambda: get(site.app, f"{url}/state").json["state"] == "done", "the picture")
    answer = get(site.app, url)
    assert (answer.headers["content-type"], answer.body) == ("image/jpeg", PICTURE)
    etag = {"if-none-match": answer.headers["etag"]}
    assert get(site.app, url, headers=etag).status == 304
    asked = line_pc.asked
    assert post_json(site.app, url, {}).json["state"] == "done"
    assert line_pc.asked == asked
    assert b'data-full="yes"' in get(site.app, f"/alerts/{event_id}").body


def test_alert_without_a_full_picture_says_so(site: SimSite, line_pc: LinePc) -> None:
    event_id = add(site, evidence=None)
    answer = post_json(site.app, f"/api/alerts/{event_id}/full-picture", {})
    assert answer.status == 409
    assert b'id="full-picture"' not in get(site.app, f"/alerts/{event_id}").body
    assert line_pc.asked == 0


@pytest.mark.parametrize(
    ("state", "reason"), [("lost", "not connected"), ("disconnected", "stopped")]
)
def test_station_that_is_away_is_not_asked(
    site: SimSite, line_pc: LinePc, state: str, reason: str
) -> None:
    event_id = add(site)
    with site.database.write() as connection:
        text = f'{{"state": "{state}"}}'
        connection.execute(update(stations).values(status=text))
    answer = post_json(site.app, f"/api/alerts/{event_id}/full-picture", {}).json
    assert answer["state"] == "failed"
    assert reason in answer["reason"]
    assert line_pc.asked == 0


def heat_path(content: bytes) -> str:
    return f"2026-11-30/top/board-17-{hashlib.sha256(content).hexdigest()[:8]}.png"


def test_heat_map_is_fetched_and_kept_beside_the_full_picture(
    site: SimSite, line_pc: LinePc
) -> None:
    assert fetch(site).state is FetchState.DONE
    line_pc.picture, line_pc.asked = HEAT_MAP, 0
    ended = fetch(site, heat_path(HEAT_MAP), kind=PictureKind.HEAT_MAP)
    assert ended == Fetch(FetchState.DONE, len(HEAT_MAP), len(HEAT_MAP))
    assert line_pc.asked == 1
    with site.database.read() as connection:
        full = read_full_picture(connection, "press-1:1")
        found = read_full_picture(connection, "press-1:1", PictureKind.HEAT_MAP)
    assert full == (SHA256, PICTURE)
    assert found == (hashlib.sha256(HEAT_MAP).hexdigest(), HEAT_MAP)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HEAT_MAP[:-8], "no heat map: it is cut off"),
        (PICTURE[:5000], "no heat map: it is not a PNG"),
        (b"<svg onload=alert(1)>", "no heat map: it is not a PNG"),
        (HEAT_MAP + bytes(1 << 20), "more than any such picture"),
        (bytes(HEAT_MAP_MAX_BYTES), "no heat map: it is not a PNG"),
    ],
)
def test_hostile_heat_map_is_refused(
    site: SimSite, line_pc: LinePc, content: bytes, reason: str
) -> None:
    line_pc.picture = content
    ended = fetch(site, heat_path(content), kind=PictureKind.HEAT_MAP)
    assert ended.state is FetchState.FAILED
    assert reason in ended.reason
    assert line_pc.asked <= 2
    with site.database.read() as connection:
        found = read_full_picture(connection, "press-1:1", PictureKind.HEAT_MAP)
    assert found is None


def test_page_asks_for_a_heat_map_and_looks(site: SimSite, line_pc: LinePc) -> None:
    line_pc.picture = HEAT_MAP
    event_id = add(site, heat_map=heat_path(HEAT_MAP))
    url = f"/api/alerts/{event_id}/heat-map"
    page = get(site.app, f"/alerts/{event_id}").body
    assert b'id="heat-map"' in page
    assert b'data-heat-map="no"' in page
    assert get(site.app, url).status == 404
    post_json(site.app, url, {})
    until(lambda: get(site.app, f"{url}/state").json["state"] == "done", "the map")
    answer = get(site.app, url)
    assert (answer.headers["content-type"], answer.body) == ("image/png", HEAT_MAP)
    # The full picture is another one, and not here yet.
    full = f"/api/alerts/{event_id}/full-picture"
    assert get(site.app, full).status == 404
    assert get(site.app, f"{full}/state").json["state"] == "none"
    page = get(site.app, f"/alerts/{event_id}").body
    assert b'data-heat-map="yes"' in page
    assert b'data-full="no"' in page


def test_alert_of_a_named_class_has_no_heat_map(site: SimSite, line_pc: LinePc) -> None:
    event_id = add(site)
    answer = post_json(site.app, f"/api/alerts/{event_id}/heat-map", {})
    assert answer.status == 409
    assert b'id="heat-map"' not in get(site.app, f"/alerts/{event_id}").body
    assert line_pc.asked == 0
