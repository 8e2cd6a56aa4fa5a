"""The pages of charts and reports, and their downloads."""

import csv
import io
import json
import re
import zipfile
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select

from dashboard.access.roles import Role
from dashboard.history.reviews import OperatorVerdict
from dashboard.history.settings import add_version
from dashboard.history.tables.audit import entries
from dashboard.history.tables.operations import model_changes
from dashboard.plant_settings import PlantSettings, Shift
from models.messages import VerdictKind
from tests.unit.dashboard import asgi
from tests.unit.dashboard.browser import add_users, logged_in
from tests.unit.dashboard.history.analysis_file import (
    HOUR_MS,
    START_MS,
    AnalysisFile,
)
from tests.unit.dashboard.history.test_exports import add_picture
from tests.unit.dashboard.sim_site import SimSite

DAY = "from=2025-11-20&to=2025-11-20"
HOSTILE = '<img src=x onerror="hacked()">'
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture
def data(site: SimSite) -> AnalysisFile:
    return AnalysisFile(site.file, site.database)


def text_of(answer: asgi.Answer) -> str:
    assert answer.status == 200, answer.body[:300]
    return answer.body.decode()


def shown(html: str) -> str:
    """Return the text of a page, each run of spaces as one."""
    without = re.sub(r"(?s)<script.*?</script>|<[^>]+>", " ", html)
    return re.sub(r"[\s\u202f]+", " ", without).replace("\N{EN DASH}", "-")


def rows_of(answer: asgi.Answer) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text_of(answer))))


def change_model(data: AnalysisFile, at_ms: int, build: int) -> None:
    row = {"site": "plant", "line": "line-1", "station": "press-1", "at_ms": at_ms}
    more = {"name": "boards", "build": build, "sha256": "ab", "variant": "int8"}
    with data.database.write() as connection:
        connection.execute(insert(model_changes).values(**row, **more))


@pytest.mark.parametrize("path", ["/analysis", "/analysis/report"])
@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "no parts counted"), ("de", "keine Teile gezählt")],
)
def test_empty_history_shows_that_no_parts_were_counted(
    site: SimSite, path: str, language: str, text: str
) -> None:
    page = shown(text_of(asgi.get(site.app, f"{path}?lang={language}")))
    assert text in page
    assert "None" not in page.replace("Downtimes None.", "")
    assert "nan" not in page.lower().split()


@pytest.mark.parametrize("path", ["/analysis", "/alerts"])
def test_fields_show_a_day_of_the_url(site: SimSite, path: str) -> None:
    page = text_of(asgi.get(site.app, f"{path}?{DAY}"))
    assert 'name="from" value="2025-11-20T00:00"' in page
    assert 'name="to" value="2025-11-20T23:59"' in page


def test_every_number_comes_with_its_n(site: SimSite, data: AnalysisFile) -> None:
    data.parts(5, VerdictKind.OK, 18)
    data.parts(6, VerdictKind.DEFECT, 2)
    data.parts(7, VerdictKind.NOT_INSPECTED, 5)
    ids = [data.alert(6, "scratch") for _ in range(2)]
    data.judge(OperatorVerdict.FALSE_ALARM, ids[0])
    page = shown(text_of(asgi.get(site.app, f"/analysis?{DAY}")))
    assert "Parts inspected 20" in page
    assert re.search(r"Defect rate 10\.0 % 2\.8-30\.1 %, n = 20 parts", page)
    assert re.search(r"Defects 1 in 2 alerts", page)
    assert re.search(r"Not inspected 20\.0 % 8\.9-39\.1 %, n = 25 parts", page)
    assert re.search(r"False alarms 100\.0 % .{1,20}, n = 1 judged", page)
    assert "no parts checked again" in page
    # 2 rejected parts, all of them false alarms: 2 of 20 good parts.
    assert re.search(r"Overkill, estimated 10\.0 %", page)


def test_hostile_names_are_text_on_pages_and_in_tables(
    site: SimSite, data: AnalysisFile
) -> None:
    data.alert(5, HOSTILE, FORMULA)
    html = text_of(asgi.get(site.app, f"/analysis?{DAY}"))
    assert HOSTILE not in html
    assert "&lt;img src=x onerror=&#34;hacked()&#34;&gt;" in html
    for name in ("pareto", "defects"):
        cells = rows_of(asgi.get(site.app, f"/analysis/{name}.csv?{DAY}"))
        found = [cell for row in cells for cell in row]
        assert f"'{FORMULA}" in found
        assert FORMULA not in found


def test_model_changes_and_broken_rules_are_marked(
    site: SimSite, data: AnalysisFile
) -> None:
    for hour in range(20):
        data.parts(60 * hour + 5, VerdictKind.OK, 20)
        data.parts(60 * hour + 6, VerdictKind.DEFECT, 1 + hour % 2)
    data.parts(60 * 20 + 5, VerdictKind.DEFECT, 20)
    change_model(data, START_MS + 3 * HOUR_MS, 17)
    html = text_of(asgi.get(site.app, f"/analysis?{DAY}&step=1h&rules=1"))
    content = re.search(r'(?s)id="trend-data">(.*?)</script>', html)
    assert content
    numbers = json.loads(content[1])
    assert numbers["broken"] == {"20": ["1"]}
    assert numbers["marks"] == [{"s": START_MS / 1000 + 3 * 3600, "text": "boards 17"}]
    assert html.count('class="broken"') == 1
    assert html.count('<line class="mark"') == 2  # on both charts
    assert "boards 17" in shown(html)
    off = text_of(asgi.get(site.app, f"/analysis?{DAY}&step=1h&rules="))
    assert 'class="broken"' not in off


def test_two_builds_are_compared(site: SimSite, data: AnalysisFile) -> None:
    change_model(data, START_MS - HOUR_MS, 17)
    data.parts(5, VerdictKind.OK, 30)
    data.parts(6, VerdictKind.DEFECT, 10)
    change_model(data, START_MS + HOUR_MS, 18)
    data.parts(65, VerdictKind.OK, 39)
    data.parts(66, VerdictKind.DEFECT, 1)
    page = shown(text_of(asgi.get(site.app, f"/analysis?{DAY}")))
    assert re.search(r"boards 17 since .{10,30} 25\.0 % .{5,20}, n = 40", page)
    assert re.search(r"boards 18 since .{10,30} 2\.5 % .{5,20}, n = 40", page)
    assert "clearly lower" in page
    unknown = shown(text_of(asgi.get(site.app, f"/analysis?{DAY}&compare=1&compare=2")))
    assert "Fewer than two builds" in unknown


def test_filter_narrows_all_charts(site: SimSite, data: AnalysisFile) -> None:
    data.alert(5, "scratch")
    data.alert(6, "dent", line="line-2", station="lid-1")
    data.parts(6, VerdictKind.DEFECT, 3, line="line-2", station="lid-1")
    page = shown(text_of(asgi.get(site.app, f"/analysis?{DAY}&line=line-2")))
    assert "Parts inspected 3" in page
    assert "dent" in page
    rows = rows_of(asgi.get(site.app, f"/analysis/pareto.csv?{DAY}&line=line-2"))
    assert {row[5] for row in rows if row[0] == "class"} == {"dent"}


def test_class_filter_counts_its_alerts_on_all_parts(
    site: SimSite, data: AnalysisFile
) -> None:
    data.parts(5, VerdictKind.OK, 8)
    data.parts(6, VerdictKind.DEFECT, 2)
    data.alert(6, "scratch", "dent")
    data.alert(6, "dent")
    page = shown(text_of(asgi.get(site.app, f"/analysis?{DAY}&class=scratch")))
    assert "1 alerts on 10 parts" in page


@pytest.mark.parametrize(
    "query", ["step=x", "line=A", "date=2025-02-31", "from=x", "rules=9"]
)
@pytest.mark.parametrize("path", ["/analysis", "/analysis/report"])
def test_wrong_value_is_refused(site: SimSite, path: str, query: str) -> None:
    is_other = query.startswith("date") and path == "/analysis"
    assert asgi.get(site.app, f"{path}?{query}").status == (200 if is_other else 400)


def test_numbers_of_the_trend_are_a_table(site: SimSite, data: AnalysisFile) -> None:
    data.parts(5, VerdictKind.OK, 8)
    data.parts(6, VerdictKind.DEFECT, 2)
    header, first, *rest = rows_of(
        asgi.get(site.app, f"/analysis/trend.csv?{DAY}&step=1h")
    )
    row = dict(zip(header, first, strict=True))
    assert row["start_utc"] == "2025-11-20T00:00:00.000Z"
    assert (row["parts"], row["defective"], row["rate"]) == ("10", "2", "0.2")
    assert row["upper_limit"] == ""  # one group has no spread
    assert all(each[header.index("parts")] == "0" for each in rest)
    assert all(each[header.index("rate")] == "" for each in rest)


def test_pictures_are_a_zip_with_a_table(site: SimSite, data: AnalysisFile) -> None:
    jpegs = [b"\xff\xd8\xff" + bytes([n]) * n for n in range(1, 4)]
    for minute, jpeg in enumerate(jpegs):
        add_picture(data, minute, jpeg)
    answer = asgi.get(site.app, f"/analysis/pictures.zip?{DAY}")
    assert answer.status == 200
    assert 'filename="pictures.zip"' in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        *names, table = archive.namelist()
        assert [archive.read(name) for name in names] == jpegs[::-1]
        rows = list(csv.reader(io.StringIO(archive.read(table).decode())))
    assert table == "pictures.csv"
    assert [row[0] for row in rows[1:]] == names
    assert all(re.fullmatch(r"[\w-]+\.jpg", name) for name in names)


def report(site: SimSite, query: str = "date=2025-11-20&shift=day") -> str:
    return text_of(asgi.get(site.app, f"/analysis/report?{query}"))


def test_report_shows_the_figures_of_one_shift(
    site: SimSite, data: AnalysisFile
) -> None:
    data.parts(5, VerdictKind.OK, 90)
    data.parts(6, VerdictKind.DEFECT, 10)
    data.parts(24 * 60 + 1, VerdictKind.DEFECT, 7)  # of the next day
    for label in ("a", "a", "b", "c", "d", "e", "f"):
        data.alert(6, label)
    change_model(data, START_MS + HOUR_MS, 18)
    page = shown(report(site))
    assert "Shift report: Whole day, 20 Nov 2025" in page
    assert re.search(r"Good 90 90\.0 % .{5,20} 100 ", page)
    assert re.search(r"Defective 10 10\.0 % .{5,20} 100 ", page)
    assert "1 other" in page  # five classes are listed
    assert "boards 18" in page
    assert "changed in this shift" in page


def test_report_of_an_unknown_shift_is_none(site: SimSite) -> None:
    url = "/analysis/report?date=2025-11-20&shift=late"
    assert asgi.get(site.app, url).status == 400
    assert asgi.get(site.app, "/analysis/report?shift=day&date=").status == 400


def test_note_of_a_shift_is_shown_and_in_the_audit_trail(site: SimSite) -> None:
    note = {"date": "2025-11-20", "shift": "day", "text": f" lens cleaned {HOSTILE} "}
    assert asgi.post_json(site.app, "/api/analysis/notes", note).status == 200
    html = report(site)
    assert HOSTILE not in html
    assert "lens cleaned" in shown(html)
    assert "local," in shown(html)
    assert "lens cleaned" not in report(site, "date=2025-11-19&shift=day")
    with site.database.read() as connection:
        row = connection.execute(select(entries)).one()
    assert (row.action, row.subject) == ("note.write", "2025-11-20/day/")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"shift": "none-such"}, 404),
        ({"text": "x" * 4001}, 400),
        ({"line": "../x"}, 400),
        ({"date": "yesterday"}, 400),
    ],
)
def test_note_that_does_not_fit_is_refused(
    site: SimSite, change: dict[str, str], status: int
) -> None:
    note = {"date": "2025-11-20", "shift": "day", "text": "x", **change}
    assert asgi.post_json(site.app, "/api/analysis/notes", note).status == status


def test_rechecked_parts_give_the_rate_of_escapes(site: SimSite) -> None:
    found = {"checked": 50, "defective": 1, "text": "after the change of light"}
    answer = asgi.post_json(site.app, "/api/analysis/rechecks", found)
    assert answer.status == 201
    page = shown(text_of(asgi.get(site.app, "/analysis")))
    assert re.search(r"Escapes 2\.0 % 0\.1-10\.6 %, n = 50 parts checked again", page)
    with site.database.read() as connection:
        assert connection.execute(select(entries)).one().action == "recheck.add"


@pytest.mark.parametrize(
    "found",
    [
        {"checked": 0, "defective": 0},
        {"checked": 5, "defective": 6},
        {"checked": 10**6, "defective": 0},
        {"checked": 5},
        {"checked": 5, "defective": 1, "line": "A B"},
    ],
)
def test_impossible_recheck_is_refused(site: SimSite, found: dict[str, object]) -> None:
    assert asgi.post_json(site.app, "/api/analysis/rechecks", found).status == 400


def test_viewer_reads_but_does_not_write(site: SimSite) -> None:
    add_users(site, ada=Role.ADMIN, vera=Role.VIEWER)
    browser = logged_in(site, "vera")
    note = {"date": "2025-11-20", "shift": "day", "text": "x"}
    assert browser.post("/api/analysis/notes", note).status == 403
    recheck = {"checked": 5, "defective": 1}
    assert browser.post("/api/analysis/rechecks", recheck).status == 403
    assert "open-recheck" not in text_of(browser.open("/analysis"))
    path = "/analysis/report?date=2025-11-20&shift=day"
    assert "<textarea" not in text_of(browser.open(path))


def test_report_links_to_its_neighbours(site: SimSite) -> None:
    html = report(site)
    assert "date=2025-11-19&amp;shift=day" in html
    today = datetime.now(UTC).date()
    this = report(site, f"date={today.isoformat()}&shift=day")
    tomorrow = (today + timedelta(days=1)).isoformat()
    assert f"date={tomorrow}" not in this


@pytest.mark.parametrize(
    "day", ["0001-01-01", "0001-01-02", "9999-12-30", "9999-12-31"]
)
def test_days_that_no_calendar_holds_are_refused_with_a_reason(
    site: SimSite, day: str
) -> None:
    answers = [
        asgi.get(site.app, f"/analysis/report?date={day}"),
        asgi.post_json(
            site.app, "/api/analysis/notes", {"date": day, "shift": "day", "text": "x"}
        ),
    ]
    assert [each.status for each in answers] == [400, 400]
    assert all("date" in each.json["error"] for each in answers)


@pytest.mark.parametrize("day", ["1971-01-01", "2199-12-31"])
def test_first_and_last_day_have_a_report(site: SimSite, day: str) -> None:
    assert asgi.get(site.app, f"/analysis/report?date={day}").status == 200


def test_parts_between_two_shifts_count_in_the_totals(
    site: SimSite, data: AnalysisFile
) -> None:
    shift = Shift(name="early", start="06:00", end="14:00")
    with site.database.write() as connection:
        settings = PlantSettings(shifts=(shift,))
        add_version(connection, 1, START_MS, "eve", settings)
    data.parts(7 * 60, VerdictKind.OK, 10)
    data.parts(20 * 60, VerdictKind.DEFECT, 4)
    page = shown(text_of(asgi.get(site.app, f"/analysis?{DAY}&step=shift")))
    assert "Parts inspected 14" in page
    assert re.search(r"Defect rate 28\.6 % .{1,20}, n = 14 parts", page)
