import re
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.history.tables.operations import model_answers
from dashboard.status import now_ms
from models.messages import (
    CameraState,
    DaemonState,
    ModelProof,
    PullState,
)
from models.topics import StationTopics
from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.history_file import PRESS, read
from tests.unit.dashboard.sim_site import SimSite
from tests.unit.dashboard.web.lines.floor import Floor

PAGE = "/lines/plant/line-1/press-1"
HOSTILE = '<img src=x onerror="window.hacked=1">'


@pytest.fixture
def floor(site: SimSite) -> Floor:
    return Floor(site)


def text_of(floor: Floor, url: str, **headers: str) -> str:
    answer = get(floor.site.app, url, headers=headers)
    assert answer.status == 200, answer.body
    plain = re.sub(r"<[^>]+>", " ", answer.body.decode())
    return re.sub(r"\s+", " ", plain)


def test_page_without_stations_explains_what_is_missing(floor: Floor) -> None:
    assert "No line PC is known yet" in text_of(floor, "/lines")


def test_overview_shows_what_a_technician_asks_for(floor: Floor) -> None:
    floor.station()
    floor.camera()
    text = text_of(floor, "/lines")
    for part in (
        "press-1",
        "boards · 1763900000",
        "Events waiting 3",
        "62 °C",
        "not synchronized",
        "0.1.0",
        "18 / 31 ms",
        "24.8",
    ):
        assert part in text


def test_cameras_of_one_name_are_kept_apart_by_line_and_station(floor: Floor) -> None:
    for line in ("line-1", "line-2"):
        for station in ("press-1", "press-2"):
            topics = StationTopics("plant", line, station)
            floor.station(topics=topics)
            floor.camera(topics=topics)
    page = get(floor.site.app, "/lines").body.decode()
    assert page.count('<section class="line"') == 2
    assert page.count('<article class="panel station"') == 4
    assert "/lines/plant/line-2/press-2" in page


@pytest.mark.parametrize(
    ("state", "label"), [(DaemonState.LOST, "Lost"), (DaemonState.DISCONNECTED, "Sto")]
)
def test_cameras_of_a_station_that_is_gone_do_not_run(
    floor: Floor, state: DaemonState, label: str
) -> None:
    floor.station()
    floor.camera()
    floor.station(state)
    text = text_of(floor, "/lines")
    assert text.count(f" {label}") >= 2
    assert "24.8" not in text  # no old figure is shown as one of now


def test_silent_station_is_shown_as_silent_and_never_as_running(floor: Floor) -> None:
    long_ago = now_ms() - 10 * 60_000
    floor.station(at_ms=long_ago)
    floor.camera(at_ms=long_ago)
    page = get(floor.site.app, "/api/lines").json
    [station] = page["stations"]
    assert station["state"] == "stale"
    assert station["cameras"][0]["state"] == "stale"
    assert station["state_ms"]["silent"] == pytest.approx(600_000, abs=5000)


@pytest.mark.parametrize("kind", ["trial", "installing"])
def test_line_pc_whose_model_is_being_changed_is_shown_as_flashing(
    floor: Floor, kind: str
) -> None:
    if kind == "trial":
        floor.station(in_trial=True, flashing="boards build 9 is in trial")
    else:
        floor.station()
        floor.answer(PullState.INSTALLING)
    floor.camera()
    page = get(floor.site.app, "/api/lines").json
    [station] = page["stations"]
    assert (station["state"], station["flashing"]["kind"]) == ("flashing", kind)
    assert station["cameras"][0]["state"] == "ok"
    assert "Flashing" in text_of(floor, "/lines")
    [on_the_wall] = get(floor.site.app, "/api/cameras").json["stations"]
    assert on_the_wall["flashing"] == station["flashing"]
    floor.station(DaemonState.DEGRADED, in_trial=True, reason="too hot")
    assert get(floor.site.app, "/api/lines").json["stations"][0]["state"] == "degraded"
    floor.station(flashing="boards build 9 was rolled back: it is bad")
    floor.answer(PullState.REFUSED, "it is bad")
    [station] = get(floor.site.app, "/api/lines").json["stations"]
    assert (station["state"], station["flashing"]) == ("ok", None)


def test_agent_that_has_died_while_it_installed_is_not_shown_for_ever(
    floor: Floor,
) -> None:
    floor.station()
    floor.answer(PullState.INSTALLING)
    with floor.site.database.write() as connection:
        connection.execute(model_answers.update().values(at_ms=now_ms() - 3_700_000))
    [station] = get(floor.site.app, "/api/lines").json["stations"]
    assert station["flashing"] is None


def test_state_log_and_downtimes_are_listed_with_their_reasons(floor: Floor) -> None:
    start_ms = now_ms() - 60_000
    floor.station(at_ms=start_ms)
    floor.camera(at_ms=start_ms)
    floor.camera(CameraState.LOST, reason="cable out", at_ms=start_ms + 20_000)
    floor.camera(at_ms=start_ms + 50_000)
    floor.station()
    text = text_of(floor, PAGE)
    assert "1 downtime" in text
    assert "cable out" in text
    page = get(floor.site.app, f"/api{PAGE}").json
    assert page["cameras"][0]["state_ms"]["lost"] == 30_000
    assert [each["state"] for each in page["changes"] if each["camera"]] == [
        "up",
        "lost",
        "up",
    ]


def test_model_is_shown_with_its_proof_and_since_when(floor: Floor) -> None:
    proof = ModelProof(
        at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        machine="12 cores",
        golden_frames=16,
        precision_hint="f32",
        streams=1,
        latency_ms_p50=8.25,
        latency_ms_p99=9.5,
    )
    floor.station(proof=proof)
    text = text_of(floor, PAGE)
    assert "16 golden frames reproduced, 2026-01-02 03:04 UTC" in text
    assert "8.2 / 9.5 ms, f32" in text
    assert "12 cores" in text
    page = get(floor.site.app, f"/api{PAGE}").json
    assert page["model_since_ms"] == pytest.approx(now_ms(), abs=5000)


def test_station_of_an_older_version_is_shown_without_the_new_fields(
    floor: Floor,
) -> None:
    old = '{"state":"ready","boot_id":"b","version":"0.0.9","model":null}'
    record = read(PRESS.status, old, now_ms())
    floor.site.file.record(record)
    assert "0.0.9" in text_of(floor, "/lines")
    assert "has not reported a model" in text_of(floor, PAGE)


def test_answers_of_the_agent_are_shown_with_their_refusals(floor: Floor) -> None:
    floor.station()
    floor.answer(PullState.INSTALLING)
    floor.answer(PullState.REFUSED, "a threshold is missing", "signature")
    text = text_of(floor, PAGE)
    assert "a threshold is missing" in text
    assert "(trust: signature)" in text


def test_hostile_texts_stay_text(floor: Floor) -> None:
    floor.station(DaemonState.DEGRADED, reason=HOSTILE, version=HOSTILE)
    floor.camera(CameraState.DEGRADED, reason=HOSTILE)
    floor.answer(PullState.REFUSED, HOSTILE, HOSTILE)
    for url in ("/lines", PAGE):
        body = get(floor.site.app, url).body
        assert b"<img src=x" not in body
        assert b"&lt;img src=x" in body


def test_page_is_in_german_for_a_german(floor: Floor) -> None:
    floor.station()
    floor.camera()
    text = text_of(floor, PAGE, **{"accept-language": "de"})
    assert "Läuft" in text
    assert "Aktives Modell" in text
    assert "61,5 °C" in text


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/lines/plant/line-1/none", 404),
        ("/lines/plant/LINE/press-1", 404),
        ("/lines/plant/line-1/%00", 404),
        ("/api/lines/plant/line-1/none", 404),
        ("/lines?hours=5", 400),
        ("/lines?hours=%D9%A3", 400),
        ("/api/lines/plant/line-1/press-1/pictures/top", 404),
        ("/api/lines/plant/line-1/press-1/pictures/..%2f..", 404),
    ],
)
def test_url_of_nothing_is_refused(floor: Floor, url: str, status: int) -> None:
    floor.station()
    assert get(floor.site.app, url).status == status


def test_bar_has_the_length_that_the_url_asks_for(floor: Floor) -> None:
    two_days_ago = now_ms() - round(timedelta(days=2) / timedelta(milliseconds=1))
    floor.station(at_ms=two_days_ago)
    floor.station(DaemonState.LOST, at_ms=two_days_ago + 1000)
    short = get(floor.site.app, f"/api{PAGE}?hours=24").json
    long = get(floor.site.app, f"/api{PAGE}?hours=72").json
    assert set(short["state_ms"]) == {"lost"}
    assert set(long["state_ms"]) == {"unknown", "ready", "lost"}
