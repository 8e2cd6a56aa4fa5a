"""Login, roles, settings and tokens in a real browser."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.command import REPOSITORY
from tests.e2e.test_dashboard_page import CHROMIUM, CHROMIUM_ARGUMENTS, LIMIT_MS
from tests.simulators.broker import Broker
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.station import SimStation
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardProcess]:
    """A dashboard of the first run, with one camera."""
    folder = tmp_path_factory.mktemp("dashboard")
    with (
        Broker(folder) as broker,
        DashboardProcess(folder, broker.port) as process,
        SimStation(broker.port) as station,
    ):
        process.wait_connected()
        station.say()
        station.say_camera()
        until(lambda: process.get("/api/cameras")["stations"], "the camera is known")
        yield process


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(LIMIT_MS)
    expect.set_options(timeout=LIMIT_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    yield page
    context.close()


def add_user(dashboard: DashboardProcess, name: str, role: str) -> None:
    password = dashboard.folder / "password"
    password.write_text(f"{PASSWORD}\n", encoding="utf-8")
    subprocess.run(
        [
            *(sys.executable, "-m", "graftline", "dashboard-user", "add", name),
            *("--role", role, "--password-file", password),
            *("--config", dashboard.config),
        ],
        cwd=REPOSITORY,
        check=True,
        timeout=60,
    )


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def serious_findings(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [each["id"] for each in found if each["impact"] in {"serious", "critical"}]


def test_first_run_ends_with_the_first_user(
    dashboard: DashboardProcess, page: Page, browser: Browser
) -> None:
    """The tests below have the users that this one adds."""
    page.goto(f"{dashboard.url}/wall")
    expect(page.get_by_text("There are no users yet")).to_be_visible()
    page.goto(dashboard.login_url)
    expect(page).to_have_url(f"{dashboard.url}/wall")
    page.goto(f"{dashboard.url}/users")
    page.get_by_role("button", name="Add a user").click()
    dialog = page.locator("#user-dialog")
    dialog.get_by_label("Name").fill("ann")
    dialog.get_by_label("Password").fill(PASSWORD)
    dialog.locator("[type=submit]").click()
    expect(page).to_have_url(f"{dashboard.url}/login?next=%2Fusers")
    assert not serious_findings(page)
    log_in(page, "ann", "a wrong one")
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    log_in(page, "ANN")
    expect(page).to_have_url(f"{dashboard.url}/users")
    expect(page.locator("tr[data-user]")).to_have_count(1)
    stranger = browser.new_page()
    stranger.goto(dashboard.login_url)
    expect(stranger.get_by_text("there are users now")).to_be_visible()
    stranger.close()


def test_link_of_another_site_leads_to_its_page_for_who_is_logged_in(
    dashboard: DashboardProcess, page: Page
) -> None:
    """A strict cookie is not sent with it: the login finds out by itself."""
    page.goto(f"{dashboard.url}/login")
    log_in(page, "ann")
    expect(page).to_have_url(f"{dashboard.url}/wall")
    page.route(
        "http://chat.example/",
        lambda route: route.fulfill(
            content_type="text/html",
            body=f'<a href="{dashboard.url}/account?x=1">link</a>',
        ),
    )
    page.goto("http://chat.example/")
    page.get_by_text("link").click()
    expect(page).to_have_url(f"{dashboard.url}/account?x=1")


def test_settings_are_changed_by_an_engineer_and_audited(
    dashboard: DashboardProcess, page: Page
) -> None:
    add_user(dashboard, "eve", "engineer")
    page.goto(f"{dashboard.url}/settings")
    log_in(page, "eve")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_role("button", name="Add a shift").click()
    page.locator("[name=shift-name]").fill("Early")
    page.locator("[name=shift-start]").fill("06:00")
    page.locator("[name=shift-end]").fill("14:00")
    camera = page.locator("#places tr.limit")
    expect(camera.locator("[name=defect_percent]")).to_be_disabled()
    camera.locator("[name=own]").check()
    camera.locator("[name=defect_percent]").fill("2.5")
    camera.locator("[name=name]").fill("Oben")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#done")).to_have_text("Saved.")
    assert not serious_findings(page)
    place = str(page.locator("#places tr.limit").get_attribute("data-place"))
    found = page.evaluate("fetch('/api/settings').then((answer) => answer.json())")
    assert found["zone"] == "Europe/Berlin"
    assert found["shifts"] == [{"name": "Early", "start": "06:00", "end": "14:00"}]
    assert found["limits"][place]["defect_percent"] == 2.5
    assert found["names"] == {place: "Oben"}
    expect(page.locator("#account-menu")).not_to_contain_text("Audit trail")
    page.get_by_label("Time zone").fill("Mars/Base")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".save-bar .form-error")).to_contain_text("Mars/Base")
    page.context.clear_cookies()
    page.goto(f"{dashboard.url}/audit?action=settings")
    log_in(page, "ann")
    expect(page.locator(".trail tbody tr")).to_have_count(4)
    expect(page.locator(".trail")).to_contain_text("Europe/Berlin")
    page.get_by_label("What was changed").fill("zone")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".trail tbody tr")).to_have_count(1)
    assert not serious_findings(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert "Europe/Berlin" in Path(download.value.path()).read_text("utf-8")


def test_screen_opens_with_its_address_until_the_token_is_removed(
    dashboard: DashboardProcess, page: Page, browser: Browser
) -> None:
    page.goto(f"{dashboard.url}/users")
    log_in(page, "ann")
    page.get_by_role("button", name="Make a token").click()
    page.locator("#token-dialog").get_by_label("Name").fill("Hall 1")
    page.locator("#token-dialog [type=submit]").click()
    expect(page.locator("#secret")).to_have_value(re.compile("/wall.kiosk="))
    address = page.locator("#secret").input_value()
    page.get_by_role("button", name="I have copied it").click()
    expect(page.locator("#done")).to_have_text("The token is made.")
    assert not serious_findings(page)
    context = browser.new_context()
    screen = context.new_page()
    screen.goto(address)
    expect(screen).to_have_url(f"{dashboard.url}/wall")
    expect(screen.locator(".live")).to_have_attribute("data-live", "yes")
    screen.goto(f"{dashboard.url}/settings")
    expect(screen.get_by_text("Your role does not allow this")).to_be_visible()
    page.get_by_role("row", name="Hall 1").get_by_role("button", name="Remove").click()
    page.locator("#drop-dialog [type=submit]").click()
    expect(page.locator("#done")).to_have_text("The token is removed.")
    screen.goto(f"{dashboard.url}/wall")
    expect(screen).to_have_url(re.compile("/login"))
    context.close()


def test_log_out_is_one_step_and_a_change_of_another_site_is_refused(
    dashboard: DashboardProcess, page: Page
) -> None:
    page.goto(f"{dashboard.url}/account")
    log_in(page, "ann")
    expect(page.locator(".badge")).to_have_text("this browser")
    assert not serious_findings(page)
    status = page.evaluate(
        "fetch('/api/logout', {method: 'POST', body: '{}'}).then((each) => each.status)"
    )
    assert status == 403  # without the token of the page
    page.locator("#account-menu summary").click()
    page.locator("#log-out").click()
    expect(page).to_have_url(f"{dashboard.url}/login")
    page.go_back()
    expect(page).to_have_url(re.compile("/login"))
    assert json.loads(page.request.get(f"{dashboard.url}/api/session").text()) == {
        "user": None,
        "role": None,
    }


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_a_phone_in_german(
    dashboard: DashboardProcess, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{dashboard.url}/settings")
    log_in(page, "ann")
    expect(page).to_have_url(f"{dashboard.url}/settings")
    for path, title in (
        ("settings", "Einstellungen"),
        ("users", "Benutzer und Tokens"),
        ("account", "Mein Konto"),
        ("audit", "Änderungsprotokoll"),
    ):
        page.goto(f"{dashboard.url}/{path}?lang=de")
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
