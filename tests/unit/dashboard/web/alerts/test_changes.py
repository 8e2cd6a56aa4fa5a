import asyncio
import json
import sqlite3
from typing import Any

import pytest
from sqlalchemy import select

from dashboard.access.roles import Role
from dashboard.access.tokens import TokenKind, add_token
from dashboard.history.tables.audit import entries
from dashboard.web.event_stream import LiveEvent
from tests.unit.dashboard.asgi import LIMIT_S, Answer, get, post_json
from tests.unit.dashboard.sim_site import SimSite


def review(site: SimSite, **body: Any) -> Answer:
    return post_json(site.app, "/api/reviews", body)


def listed(site: SimSite, query: str = "") -> list[dict[str, Any]]:
    alerts: list[dict[str, Any]] = get(site.app, f"/api/alert-list?{query}").json[
        "alerts"
    ]
    return alerts


def trail(site: SimSite) -> list[tuple[str, str, dict[str, Any]]]:
    with site.database.read() as connection:
        rows = connection.execute(select(entries).order_by(entries.c.n)).all()
    return [(row.action, row.subject, json.loads(row.details)) for row in rows]


def test_acknowledgement_is_answered_with_the_new_row(site: SimSite) -> None:
    event_id = site.add(1)
    answer = review(site, kind="acknowledge", ids=[event_id]).json
    assert answer["changed"] == 1
    (row,) = answer["alerts"]
    assert row["acknowledged_by"]
    assert row["badges"][0]["text"].startswith("Acknowledged by")
    assert review(site, kind="acknowledge", ids=[event_id]).json["changed"] == 0


def test_every_change_is_in_the_audit_trail(site: SimSite) -> None:
    first, second = site.add(1), site.add(2)
    review(site, kind="verdict", verdict="false-alarm", ids=[first])
    review(site, kind="acknowledge", ids=[first, second])
    shelf = {"reason": "tool change", "minutes": 5, "label": "scratch"}
    k = post_json(site.app, "/api/shelves", shelf).json["k"]
    post_json(site.app, f"/api/shelves/{k}/end", {})
    actions = [(action, subject) for action, subject, _ in trail(site)]
    assert actions == [
        ("alert.verdict", first),
        ("alert.acknowledge", "2 alerts"),
        ("shelf.add", str(k)),
        ("shelf.end", str(k)),
    ]
    details = [each[2] for each in trail(site)]
    assert details[0]["verdict"] == "false-alarm"
    assert details[1]["ids"] == [first, second]
    assert details[2]["reason"] == "tool change"


def test_verdicts_and_comments_are_listed_with_who_and_when(site: SimSite) -> None:
    event_id = site.add(1)
    review(site, kind="verdict", verdict="real-defect", ids=[event_id])
    review(site, kind="verdict", verdict="other-class", label="dent", ids=[event_id])
    review(site, kind="comment", text="look <b>here</b>", ids=[event_id])
    reviews = get(site.app, f"/api/alerts/{event_id}/reviews").json["reviews"]
    assert [each["did"] for each in reviews] == [
        "look <b>here</b>",
        "Is dent",
        "Real defect",
    ]
    assert all(each["who"] and each["when"].endswith("UTC") for each in reviews)
    (row,) = listed(site, "verdict=other-class")
    assert row["verdict_label"] == "dent"


def choice(site: SimSite, query: str) -> dict[str, Any]:
    count = get(site.app, f"/api/alert-count?{query}").json
    assert not count["is_more"]
    return {
        "query": query,
        **{name: count[name] for name in ("newest", "now_ms", "count")},
    }


def test_whole_filter_is_changed_as_it_was_counted(site: SimSite) -> None:
    for seq in range(1, 6):
        site.add(seq)
    chosen = choice(site, "line=line-1&acknowledged=no")
    assert chosen["count"] == 5
    late = site.add(6)
    answer = review(site, kind="acknowledge", filter=chosen).json
    assert answer["changed"] == 5
    assert [each["id"] for each in listed(site, "acknowledged=no")] == [late]


def test_filter_that_selects_others_by_now_changes_nothing(site: SimSite) -> None:
    first, _ = site.add(1), site.add(2)
    chosen = choice(site, "acknowledged=no")
    review(site, kind="acknowledge", ids=[first])
    answer = review(site, kind="verdict", verdict="false-alarm", filter=chosen)
    assert answer.status == 409
    assert "selects 1 alert now, not 2" in answer.json["error"]
    assert listed(site, "verdict=false-alarm") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "acknowledge"},
        {"kind": "acknowledge", "ids": []},
        {"kind": "explode", "ids": ["a:1"]},
        {"kind": "verdict", "ids": ["a:1"]},
        {"kind": "verdict", "verdict": "other-class", "ids": ["a:1"]},
        {"kind": "comment", "text": " ", "ids": ["a:1"]},
        {"kind": "comment", "text": "x" * 1001, "ids": ["a:1"]},
        {"kind": "acknowledge", "ids": ["../etc"]},
        {"kind": "acknowledge", "ids": ["a:1"], "user": "somebody"},
        {"kind": "acknowledge", "ids": ["a"] * 1001},
        {"kind": "acknowledge", "ids": ["a:1"], "filter": {}},
    ],
)
def test_body_that_does_not_fit_is_refused(site: SimSite, body: dict[str, Any]) -> None:
    answer = post_json(site.app, "/api/reviews", body)
    assert answer.status == 400
    assert answer.json["error"]
    assert not trail(site)


def test_unknown_alert_is_not_found(site: SimSite) -> None:
    assert review(site, kind="acknowledge", ids=["nowhere:1"]).status == 404


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reason": " "}, "needs a reason"),
        ({"line": ""}, "would hide every alert"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 10**6}, "minutes"),
        ({"line": "../x"}, "line"),
    ],
)
def test_shelf_that_cannot_be_is_refused(
    site: SimSite, changes: dict[str, Any], reason: str
) -> None:
    body = {"reason": "why", "minutes": 60, "line": "line-1", **changes}
    answer = post_json(site.app, "/api/shelves", body)
    assert answer.status == 400
    assert reason in answer.json["error"]
    assert not trail(site)


def test_shelf_is_listed_until_it_is_ended(site: SimSite) -> None:
    body = {"reason": "tool <b>", "minutes": 60, "line": "line-1", "label": "scratch"}
    k = post_json(site.app, "/api/shelves", body).json["k"]
    (shelf,) = get(site.app, "/api/shelves").json["shelves"]
    assert (shelf["what"], shelf["reason"]) == (["line-1", "scratch"], "tool <b>")
    assert post_json(site.app, f"/api/shelves/{k}/end", {}).status == 200
    assert get(site.app, "/api/shelves").json["shelves"] == []
    assert post_json(site.app, f"/api/shelves/{k}/end", {}).status == 409


def test_open_pages_are_informed_of_a_review(site: SimSite) -> None:
    event_id = site.add(1)

    async def watch() -> LiveEvent | None:
        site.hub.attach(asyncio.get_running_loop())
        viewer = site.hub.join()
        assert viewer is not None
        await asyncio.to_thread(review, site, kind="acknowledge", ids=[event_id])
        return await asyncio.wait_for(viewer.next_event(), LIMIT_S)

    event = asyncio.run(watch())
    assert event is not None
    assert (event.kind, json.loads(event.text)) == (
        "review",
        {"ids": [event_id], "n": 1},
    )


@pytest.mark.fault(71)
def test_history_that_is_locked_can_be_read_and_changes_say_so(site: SimSite) -> None:
    event_id = site.add(1)
    lock = sqlite3.connect(site.file.path, isolation_level=None)
    try:
        lock.execute("BEGIN IMMEDIATE")
        assert [each["id"] for each in listed(site)] == [event_id]
        answer = review(site, kind="acknowledge", ids=[event_id])
    finally:
        lock.close()
    assert answer.status == 503
    assert "locked" in answer.json["error"]
    assert review(site, kind="acknowledge", ids=[event_id]).json["changed"] == 1


def viewer(site: SimSite) -> dict[str, str]:
    """Return the header of a program that may only look."""
    with site.database.write() as connection:
        args = ("ada", "line display", TokenKind.API, Role.VIEWER, None)
        return {"authorization": f"Bearer {add_token(connection, *args)}"}


@pytest.mark.parametrize(
    "path", ["/alerts", "/alerts.csv", "/api/alert-list", "/api/alert-count"]
)
def test_viewer_may_look(site: SimSite, path: str) -> None:
    assert get(site.app, path, headers=viewer(site)).status == 200


@pytest.mark.parametrize("path", ["/api/reviews", "/api/shelves", "/api/shelves/1/end"])
def test_viewer_changes_nothing(site: SimSite, path: str) -> None:
    body = {"kind": "acknowledge", "ids": ["a:1"]}
    before = len(trail(site))
    answer = post_json(site.app, path, body, headers=viewer(site))
    assert answer.status == 403
    assert "alert" not in str([each[0] for each in trail(site)][before:])


@pytest.mark.fault(72)
@pytest.mark.parametrize("path", ["/alerts", "/api/alert-list", "/alerts.csv"])
def test_stranger_sees_nothing(site: SimSite, path: str) -> None:
    answer = get(site.bare_app, path)
    assert answer.status in (303, 401)
    assert b"alert-row" not in answer.body
