import asyncio
import json
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from dashboard.history.queries import LISTED_DETECTIONS
from dashboard.status import now_ms
from models.topics import StationTopics
from tests.simulators.station import alert_event, detection
from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.history_file import (
    JPEG,
    PRESS,
    HistoryFile,
    alert_record,
)
from tests.unit.dashboard.sim_site import UP, SimSite
from tests.waiting import until


def test_alerts_are_listed_newest_first(site: SimSite) -> None:
    for seq in (1, 2, 3):
        site.add(seq)
    page = get(site.app, "/api/alerts?limit=2").json
    assert [each["seq"] for each in page["alerts"]] == [3, 2]
    assert page["newest"] == 3
    older = get(site.app, f"/api/alerts?before={page['alerts'][-1]['n']}").json
    assert [each["seq"] for each in older["alerts"]] == [1]
    later = get(site.app, "/api/alerts?after=0").json
    assert [each["seq"] for each in later["alerts"]] == [1, 2, 3]


def test_places_select_alerts_and_charts(site: SimSite) -> None:
    others = [StationTopics("plant", "line-2", name) for name in ("press-1", "press-9")]
    for topics in (PRESS, *others):
        record = alert_record(
            alert_event(topics, 1, stream=topics.root.replace("/", "-")), now_ms()
        )
        site.file.record(record)

    def counts(query: str) -> list[int]:
        alerts = get(site.app, f"/api/alerts?{query}").json["alerts"]
        later = get(site.app, f"/api/alerts?after=0&{query}").json["alerts"]
        rate = get(site.app, f"/api/rate?{query}").json
        part = get(site.app, f"/api/rate?minutes=61&{query}").json
        pareto = get(site.app, f"/api/pareto?{query}").json
        rates = [sum(each["alerts"]) for each in (rate, part)]
        return [len(alerts), len(later), *rates, pareto["total"]]

    assert counts("") == [3] * 5
    assert counts("line=line-2") == [2] * 5
    assert counts("line=line-2&station=press-9&camera=top") == [1] * 5
    assert counts("line=line-1&line=line-2&station=press-1") == [2] * 5
    assert counts("line=none") == [0] * 5
    assert get(site.app, f"/api/rate?line={'x' * 33}").status == 400
    assert get(site.app, f"/api/alerts?{'line=a&' * 101}").status == 400


@pytest.mark.parametrize("looked_at", [100, 0])
def test_pages_of_one_line_miss_no_alert(
    site: SimSite, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.history.queries.CAMERAS_LOOKED_AT", looked_at)
    other = StationTopics("plant", "line-2", "press-1")
    for seq in range(1, 6):
        for topics in (PRESS, other):
            event = alert_event(topics, seq, stream=topics.root.replace("/", "-"))
            site.file.record(alert_record(event, now_ms()))
    found: list[int] = []
    page = get(site.app, "/api/alerts?limit=2&line=line-2").json
    while page["alerts"]:
        found += [each["seq"] for each in page["alerts"]]
        assert page["more"] == (found[-1] > 1)
        before = page["alerts"][-1]["n"]
        query = f"limit=2&line=line-2&before={before}"
        page = get(site.app, f"/api/alerts?{query}").json
    assert found == [5, 4, 3, 2, 1]


def test_alert_and_its_picture_are_found_by_id(site: SimSite) -> None:
    event_id = site.add(1)
    alert = get(site.app, f"/api/alerts/{event_id}").json
    assert alert["detections"][0]["label"] == "scratch"
    answer = get(site.app, f"/api/alerts/{event_id}/image")
    assert (answer.body, answer.headers["content-type"]) == (JPEG, "image/jpeg")
    etag = {"if-none-match": answer.headers["etag"]}
    again = get(site.app, f"/api/alerts/{event_id}/image", headers=etag)
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/api/alerts/none:1",
        "/api/alerts/none:1/image",
        "/api/alerts/..%2F..%2Fetc%2Fpasswd",
        "/api/alerts/..%2F..%2Fetc%2Fpasswd/image",
        "/api/alerts/%00/image",
        "/api/alerts/'%20OR%201=1--",
        "/api/alerts/" + "x" * 5000,
        "/static/../config.py",
        "/static/..%2Fconfig.py",
        "/static/%2e%2e/config.py",
        "/static//etc/passwd",
        "/pages/index.html",
        "/api/nothing",
    ],
)
def test_hostile_path_finds_nothing(site: SimSite, path: str) -> None:
    site.add(1)
    answer = get(site.app, path)
    assert answer.status == 404
    assert b"import" not in answer.body


@pytest.mark.parametrize(
    "query",
    [
        "alerts?limit=0",
        "alerts?limit=501",
        "alerts?limit=ten",
        "alerts?limit=-1",
        "alerts?limit=1e2",
        "alerts?limit=%D9%A3",  # a digit, but not ASCII
        "alerts?after=99999999999999999999999",
        "alerts?before=x",
        "rate?minutes=0",
        "rate?minutes=999999999",
        "pareto?minutes=",
    ],
)
def test_number_out_of_bounds_is_refused_with_its_bounds(
    site: SimSite, query: str
) -> None:
    answer = get(site.app, f"/api/{query}")
    assert answer.status == 400
    assert "whole number from" in answer.json["error"]


@pytest.mark.parametrize(
    "path",
    ["/", "/wall", "/static/style.css", "/api/alerts", "/api/alerts/x/image", "/none"],
)
def test_every_answer_has_the_safe_headers(site: SimSite, path: str) -> None:
    headers = get(site.app, path).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_answer_to_a_fault_of_the_program_has_the_safe_headers(
    site: SimSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise RuntimeError

    monkeypatch.setattr(type(site.file.history), "newest", fail)
    sent: list[MutableMapping[str, Any]] = []

    async def note(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        await site.app(scope, receive, note)

    with pytest.raises(RuntimeError):
        get(app, "/healthz")
    assert sent[0]["status"] == 500
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]


def test_page_loads_nothing_from_elsewhere_and_has_no_inline_script(
    site: SimSite,
) -> None:
    page = get(site.app, "/wall").body.decode()
    assert "http://" not in page
    assert "https://" not in page
    assert " on" + "click" not in page
    assert "style=" not in page
    for script in page.split("<script")[1:]:
        if script.startswith(' type="application/json"'):  # never run
            continue
        assert script.startswith(' src="/static/')
        assert script.split(">", 1)[1].startswith("</script>")


def test_foreign_host_name_is_refused(site: SimSite) -> None:
    answer = get(site.app, "/api/alerts", headers={"host": "evil.example"})
    assert answer.status == 421


def test_cursor_of_many_digits_is_no_error(site: SimSite) -> None:
    site.add(1)
    answer = get(
        site.app, "/api/events?after=" + "9" * 5000, enough=lambda b: b"state" in b
    )
    assert answer.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed_through_the_web(site: SimSite, method: str) -> None:
    assert get(site.app, "/api/alerts", method=method).status == 405


def test_cameras_pareto_rate_and_summary_agree(site: SimSite) -> None:
    for seq in (1, 2):
        site.add(seq)
    state = get(site.app, "/api/cameras").json
    ((camera,),) = (each["cameras"] for each in state["stations"])
    assert camera["camera"] == "top"
    assert state["stale_after_s"] == 15
    assert get(site.app, "/api/pareto").json["total"] == 2
    assert sum(get(site.app, "/api/rate").json["alerts"]) == 2
    summary = get(site.app, "/api/summary").json
    assert (summary["alerts"], summary["images"], summary["gaps"]) == (2, 2, [])


def test_health_shows_whether_alerts_can_be_kept(site: SimSite) -> None:
    assert get(site.app, "/healthz").json["status"] == "ok"
    site.status = replace(UP, broker=replace(UP.broker, is_up=False, reason="gone"))
    away = get(site.app, "/healthz")
    assert (away.status, away.json["status"]) == (200, "degraded")
    site.status = replace(UP, unjudged="ValueError")
    assert get(site.app, "/healthz").json["status"] == "degraded"
    site.status = replace(UP, failure="database or disk is full")
    full = get(site.app, "/healthz")
    assert (full.status, full.json["status"]) == (503, "failing")
    site.status = replace(UP, writer_age_s=99.0)
    assert get(site.app, "/healthz").status == 503


def test_history_that_cannot_be_read_is_reported(site: SimSite) -> None:
    site.file.path.rename(site.file.path.with_suffix(".moved"))
    answer = get(site.app, "/api/alerts")
    assert answer.status == 503
    assert "history" in answer.json["error"]


def events(body: bytes) -> list[tuple[str, str, str]]:
    """Return (id, event, data) of everything in a stream of events."""
    found = []
    for block in body.decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line.split(": ", 1) for line in block.split("\n") if ": " in line]
        fields = {line[0]: line[1] for line in lines if line[0]}
        if "event" in fields:
            found.append((fields.get("id", ""), fields["event"], fields["data"]))
    return found


def test_page_gets_what_it_missed_then_the_state(site: SimSite) -> None:
    for seq in (1, 2, 3):
        site.add(seq)
    answer = get(
        site.app,
        "/api/events",
        headers={"last-event-id": "1"},
        enough=lambda body: b"event: state" in body,
    )
    kinds = [(number, kind) for number, kind, _ in events(answer.body)]
    assert kinds == [("2", "alert"), ("3", "alert"), ("", "state")]
    assert site.hub.viewers == 0


def test_last_event_id_wins_over_the_address(site: SimSite) -> None:
    for seq in (1, 2, 3):
        site.add(seq)
    answer = get(
        site.app,
        "/api/events?after=1",
        headers={"last-event-id": "2"},
        enough=lambda body: b"event: state" in body,
    )
    assert [number for number, _, _ in events(answer.body)] == ["3", ""]


def test_new_alert_is_sent_to_an_open_page(site: SimSite) -> None:
    async def raise_alert() -> None:
        site.hub.attach(asyncio.get_running_loop())
        await asyncio.to_thread(until, lambda: site.hub.viewers, "the page listens")
        await asyncio.to_thread(site.add, 1)

    answer = get(
        site.app,
        "/api/events",
        enough=lambda body: b"event: alert" in body,
        meanwhile=raise_alert,
    )
    alerts = [
        json.loads(data) for _, kind, data in events(answer.body) if kind == "alert"
    ]
    assert [each["seq"] for each in alerts] == [1]


@pytest.mark.parametrize("cursor", ["999", "-1", "x", "1; DROP TABLE alerts", "٣"])
def test_cursor_of_another_history_or_nonsense_is_survived(
    site: SimSite, cursor: str
) -> None:
    site.add(1)
    answer = get(
        site.app,
        f"/api/events?after={cursor}",
        enough=lambda body: b"event: state" in body,
    )
    kinds = [kind for _, kind, _ in events(answer.body)]
    assert kinds == (["reset", "state"] if cursor == "999" else ["state"])


def test_page_that_missed_too_much_is_reset(site: SimSite) -> None:
    found = (detection("dent"),)
    site.file.record(
        *(
            alert_record(alert_event(PRESS, seq, detections=found))
            for seq in range(1, 502)
        )
    )
    answer = get(
        site.app,
        "/api/events?after=0",
        enough=lambda body: b"event: state" in body,
    )
    assert [kind for _, kind, _ in events(answer.body)] == ["reset", "state"]


LONG = detection("x" * 400)


def test_page_of_large_alerts_is_bounded_and_shows_that_there_are_more(
    site: SimSite,
) -> None:
    # 120 kB each: 60 of them are 7 MB, far more than a page holds.
    for seq in range(1, 61):
        event = alert_event(PRESS, seq, detections=(LONG,) * 220)
        site.file.record(alert_record(event))
    first = get(site.app, "/api/alerts?limit=500").json
    assert first["more"]
    assert len(first["alerts"]) < 30
    assert first["alerts"][0]["n"] == 60
    following = get(site.app, f"/api/alerts?after={first['alerts'][-1]['n']}").json
    assert not following["more"]
    assert following["alerts"][-1]["n"] == 60
    answer = get(
        site.app, "/api/events?after=0", enough=lambda body: b"event: state" in body
    )
    assert [kind for _, kind, _ in events(answer.body)] == ["reset", "state"]


def test_large_alert_is_listed_with_its_surest_boxes_and_alone_with_all(
    site: SimSite,
) -> None:
    boxes = (*(detection("x" * 400, score=0.5) for _ in range(219)), LONG)
    event = alert_event(PRESS, 1, detections=boxes)
    site.file.record(alert_record(event))
    (listed,) = get(site.app, "/api/alerts").json["alerts"]
    assert listed["detections"][0]["score"] == LONG.score
    assert len(listed["detections"]) == LISTED_DETECTIONS
    (station,) = get(site.app, "/api/cameras").json["stations"]
    assert station["cameras"][0]["last_alert"]["detections"] == listed["detections"]
    alone = get(site.app, f"/api/alerts/{event.id}").json
    assert len(alone["detections"]) == 220


def test_page_beyond_the_limit_is_refused_with_a_reason(file: HistoryFile) -> None:
    site = SimSite(file, max_viewers=1)
    assert site.hub.join()
    assert get(site.app, "/api/events").status == 503


def test_page_without_cameras_gets_brief_states(site: SimSite) -> None:
    site.add(1)
    answer = get(
        site.app,
        "/api/events?cameras=0",
        enough=lambda body: b"event: state" in body,
    )
    ((_, _, data),) = events(answer.body)
    brief = json.loads(data)
    assert "stations" not in brief
    assert brief["missing"] == 0
    assert brief["broker"]["is_up"]
    status = get(site.app, "/api/status").json
    assert status.keys() == brief.keys()


def test_missing_events_of_all_stations_are_counted(site: SimSite) -> None:
    site.add(1)
    site.add(4)
    assert get(site.app, "/api/status").json["missing"] == 2
    assert get(site.app, "/api/cameras").json["missing"] == 2
