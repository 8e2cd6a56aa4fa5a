"""Account, users, tokens, settings and audit trail, as a browser uses them."""

import csv
import io
from typing import Any

import pytest

from dashboard.access import audit
from dashboard.access.roles import Role
from dashboard.access.tokens import TokenKind, add_token
from dashboard.history import audit_trail
from dashboard.web.language import languages
from tests.simulators.station import alert_event
from tests.unit.dashboard.browser import PASSWORD, SimBrowser, add_users, logged_in
from tests.unit.dashboard.history_file import PRESS
from tests.unit.dashboard.sim_site import SimSite

NEW_PASSWORD = "another horse battery"
HOSTILE = '<img src=x onerror="hacked()">'
CAMERA = "plant/line-1/press-1/top"


@pytest.fixture
def plant(site: SimSite) -> SimSite:
    """A site with a user of each role."""
    add_users(
        site, ann=Role.ADMIN, eve=Role.ENGINEER, otto=Role.OPERATOR, vera=Role.VIEWER
    )
    return site


@pytest.mark.parametrize("code", sorted(languages()))
@pytest.mark.parametrize("path", ["/account", "/users", "/settings", "/audit"])
def test_page_is_shown_in_every_language(plant: SimSite, path: str, code: str) -> None:
    answer = logged_in(plant, "ann").open(f"{path}?lang={code}")
    assert answer.status == 200
    title = languages()[code].text(f"account.page_{path[1:]}")
    assert f"<h1>{title}</h1>" in answer.body.decode()


def test_menu_leads_to_what_the_role_may(plant: SimSite) -> None:
    pages = {
        name: logged_in(plant, name).open("/account").body.decode()
        for name in ("vera", "eve", "ann")
    }
    for path, first in (("/settings", "eve"), ("/users", "ann"), ("/audit", "ann")):
        link = f'href="{path}"'
        seen = [name for name, page in pages.items() if link in page]
        assert seen[0] == first, path


def test_person_without_the_role_sees_a_page_and_a_program_json(
    plant: SimSite,
) -> None:
    browser = logged_in(plant, "vera")
    answer = browser.open("/users")
    assert answer.status == 403
    assert "vera, Viewer" in answer.body.decode()
    assert browser.read("/users").json == {"error": "this needs the role admin"}
    assert browser.open("/nothing").status == 404


# --- own account -------------------------------------------------------------------


def test_own_password_is_changed_and_others_are_logged_out(plant: SimSite) -> None:
    here, there = logged_in(plant, "vera"), logged_in(plant, "vera")
    before = here.session
    body = {"old": PASSWORD, "new": NEW_PASSWORD}
    assert here.post("/api/account/password", body).status == 200
    assert here.session != before
    assert here.read("/api/session").json["user"] == "vera"
    assert there.read("/api/summary").status == 401
    assert SimBrowser(plant.bare_app).log_in("vera").status == 401
    assert SimBrowser(plant.bare_app).log_in("vera", NEW_PASSWORD).status == 200


def test_thief_of_a_session_cannot_guess_the_password(plant: SimSite) -> None:
    browser = logged_in(plant, "vera")
    body = {"old": "wrong", "new": NEW_PASSWORD}
    statuses = [browser.post("/api/account/password", body).status for _ in range(6)]
    assert statuses == [401] * 4 + [429] * 2
    body["old"] = PASSWORD
    assert browser.post("/api/account/password", body).status == 429


def test_weak_new_password_is_refused(plant: SimSite) -> None:
    body = {"old": PASSWORD, "new": "short"}
    answer = logged_in(plant, "vera").post("/api/account/password", body)
    assert answer.status == 400
    assert "10 to 256 characters" in answer.json["error"]


def test_other_browser_is_logged_out_from_the_list(plant: SimSite) -> None:
    here, there = logged_in(plant, "vera"), logged_in(plant, "vera")
    other = logged_in(plant, "otto")
    page = here.open("/account").body.decode()
    ids = [part.split('"')[0] for part in page.split('data-session="')[1:]]
    assert len(ids) == 1
    foreign = other.post("/api/account/sessions/end", {"id": ids[0]})
    assert foreign.status == 404
    with plant.database.read() as connection:
        assert "session.end" not in audit_trail.known_actions(connection)
    assert here.post("/api/account/sessions/end", {"id": ids[0]}).status == 200
    assert there.read("/api/summary").status == 401
    assert here.read("/api/summary").status == 200


def test_name_of_a_browser_is_shown_as_text(plant: SimSite) -> None:
    browser = SimBrowser(plant.bare_app)
    body = {"name": "vera", "password": PASSWORD}
    browser.post("/api/login", body, user_agent=HOSTILE)
    page = browser.open("/account").body.decode()
    assert HOSTILE not in page
    assert "&lt;img src=x" in page


def test_screen_has_no_sessions_to_show_and_no_password(plant: SimSite) -> None:
    with plant.database.write() as connection:
        role = Role.VIEWER
        secret = add_token(connection, "ann", "hall", TokenKind.KIOSK, role, None)
    screens = [SimBrowser(plant.bare_app) for _ in range(2)]
    for screen in screens:
        screen.open(f"/wall?kiosk={secret}")
    assert "data-session" not in screens[0].open("/account").body.decode()
    body: dict[str, Any] = {"old": "", "new": NEW_PASSWORD}
    assert screens[0].post("/api/account/password", body).status == 400
    body = {"id": "0" * 16}
    assert screens[0].post("/api/account/sessions/end", body).status == 400
    assert screens[0].post("/api/logout", {"everywhere": True}).status == 200
    assert screens[1].read("/api/summary").status == 200


# --- users and tokens --------------------------------------------------------------


def test_admin_adds_changes_and_removes_users(plant: SimSite) -> None:
    admin = logged_in(plant, "ann")
    body = {"name": "Zoe", "role": "viewer", "password": PASSWORD}
    assert admin.post("/api/users", body).status == 201
    assert admin.post("/api/users", body).status == 400
    zoe = logged_in(plant, "zoe")
    role = {"name": "zoe", "role": "engineer"}
    assert admin.post("/api/users/role", role).status == 200
    assert zoe.open("/settings").status == 200
    reset = {"name": "zoe", "password": NEW_PASSWORD}
    assert admin.post("/api/users/password", reset).status == 200
    assert zoe.read("/api/summary").status == 401
    assert admin.post("/api/users/remove", {"name": "zoe"}).status == 200
    assert SimBrowser(plant.bare_app).log_in("zoe", NEW_PASSWORD).status == 401
    names = [each["name"] for each in admin.read("/api/users").json["users"]]
    assert names == ["ann", "eve", "otto", "vera"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/users/remove", {"name": "ann"}),
        ("/api/users/remove", {"name": " ANN "}),
        ("/api/users/password", {"name": "ann", "password": NEW_PASSWORD}),
        ("/api/users/role", {"name": "ann", "role": "viewer"}),
        ("/api/users/role", {"name": "vera", "role": "root"}),
        ("/api/users", {"name": HOSTILE, "role": "viewer", "password": PASSWORD}),
        ("/api/users", {"name": "local", "role": "viewer", "password": PASSWORD}),
        ("/api/users", {"name": "x", "role": "viewer", "password": "short"}),
        ("/api/users/remove", {"name": "unknown"}),
        ("/api/tokens/remove", {"id": 999}),
        ("/api/tokens", {"name": " ", "kind": "api"}),
        ("/api/tokens", {"name": "x", "kind": "root"}),
        ("/api/tokens", {"name": "x", "kind": "api", "days": 0}),
    ],
    ids=range(13),
)
def test_change_that_locks_out_or_is_no_change_is_refused(
    plant: SimSite, path: str, body: dict[str, object]
) -> None:
    admin = logged_in(plant, "ann")
    assert admin.post(path, body).status == 400
    assert admin.open("/users").status == 200


def test_first_user_is_added_on_the_page_and_logs_in(site: SimSite) -> None:
    browser = SimBrowser(site.bare_app)
    browser.open(f"/users?token={site.logins.first_run_token}")
    body = {"name": "ann", "role": "admin", "password": PASSWORD}
    assert browser.post("/api/users", body).status == 201
    assert browser.open("/users").headers["location"] == "/login?next=%2Fusers"
    assert browser.log_in("ann").status == 200


def test_token_is_shown_once_and_listed_without_its_secret(plant: SimSite) -> None:
    admin = logged_in(plant, "ann")
    body = {"name": HOSTILE, "kind": "api", "role": "operator", "days": 7}
    answer = admin.post("/api/tokens", body)
    assert answer.status == 201
    assert answer.headers["cache-control"] == "no-store"
    secret = answer.json["token"]
    page = admin.open("/users").body.decode()
    assert secret not in page
    assert HOSTILE not in page
    assert "&lt;img" in page
    assert admin.post("/api/tokens", body).status == 400
    bearer = {"authorization": f"Bearer {secret}"}
    assert SimBrowser(plant.bare_app).open("/api/summary", **bearer).status == 200
    assert admin.post("/api/tokens/remove", {"id": 1}).status == 200
    assert SimBrowser(plant.bare_app).open("/api/summary", **bearer).status == 401


# --- settings ----------------------------------------------------------------------


def test_settings_are_read_by_all_and_changed_by_engineers(plant: SimSite) -> None:
    engineer, viewer = logged_in(plant, "eve"), logged_in(plant, "vera")
    limit = {"defect_percent": 3.5, "streak": 5, "hysteresis": 0.5}
    limit |= {"parts": 60, "minutes": 90}
    body = {"version": 0, "zone": "Europe/Berlin", "limits": {CAMERA: limit}}
    assert viewer.post("/api/settings", body).status == 403
    assert engineer.post("/api/settings", body).json["version"] == 1
    found = viewer.read("/api/settings").json
    assert (found["zone"], found["limits"]) == ("Europe/Berlin", {CAMERA: limit})
    assert engineer.post("/api/settings", body).status == 409
    page = engineer.open("/settings").body.decode()
    assert 'value="3.5"' in page
    assert "CET" in page or "CEST" in page


def test_all_places_are_on_the_page_with_and_without_settings(plant: SimSite) -> None:
    plant.add(1)
    engineer = logged_in(plant, "eve")
    names = {"other/line-9/old/side": HOSTILE}
    engineer.post("/api/settings", {"version": 0, "names": names})
    page = engineer.open("/settings").body.decode()
    data = alert_event(PRESS, 1).data
    seen = f"{data.site}/{data.line}/{data.station}/{data.camera}"
    for key in (seen, seen.rpartition("/")[0], "other/line-9", *names):
        assert f'data-place="{key}"' in page
    assert HOSTILE not in page


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"version": 0, "zone": "../etc/passwd"},
        {"version": 0, "colour": "red"},
        {"version": 0, "shifts": "all"},
        {"version": 0, "limits": {HOSTILE: {"streak": 3}}},
        {"version": 0, "names": {CAMERA: "x" * 61}},
        {"version": -1},
    ],
    ids=range(7),
)
def test_settings_that_cannot_be_meant_are_refused(
    plant: SimSite, body: dict[str, object]
) -> None:
    engineer = logged_in(plant, "eve")
    assert engineer.post("/api/settings", body).status == 400
    assert engineer.read("/api/settings").json["version"] == 0


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("06:00 14:00", "13:00 22:00", "The shifts 'Früh' and 'Spät' overlap."),
        ("06:00 14:00", "14:00 ", "shifts.1.end: '' is no time of day such as 06:00."),
    ],
)
def test_refused_shifts_are_named_in_plain_words(
    plant: SimSite, first: str, second: str, reason: str
) -> None:
    shifts = []
    for name, hours in (("Früh", first), ("Spät", second)):
        start, end = hours.split(" ")
        shifts.append({"name": name, "start": start, "end": end})
    body = {"version": 0, "shifts": shifts}
    answer = logged_in(plant, "eve").post("/api/settings", body)
    assert (answer.status, answer.json["error"]) == (400, reason)


def test_language_of_the_plant_counts_before_the_one_of_the_browser(
    plant: SimSite,
) -> None:
    engineer = logged_in(plant, "eve")
    engineer.post("/api/settings", {"version": 0, "language": "de"})
    english = {"accept-language": "en"}
    assert '<html lang="de"' in engineer.open("/account", **english).body.decode()
    chosen = engineer.open("/account?lang=en").body.decode()
    assert '<html lang="en"' in chosen
    assert '<html lang="en"' in engineer.open("/account").body.decode()


# --- audit trail -------------------------------------------------------------------


def test_trail_is_filtered_and_paged(plant: SimSite) -> None:
    with plant.database.write() as connection:
        for number in range(250):
            audit.append(connection, "otto", "alert.comment", f"s:{number}", {})
        audit.append(connection, "vera", "alert.acknowledge", "s_9", {"a": HOSTILE})
    admin = logged_in(plant, "ann")
    seen: list[int] = []
    query = "user=otto"
    while True:
        page = admin.read(f"/api/audit?{query}").json
        seen += [each["n"] for each in page["entries"]]
        if not page["more"]:
            break
        query = f"user=otto&before={seen[-1]}"
    assert len(seen) == 250
    assert seen == sorted(seen, reverse=True)
    found = admin.read("/api/audit?action=alert&subject=_").json["entries"]
    assert [each["subject"] for each in found] == ["s_9"]
    page = admin.open("/audit?action=alert.acknowledge").body.decode()
    assert HOSTILE not in page
    assert "&lt;img" in page


def test_days_of_the_trail_are_those_of_the_plant(plant: SimSite) -> None:
    admin = logged_in(plant, "ann")
    assert admin.read("/api/audit?from=2100-01-01").json["entries"] == []
    assert admin.read("/api/audit?to=2020-01-01").json["entries"] == []
    assert admin.read("/api/audit?from=2020-01-01&to=2100-01-01").json["entries"]


@pytest.mark.parametrize(
    "query",
    [
        "from=x",
        "to=2026-13-01",
        "from=0001-01-01",
        "to=9999-12-31",
        "user=%00",
        "before=x",
    ],
)
def test_filter_that_is_none_is_refused(plant: SimSite, query: str) -> None:
    admin = logged_in(plant, "ann")
    for path in ("/audit", "/api/audit", "/audit.csv"):
        if not (path == "/audit.csv" and query.startswith("before")):
            assert admin.read(f"{path}?{query}").status == 400, path


def test_trail_as_csv_runs_no_formula(plant: SimSite) -> None:
    with plant.database.write() as connection:
        audit.append(connection, "=1+1", "@sum", "-2\n+3", {"x": "ü"})
    answer = logged_in(plant, "ann").read("/audit.csv?subject=-2")
    rows = list(csv.reader(io.StringIO(answer.body.decode())))
    assert rows[0][:3] == ["n", "time", "user"]
    assert rows[1][2:5] == ["'=1+1", "'@sum", "'-2\n+3"]
    assert rows[1][5] == '{"x": "ü"}'
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'


def test_export_of_the_trail_holds_no_transaction(
    plant: SimSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_trail, "ROWS_AT_ONCE", 2)
    found = audit_trail.all_entries(plant.database, audit_trail.TrailFilter())
    numbers = [next(found).n]
    with plant.database.write() as connection:
        audit.append(connection, "ann", "meanwhile", "x", {})
    rest = list(found)  # in the state of now, not in that of the first entry
    numbers += [each.n for each in rest]
    assert numbers == list(range(1, len(numbers) + 1))
    assert rest[-1].action == "meanwhile"
