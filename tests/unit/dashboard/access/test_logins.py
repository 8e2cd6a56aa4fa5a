"""Log in and out: who is known, for how long, and what a stolen thing is good for."""

import asyncio
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from dashboard.access import users
from dashboard.access.backoff import FREE_BY_ADDRESS, FREE_BY_NAME
from dashboard.access.logins import Credentials, require_users
from dashboard.access.passwords import Passwords, TooManyLoginsError
from dashboard.access.roles import Role
from dashboard.access.secrets import csrf_token, digest_of
from dashboard.access.sessions import LONGEST_MS, PER_OWNER_MAX, end_session
from dashboard.access.tokens import TokenKind, add_token, remove_token
from dashboard.config import DashboardSettings, ServerSettings
from dashboard.history.tables.accounts import sessions, tokens
from dashboard.history.tables.accounts import users as user_table
from dashboard.history.tables.audit import entries
from dashboard.web import identify
from models.errors import ConfigError
from tests.unit.dashboard.asgi import get
from tests.unit.dashboard.browser import PASSWORD, SimBrowser, add_users, logged_in
from tests.unit.dashboard.history_file import HistoryFile
from tests.unit.dashboard.sim_site import SimSite

PAGE = "/api/summary"
FROM_NETWORK = DashboardSettings(server=ServerSettings(host="192.0.2.1"))
IDLE_S = ServerSettings().session_hours * 3600
DAY_S = 24 * 3600
TEST_S = 600  # longer than a test takes: tokens have the time of this machine
NEW_PASSWORD = "another horse battery"


@pytest.fixture
def plant(site: SimSite) -> SimSite:
    """A site with a user of each role."""
    add_users(
        site,
        ann=Role.ADMIN,
        eve=Role.ENGINEER,
        otto=Role.OPERATOR,
        vera=Role.VIEWER,
    )
    return site


def make_token(site: SimSite, kind: TokenKind, role: Role, days: int | None) -> str:
    with site.database.write() as connection:
        return add_token(connection, "ann", f"{kind} {days}", kind, role, days)


# --- the first run ---------------------------------------------------------------


def test_printed_address_opens_the_page_once_and_for_all(site: SimSite) -> None:
    browser = SimBrowser(site.bare_app)
    token = site.logins.first_run_token
    answer = browser.open(f"/alerts?line=a&token={token}&n=1")
    assert (answer.status, answer.headers["location"]) == (303, "/alerts?line=a&n=1")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert browser.read("/api/session").json == {"user": "local", "role": "admin"}
    assert token not in browser.session
    assert "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "query", ["", "?token=", "?token=guessed", "?token=" + "x" * 999]
)
def test_other_users_of_the_machine_are_not_let_in(site: SimSite, query: str) -> None:
    browser = SimBrowser(site.bare_app, address="127.0.0.1")
    answer = browser.open(f"/wall{query}")
    assert answer.status == 303
    assert answer.headers["location"].startswith("/login")
    assert browser.read(PAGE).status == 401
    assert not browser.session


def test_first_user_ends_the_first_run(site: SimSite) -> None:
    browser = SimBrowser(site.bare_app)
    address = f"/wall?token={site.logins.first_run_token}"
    browser.open(address)
    assert browser.read(PAGE).status == 200
    add_users(site, ann=Role.ADMIN)
    assert browser.read(PAGE).status == 401
    assert SimBrowser(site.bare_app).open(address).headers["location"] == (
        "/login?next=%2Fwall&refused=token"
    )
    bearer = {"authorization": f"Bearer {site.logins.first_run_token}"}
    assert get(site.bare_app, PAGE, headers=bearer).status == 401


def test_token_of_another_start_is_refused_but_its_sessions_go_on(
    site: SimSite, file: HistoryFile
) -> None:
    browser = SimBrowser(site.bare_app)
    browser.open(f"/wall?token={site.logins.first_run_token}")
    restarted = SimSite(file)
    browser.app = restarted.bare_app
    assert browser.read(PAGE).status == 200
    old = {"authorization": f"Bearer {site.logins.first_run_token}"}
    assert get(restarted.bare_app, PAGE, headers=old).status == 401


def test_page_for_a_network_has_no_first_run(file: HistoryFile) -> None:
    site = SimSite(file, settings=FROM_NETWORK)
    bearer = {"authorization": f"Bearer {site.logins.first_run_token}"}
    assert get(site.bare_app, PAGE, headers=bearer).status == 401
    with pytest.raises(ConfigError, match="no users yet") as caught:
        require_users(site.database, FROM_NETWORK.server)
    assert "graftline dashboard-user add" in caught.value.fix
    add_users(site, ann=Role.ADMIN)
    require_users(site.database, FROM_NETWORK.server)


# --- passwords --------------------------------------------------------------------


def test_user_logs_in_in_any_case_and_out(plant: SimSite) -> None:
    browser = SimBrowser(plant.bare_app)
    assert browser.log_in(" VERA").status == 200
    assert browser.read("/api/session").json == {"user": "vera", "role": "viewer"}
    assert browser.post("/api/logout", {}).status == 200
    assert not browser.session
    assert browser.read(PAGE).status == 401


@pytest.mark.parametrize(
    "name",
    [
        "vera",
        "nobody-of-us",
        "",
        "a" * 64,
        "vera\0",
        "' OR 1=1 --",
        "../vera",
        "\u202evera",
    ],
    ids=repr,
)
def test_wrong_login_is_answered_the_same_for_every_name(
    plant: SimSite, name: str
) -> None:
    answer = SimBrowser(plant.bare_app).log_in(name, "wrong")
    assert answer.status == 401
    assert answer.json == {"error": "the name or the password is wrong"}
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "content",
    [
        {"name": "x" * 65, "password": PASSWORD},
        {"name": "vera", "password": "x" * 257},
        {"name": ["vera"], "password": PASSWORD},
        {"name": "vera", "password": {"$ne": ""}},
        {"name": "vera", "password": PASSWORD, "role": "admin"},
        {"name": None, "password": None},
        [],
        "vera",
    ],
    ids=range(8),
)
def test_login_that_is_no_login_is_refused(plant: SimSite, content: Any) -> None:
    assert SimBrowser(plant.bare_app).post("/api/login", content).status == 400


@pytest.mark.parametrize("name", ["vera", "someone-else"])
def test_same_work_is_done_whether_there_is_such_a_user_or_not(
    plant: SimSite, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.passwords.verify(None, "")  # the hash of no user is made once
    worked = []
    verify = PasswordHasher.verify

    def counted(hasher: PasswordHasher, hashed: str, password: bytes) -> bool:
        worked.append(hashed.split("$")[3])
        return verify(hasher, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    assert SimBrowser(plant.bare_app).log_in(name, "wrong").status == 401
    assert worked == ["m=64,t=1,p=4"]


def test_wrong_passwords_make_the_next_one_wait(plant: SimSite) -> None:
    browser = SimBrowser(plant.bare_app)
    for _ in range(FREE_BY_NAME):
        assert browser.log_in("vera", "wrong").status == 401
    answer = browser.log_in("vera")  # the right one waits too
    assert answer.status == 429
    assert answer.headers["retry-after"] == "2"
    assert answer.json["wait_s"] == 2
    assert SimBrowser(plant.bare_app, "192.0.2.8").log_in("vera").status == 429
    assert browser.log_in("otto").status == 200
    plant.clock.pass_s(3)
    assert browser.log_in("vera").status == 200


def test_unknown_names_wait_as_known_ones_do(plant: SimSite) -> None:
    browser = SimBrowser(plant.bare_app)
    statuses = [browser.log_in("unknown", "wrong").status for _ in range(6)]
    assert statuses == [401] * FREE_BY_NAME + [429] * (6 - FREE_BY_NAME)


def test_one_address_cannot_try_many_names(plant: SimSite) -> None:
    browser = SimBrowser(plant.bare_app)
    statuses = [
        browser.log_in(f"name-{number}", "wrong").status
        for number in range(FREE_BY_ADDRESS + 3)
    ]
    assert statuses[FREE_BY_ADDRESS:] == [429] * 3


def test_proxy_on_this_machine_is_not_locked_out(plant: SimSite) -> None:
    """All clients come from its address."""
    browser = SimBrowser(plant.bare_app, address="127.0.0.1")
    for number in range(FREE_BY_ADDRESS + 3):
        assert browser.log_in(f"name-{number}", "wrong").status == 401


def test_flood_of_logins_is_answered_busy_and_not_counted(
    plant: SimSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_self: Passwords, _hashed: str, _password: str) -> bool:
        raise TooManyLoginsError

    browser = SimBrowser(plant.bare_app)
    with monkeypatch.context() as patched:
        patched.setattr(Passwords, "verify", busy)
        answers = [browser.log_in("vera") for _ in range(10)]
    assert {answer.status for answer in answers} == {503}
    assert answers[0].headers["retry-after"]
    assert browser.log_in("vera").status == 200


def test_hash_of_older_parameters_is_replaced_at_the_login(plant: SimSite) -> None:
    old = Passwords(time_cost=2, memory_kib=64).hash(PASSWORD)
    with plant.database.write() as connection:
        users.set_password(connection, "test", "vera", old)
    logged_in(plant, "vera")
    with plant.database.read() as connection:
        now = users.find_user(connection, "vera")
    assert now is not None
    assert "t=1" in now.password
    logged_in(plant, "vera")


def test_refused_and_accepted_logins_are_in_the_audit_trail(plant: SimSite) -> None:
    SimBrowser(plant.bare_app).log_in("vera\n", "wrong")
    logged_in(plant, "vera").post("/api/logout", {})
    with plant.database.read() as connection:
        rows = connection.execute(select(entries).order_by(entries.c.n)).all()[4:]
    assert [(row.user, row.action, row.subject) for row in rows] == [
        ("", "session.refuse", "vera"),
        ("vera", "session.start", "vera"),
        ("vera", "session.end", "vera"),
    ]
    assert all("wrong" not in row.details for row in rows)
    assert "192.0.2.7" in rows[0].details


def test_neither_passwords_nor_secrets_are_in_the_history(plant: SimSite) -> None:
    browser = logged_in(plant, "vera")
    kiosk = make_token(plant, TokenKind.KIOSK, Role.VIEWER, None)
    with plant.database.read() as connection:
        kept = str(
            [
                connection.execute(select(table)).all()
                for table in (user_table, sessions, tokens, entries)
            ]
        )
    for secret in (PASSWORD, browser.session, kiosk, csrf_token(browser.session)):
        assert secret not in kept
    assert digest_of(browser.session) in kept


# --- sessions ---------------------------------------------------------------------


@pytest.mark.fault(72)
def test_stolen_cookie_is_worthless_after_the_logout(plant: SimSite) -> None:
    browser = logged_in(plant, "vera")
    thief = SimBrowser(plant.bare_app, "192.0.2.66", cookies=dict(browser.cookies))
    assert thief.read(PAGE).status == 200
    browser.post("/api/logout", {})
    assert thief.read(PAGE).status == 401


def test_log_out_everywhere_ends_the_other_browsers_of_this_user_only(
    plant: SimSite,
) -> None:
    here, there = logged_in(plant, "vera"), logged_in(plant, "vera")
    other = logged_in(plant, "otto")
    here.post("/api/logout", {"everywhere": True})
    assert there.read(PAGE).status == 401
    assert other.read(PAGE).status == 200


@pytest.mark.fault(72)
def test_session_that_was_set_before_the_login_is_not_used_after_it(
    plant: SimSite,
) -> None:
    """Session fixation: a stranger gives the browser a cookie that he knows."""
    attacker = logged_in(plant, "vera")
    for planted in (attacker.session, "planted"):
        victim = SimBrowser(plant.bare_app)
        victim.cookies = dict.fromkeys(attacker.cookies, planted)
        assert victim.log_in("ann").status == 200
        assert victim.session != planted
        known = SimBrowser(
            plant.bare_app, cookies=dict.fromkeys(attacker.cookies, planted)
        )
        assert known.read(PAGE).status == 401


def test_session_ends_after_hours_without_use(plant: SimSite) -> None:
    browser = logged_in(plant, "vera")
    for _ in range(3):
        plant.clock.pass_s(IDLE_S - 60)
        assert browser.read(PAGE).status == 200
    plant.clock.pass_s(IDLE_S + 60)
    assert browser.read(PAGE).status == 401


def test_session_ends_after_a_month_even_in_use(plant: SimSite) -> None:
    browser = logged_in(plant, "vera")
    for _ in range(int(LONGEST_MS / 1000 / (IDLE_S / 2))):
        plant.clock.pass_s(IDLE_S / 2)
        status = browser.read(PAGE).status
    assert status == 401


def test_role_and_password_count_at_once(plant: SimSite) -> None:
    browser = logged_in(plant, "otto")
    with plant.database.write() as connection:
        users.set_role(connection, "ann", "otto", Role.VIEWER)
    assert browser.read("/api/session").json["role"] == "viewer"
    with plant.database.write() as connection:
        users.set_password(connection, "ann", "otto", "another hash")
    assert browser.read(PAGE).status == 401


def test_sessions_of_one_user_are_limited(plant: SimSite) -> None:
    first = logged_in(plant, "vera")
    for _ in range(PER_OWNER_MAX):
        plant.clock.pass_s(1)
        logged_in(plant, "vera")
    assert first.read(PAGE).status == 401
    with plant.database.read() as connection:
        assert len(connection.execute(select(sessions)).all()) == PER_OWNER_MAX


def test_live_events_end_after_the_logout(
    plant: SimSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identify, "CHECK_EVERY_S", 0.02)
    browser = logged_in(plant, "vera")

    async def log_out() -> None:
        while not plant.hub.viewers:  # noqa: ASYNC110 - the hub has no event
            await asyncio.sleep(0)
        identity = plant.logins.identify(Credentials(browser.session))
        assert identity is not None
        plant.logins.log_out(identity, everywhere=False)

    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    answer = get(
        plant.bare_app, "/api/events", headers={"cookie": cookie}, meanwhile=log_out
    )
    assert answer.status == 200
    assert plant.hub.viewers == 0


# --- CSRF and cookies -------------------------------------------------------------


@pytest.mark.fault(72)
@pytest.mark.parametrize("token", ["", "guessed", csrf_token("of another login")])
def test_change_without_the_token_of_the_page_is_refused(
    plant: SimSite, token: str
) -> None:
    browser = logged_in(plant, "vera")
    answer = browser.post("/api/logout", {}, x_csrf_token=token)
    assert answer.status == 403
    assert browser.read(PAGE).status == 200, "nothing has changed"


def test_page_carries_the_token_of_its_session(plant: SimSite) -> None:
    browser = logged_in(plant, "vera")
    meta = f'<meta name="csrf-token" content="{csrf_token(browser.session)}">'
    assert meta in browser.open("/wall").body.decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:8765"}, 200),
        ({"content_type": "text/plain"}, 403),
        ({"content_type": "application/x-www-form-urlencoded"}, 403),
    ],
    ids=range(8),
)
def test_another_site_cannot_log_a_browser_in(
    plant: SimSite, headers: dict[str, str], status: int
) -> None:
    body = {"name": "vera", "password": PASSWORD}
    browser = SimBrowser(plant.bare_app)
    assert browser.post("/api/login", body, **headers).status == status
    assert bool(browser.session) == (status == 200)


def test_cookie_under_https_is_for_this_host_and_https_only(plant: SimSite) -> None:
    browser = SimBrowser(plant.bare_app, scheme="https")
    cookie = browser.log_in("vera").headers["set-cookie"]
    assert cookie.startswith("__Host-graftline_8765=")
    assert "; secure" in cookie.lower()
    assert browser.read(PAGE).status == 200
    plain = SimBrowser(plant.bare_app, cookies=dict(browser.cookies))
    assert plain.read(PAGE).status == 401


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/alerts?line=a", "/alerts?line=a"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/login", "/"),
        ("/a\r\nset-cookie: x=y", "/"),
    ],
)
def test_login_leads_on_to_this_site_only(
    plant: SimSite, wanted: str, reached: str
) -> None:
    browser = logged_in(plant, "vera")
    quoted = "".join(f"%{byte:02x}" for byte in wanted.encode())
    answer = browser.open(f"/login?next={quoted}")
    assert (answer.status, answer.headers["location"]) == (303, reached)


@pytest.mark.parametrize("name", ["token", "kiosk"])
def test_path_of_another_host_is_not_led_to(plant: SimSite, name: str) -> None:
    kiosk = make_token(plant, TokenKind.KIOSK, Role.VIEWER, None)
    answer = SimBrowser(plant.bare_app).open(f"//evil.example/x?{name}={kiosk}")
    assert not answer.headers["location"].startswith("//")


# --- tokens -----------------------------------------------------------------------


def test_token_of_a_program_has_its_role_and_needs_no_csrf_token(
    plant: SimSite,
) -> None:
    secret = make_token(plant, TokenKind.API, Role.OPERATOR, 1)
    bearer = {"authorization": f"Bearer {secret}"}
    known = get(plant.bare_app, "/api/session", headers=bearer).json
    assert known == {"user": "token api 1", "role": "operator"}
    answer = SimBrowser(plant.bare_app).post("/api/logout", {}, **bearer)
    assert answer.status == 200
    plant.clock.pass_s(DAY_S + TEST_S)
    assert get(plant.bare_app, PAGE, headers=bearer).status == 401


def test_token_of_a_program_does_not_open_a_screen(plant: SimSite) -> None:
    secret = make_token(plant, TokenKind.API, Role.OPERATOR, None)
    answer = SimBrowser(plant.bare_app).open(f"/wall?kiosk={secret}")
    assert answer.headers["location"].endswith("refused=kiosk")


def test_screen_opens_with_its_address_and_only_looks(plant: SimSite) -> None:
    secret = make_token(plant, TokenKind.KIOSK, Role.ADMIN, None)
    screen = SimBrowser(plant.bare_app)
    answer = screen.open(f"/wall?line=a&kiosk={secret}")
    assert (answer.status, answer.headers["location"]) == (303, "/wall?line=a")
    assert screen.read("/api/session").json["role"] == "viewer"
    plant.clock.pass_s(90 * DAY_S)  # it runs for months
    assert screen.read(PAGE).status == 200


def test_screen_is_closed_when_its_token_is_removed_or_expires(plant: SimSite) -> None:
    removed = make_token(plant, TokenKind.KIOSK, Role.VIEWER, None)
    expired = make_token(plant, TokenKind.KIOSK, Role.VIEWER, 2)
    screens = [SimBrowser(plant.bare_app) for _ in range(2)]
    for screen, secret in zip(screens, (removed, expired), strict=True):
        screen.open(f"/wall?kiosk={secret}")
        assert screen.read(PAGE).status == 200
    with plant.database.write() as connection:
        remove_token(connection, "ann", 1)
    assert screens[0].read(PAGE).status == 401
    plant.clock.pass_s(2 * DAY_S + TEST_S)
    assert screens[1].read(PAGE).status == 401
    assert SimBrowser(plant.bare_app).open(f"/wall?kiosk={removed}").status == 303


def test_address_of_a_screen_does_not_log_a_user_out(plant: SimSite) -> None:
    secret = make_token(plant, TokenKind.KIOSK, Role.VIEWER, None)
    browser = logged_in(plant, "otto")
    assert browser.open(f"/wall?kiosk={secret}").headers["location"] == "/wall"
    assert browser.read("/api/session").json["user"] == "otto"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic YW5uOmFubg==",
        "Bearer " + "x" * 5000,
        "Bearer \u00ff",
    ],
    ids=range(5),
)
def test_header_without_a_token_is_somebody_unknown(
    plant: SimSite, header: str
) -> None:
    assert SimBrowser(plant.bare_app).open(PAGE, authorization=header).status == 401


def test_strangers_see_only_whether_the_collector_is_well(plant: SimSite) -> None:
    assert get(plant.bare_app, "/healthz").json == {"status": "ok"}
    assert "broker" in logged_in(plant, "vera").read("/healthz").json


@pytest.mark.parametrize("path", ["/healthz", PAGE])
def test_strangers_see_no_reason_why_the_history_is_unreadable(
    plant: SimSite,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("SELECT secret", {"a": "b"}, OSError("/srv/history.db"))

    monkeypatch.setattr(plant.file.history, "newest", fail)
    monkeypatch.setattr(plant.logins, "identify", fail)
    answer = get(plant.bare_app, path)
    assert answer.status == 503
    assert answer.json == {"error": "the history cannot be read now"}
    assert "/srv/history.db" in caplog.text


@pytest.mark.parametrize("between", ["reset", "logout"])
def test_password_that_was_reset_in_between_is_not_replaced(
    plant: SimSite, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    browser, real = logged_in(plant, "vera"), plant.logins.passwords.hash

    def slow_hash(password: str) -> str:
        with plant.database.write() as connection:
            if between == "reset":
                users.set_password(connection, "ann", "vera", real("reset by an admin"))
            else:
                end_session(connection, digest_of(browser.session))
        return real(password)

    monkeypatch.setattr(plant.logins.passwords, "hash", slow_hash)
    body = {"old": PASSWORD, "new": NEW_PASSWORD}
    assert browser.post("/api/account/password", body).status != 200
    monkeypatch.undo()
    kept = "reset by an admin" if between == "reset" else PASSWORD
    assert SimBrowser(plant.bare_app).log_in("vera", kept).status == 200
