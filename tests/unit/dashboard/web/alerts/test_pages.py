import csv
import io
import re
from typing import Any
from urllib.parse import quote

import pytest

from dashboard.status import now_ms
from models.topics import StationTopics
from tests.simulators.station import MODEL, alert_event, detection
from tests.unit.dashboard.asgi import get, post_json
from tests.unit.dashboard.history_file import (
    JPEG_SHA256,
    PRESS,
    alert_record,
    image_record,
)
from tests.unit.dashboard.sim_site import SimSite

HOSTILE = '<img src=x onerror="window.hacked=1">'
WELD = StationTopics("plant", "line-2", "weld-7")


def add(site: SimSite, station: StationTopics, seq: int, **changes: Any) -> str:
    event = alert_event(station, seq, thumbnail_sha256=JPEG_SHA256, **changes)
    alert = alert_record(event, received_ms=now_ms())
    site.broadcaster.broadcast(site.file.record(image_record(event), alert))
    return event.id


def page(site: SimSite, url: str) -> str:
    answer = get(site.app, url)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/html")
    return answer.body.decode()


def ids_in(text: str) -> list[str]:
    body = text.partition("<template")[0]
    return re.findall(r'class="alert-row"[^>]*data-id="([^"]+)"', body)


def ids(site: SimSite, query: str) -> list[str]:
    listed = get(site.app, f"/api/alert-list?{query}").json["alerts"]
    return [each["id"] for each in listed]


def test_list_shows_the_newest_alert_first(site: SimSite) -> None:
    first, second = site.add(1), site.add(2)
    assert ids_in(page(site, "/alerts?group=no")) == [second, first]


def test_empty_list_says_so(site: SimSite) -> None:
    assert "No alert passes this filter." in page(site, "/alerts")


def test_list_is_filtered_by_the_url(site: SimSite) -> None:
    press = site.add(1)
    weld = add(site, WELD, 1, detections=(detection("hole"), detection("dent")))
    assert ids(site, "line=line-2") == [weld]
    assert ids(site, "station=press-1") == [press]
    assert ids(site, "class=dent") == [weld]
    assert ids(site, "class=dent&class=scratch") == [weld, press]
    assert ids(site, "camera=top&site=plant") == [weld, press]
    assert ids(site, "line=line-2&class=scratch") == []
    assert ids(site, "span=1h") == [weld, press]
    assert ids(site, "from=2020-01-01&to=2020-01-02") == []
    assert ids_in(page(site, "/alerts?line=line-2")) == [weld]


def test_class_that_a_person_gave_is_found(site: SimSite) -> None:
    renamed, other = add(site, PRESS, 1), add(site, PRESS, 2)
    weld = add(site, WELD, 1, detections=(detection("dent"),))
    body = {"kind": "verdict", "ids": [renamed], "verdict": "other-class"}
    answer = post_json(site.app, "/api/reviews", {**body, "label": "dent"})
    assert answer.status == 200
    assert ids(site, "class=dent") == [weld, renamed]
    assert ids(site, "class=dent&line=line-1") == [renamed]
    assert ids(site, "class=scratch") == [other, renamed]
    assert ids(site, "class=dent&class=scratch") == [weld, other, renamed]
    where = "site=plant&line=line-1&station=press-1&camera=top"
    assert ids(site, f"class=dent&{where}") == [renamed]


def test_list_is_filtered_by_part_and_build(site: SimSite) -> None:
    model = MODEL.model_copy(update={"build": 5})
    first = add(site, PRESS, 1, part_id="board-1")
    second = add(site, PRESS, 2, part_id="board-2", model=model)
    third = add(site, PRESS, 3)
    assert ids(site, "part=board-1") == [first]
    assert ids(site, "part=board-1&part=board-2") == [second, first]
    assert ids(site, "part=board") == []
    assert ids(site, "build=5") == [second]
    assert ids(site, f"build={MODEL.build}") == [third, first]
    assert ids(site, f"build={MODEL.build}&part=board-2") == []
    text = page(site, "/alerts")
    assert '<option value="5">' in text


def test_value_of_the_filter_that_does_not_fit_is_refused(site: SimSite) -> None:
    answer = get(site.app, "/alerts?line=../x")
    assert answer.status == 400
    assert get(site.app, "/alerts.csv?verdict=x").status == 400
    assert get(site.app, "/api/alert-list?arrived=x").status == 400
    assert get(site.app, "/api/alert-list?before=x").status == 400


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("from=2026-02-30", "not a date or a time: &#39;2026-02-30&#39;"),
        ("verdict=%3Ci%3E", "verdict must be one of: real-defect"),
        ("shift=x", "shift must be one of:"),
    ],
)
def test_page_names_the_reason_of_a_refusal(
    site: SimSite, query: str, reason: str
) -> None:
    browser = {"accept": "text/html"}
    for path in ("/alerts", "/analysis"):
        answer = get(site.app, f"{path}?{query}", headers=browser)
        expected = 200 if path == "/analysis" and "verdict" in query else 400
        assert answer.status == expected
        assert (reason in answer.body.decode()) == (expected == 400)


def test_alerts_of_one_tool_are_one_group_over_two_pages(site: SimSite) -> None:
    for seq in range(1, 61):
        site.add(seq)
    text = page(site, "/alerts")
    assert text.count("data-member hidden") == 49
    assert "50 alerts" in text
    resume = re.search(r'data-resume="([^"]+)"', text)
    assert resume
    older = get(site.app, f"/api/alert-list?before={resume[1]}").json
    assert len(older["alerts"]) == 10
    shown = {int(n) for n in re.findall(r'data-n="(\d+)"', text)}
    added = {each["n"] for each in older["alerts"]}
    assert any(new in shown and old in added for new, old in older["links"])


def test_what_arrives_is_found_by_its_cursor(site: SimSite) -> None:
    site.add(1)
    cursor = get(site.app, "/api/alert-list").json["newest"]
    second = site.add(2)
    other = add(site, WELD, 1)
    answer = get(site.app, f"/api/alert-list?arrived={cursor}").json
    assert [each["id"] for each in answer["alerts"]] == [second, other]
    assert answer["links"] == [[2, 1]]
    assert (
        get(site.app, f"/api/alert-list?arrived={answer['newest']}").json["alerts"]
        == []
    )


@pytest.mark.fault(68)
def test_hostile_text_is_escaped_everywhere(site: SimSite) -> None:
    part = "</script><script>hacked=1</script>"
    event_id = add(site, PRESS, 1, detections=(detection(HOSTILE),), part_id=part)
    label = quote(HOSTILE)
    for url in (
        *("/alerts", f"/alerts/{event_id}", f"/alerts?class={label}"),
        f"/alerts?part={quote(part)}",
    ):
        text = page(site, url)
        assert "<img src=x" not in text
        assert "<script>hacked" not in text
    table = get(site.app, "/alerts.csv").body.decode()
    assert HOSTILE.replace('"', '""') in table


@pytest.mark.fault(68)
def test_table_holds_no_formula_and_the_same_rows_as_the_list(site: SimSite) -> None:
    formula = "=cmd|' /C calc'!A0"
    add(site, PRESS, 1, detections=(detection(formula),), part_id="@SUM(A1)")
    add(site, WELD, 1)
    answer = get(site.app, "/alerts.csv?line=line-1&bom=1")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    text = answer.body.decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["classes"], row["part"]) == (f"'{formula}", "'@SUM(A1)")
    assert (row["line"], row["camera"], row["shelved"]) == ("line-1", "top", "no")


def test_table_has_all_rows_of_many_pages(site: SimSite) -> None:
    for seq in range(1, 451):
        site.file.record(alert_record(alert_event(PRESS, seq)))
    rows = list(csv.reader(io.StringIO(get(site.app, "/alerts.csv").body.decode())))
    assert len({row[0] for row in rows[1:]}) == len(rows) - 1 == 450


def test_alert_has_a_page_with_its_neighbours_in_the_filter(site: SimSite) -> None:
    first = site.add(1)
    add(site, WELD, 1)
    second, third = site.add(2), site.add(3)
    text = page(site, f"/alerts/{second}?line=line-1")
    for event_id in (first, third):
        assert f'href="/alerts/{quote(event_id, safe="")}?line=line-1"' in text
    assert "data-id" in text
    assert text.count('class="strip-frame"') == 3


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/alerts/nowhere:1", 404),
        ("/alerts/..%2F..%2Fetc%2Fpasswd", 404),
        ("/alerts/a b", 404),
        ("/api/alerts/a%20b/reviews", 404),
    ],
)
@pytest.mark.fault(72)
def test_alert_that_does_not_exist_is_not_found(
    site: SimSite, path: str, status: int
) -> None:
    assert get(site.app, path).status == status


def test_page_is_in_german(site: SimSite) -> None:
    event_id = site.add(1)
    assert "Ältere" not in page(site, "/alerts")
    assert "Quittieren" in page(site, f"/alerts/{event_id}?lang=de")


def test_shelf_is_named_where_it_hides_alerts(site: SimSite) -> None:
    site.add(1)
    assert 'class="notice"' not in page(site, "/alerts")
    body = {"reason": "tool change", "minutes": 60, "line": "line-1"}
    assert post_json(site.app, "/api/shelves", body).status == 200
    (notice,) = re.findall(r'class="notice".*', page(site, "/alerts"))
    assert "1 shelf is in force" in notice
    assert 'class="notice"' not in page(site, "/alerts?shelved=all")
