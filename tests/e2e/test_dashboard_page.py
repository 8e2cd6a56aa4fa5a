"""The page in a real browser, behind a real broker."""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from models.messages import CameraState, DaemonState, VerdictKind
from tests.simulators.broker import Broker
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.station import HEIGHT_PX, WIDTH_PX, SimStation, detection
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
# No sandbox in a container; and nothing that would ask the network for anything.
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STALE_AFTER_S = 3.0
PATIENT_S = 600.0  # no camera becomes stale in a test, however slow the machine is
LIMIT_MS = 60_000  # the machine may be busy
HOSTILE = '<img src=x onerror="window.hacked=1">'


@dataclass
class Screen:
    """A page, the line it shows, and what it complained about."""

    page: Page
    dashboard: DashboardProcess
    broker: Broker
    station: SimStation
    query: str = ""
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", self._when_said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._when_requested)

    def _when_said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def _when_requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def open(self) -> Page:
        self.page.goto(f"{self.dashboard.url}/{self.query}")
        return self.page

    def live(self) -> None:
        """The station runs, and the camera too."""
        self.station.say()
        self.station.say_camera()
        self.station.count()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(LIMIT_MS)
    expect.set_options(timeout=LIMIT_MS)
    yield page
    page.close()


@contextmanager
def alone(folder: Path, page: Page, stale_after_s: float) -> Iterator[Screen]:
    with (
        Broker(folder) as broker,
        DashboardProcess(folder, broker.port, stale_after_s) as dashboard,
        SimStation(broker.port) as station,
    ):
        dashboard.wait_connected().log_in(page.context)
        screen = Screen(page, dashboard, broker, station)
        screen.listen()
        yield screen


@pytest.fixture
def screen(tmp_path: Path, page: Page) -> Iterator[Screen]:
    """A dashboard without history, and a browser that has not opened it yet."""
    with alone(tmp_path, page, PATIENT_S) as screen:
        yield screen


@pytest.fixture(scope="module")
def plant(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Broker, DashboardProcess]]:
    """A dashboard of many lines."""
    folder = tmp_path_factory.mktemp("plant")
    with (
        Broker(folder) as broker,
        DashboardProcess(folder, broker.port, PATIENT_S) as dashboard,
    ):
        yield broker, dashboard.wait_connected()


@pytest.fixture
def line(plant: tuple[Broker, DashboardProcess], page: Page) -> Iterator[Screen]:
    """A line without history, and a browser that will show this line only."""
    broker, dashboard = plant
    name = f"line-{time.monotonic_ns()}"
    dashboard.log_in(page.context)
    with SimStation(broker.port, line=name) as station:
        screen = Screen(page, dashboard, broker, station, f"wall?line={name}")
        screen.listen()
        yield screen


def test_empty_page_shows_what_to_do_and_fills_itself(screen: Screen) -> None:
    page = screen.open()
    expect(page.get_by_text("No station is connected yet")).to_be_visible()
    expect(page.get_by_text("graftline run --config edge.toml")).to_be_visible()
    expect(page.locator("#empty-broker")).to_have_text(
        f"127.0.0.1:{screen.broker.port}"
    )
    screen.live()
    expect(page.locator(".tile-name")).to_have_text("line-1 · press-1 · top")
    expect(page.locator(".tile-state")).to_contain_text("Running")
    expect(page.locator("#line-word")).to_have_text("All cameras running")
    expect(page.get_by_text("No station is connected yet")).to_be_hidden()


def test_alert_appears_live_with_picture_and_boxes(screen: Screen) -> None:
    screen.live()
    page = screen.open()
    expect(page.locator("#live")).to_have_attribute("data-live", "yes")
    loads = screen.requests.count(f"{screen.dashboard.url}/wall")
    box = (160.0, 120.0, 320.0, 240.0)
    screen.station.alert("top", detection("scratch", 0.87, box), part_id="board-17")
    row = page.locator("#alerts .row")
    expect(row).to_have_count(1)
    expect(row.locator(".row-label")).to_have_text("scratch")
    expect(row.locator(".row-score")).to_have_text("87 %")
    expect(row).to_contain_text("board-17")
    image = row.locator("img")
    expect(image).to_be_visible()
    expect(image).not_to_have_js_property("naturalWidth", 0)
    drawn = row.locator("rect.box")
    expect(drawn).to_have_count(1)
    frame = row.locator(".boxes")
    assert frame.get_attribute("viewBox") == f"0 0 {WIDTH_PX} {HEIGHT_PX}"
    corner = [float(drawn.get_attribute(name) or "nan") for name in ("x", "y")]
    size = [float(drawn.get_attribute(name) or "nan") for name in ("width", "height")]
    assert corner == pytest.approx(box[:2])
    assert size == pytest.approx([box[2] - box[0], box[3] - box[1]])
    # The overlay lies exactly over the picture; both at one moment, for the row moves.
    places = row.evaluate(
        "row => ['img', '.boxes'].map(name => {"
        "  const at = row.querySelector(name).getBoundingClientRect();"
        "  return [at.x, at.y, at.width, at.height]; })"
    )
    assert places[0] == pytest.approx(places[1])
    tile = page.locator(".tile")
    expect(tile.locator(".tile-picture rect.box")).to_have_count(1)
    expect(tile.locator(".close-up rect.box")).to_have_count(1)
    expect(tile.locator(".box-label")).to_have_text("scratch 87 %")
    expect(page.locator("#n-hour")).to_have_text("1")
    expect(page.locator("#pareto li")).to_contain_text(["scratch"])
    assert screen.requests.count(f"{screen.dashboard.url}/wall") == loads  # no reload
    assert not screen.complaints


def test_newest_alert_is_on_top(line: Screen) -> None:
    line.live()
    for label in ("first", "second"):
        line.station.alert("top", detection(label))
    page = line.open()
    labels = page.locator(".row-label")
    expect(labels).to_have_text(["second", "first"])
    line.station.alert("top", detection("third"))
    expect(labels).to_have_text(["third", "second", "first"])


def test_hostile_text_is_shown_as_text(screen: Screen) -> None:
    page = screen.open()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    screen.station.say(DaemonState.DEGRADED, HOSTILE)
    screen.station.say_camera("top", CameraState.DEGRADED, HOSTILE)
    screen.station.alert("top", detection(HOSTILE), part_id="<script>hacked=1</script>")
    expect(page.locator("#alerts .row-label")).to_have_text(HOSTILE)
    expect(page.locator("#pareto .bar-label")).to_have_text(HOSTILE)
    expect(page.locator(".box-label").first).to_contain_text(HOSTILE)
    screen.station.count()
    expect(page.locator(".tile-why")).to_have_text(HOSTILE)
    page.locator("#alerts .row").click()
    expect(page.locator("#detail-title")).to_contain_text(HOSTILE)
    expect(page.locator("#detail-facts")).to_contain_text("<script>hacked=1</script>")
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    assert dialogs == []
    assert not screen.complaints


def test_silent_camera_is_marked_as_old_until_it_publishes_again(
    tmp_path: Path, page: Page
) -> None:
    with alone(tmp_path, page, STALE_AFTER_S) as screen:
        tile = page.locator(".tile")

        def is_running() -> bool:
            screen.live()
            page.wait_for_timeout(100)
            return tile.get_attribute("data-state") == "ok"

        screen.live()
        screen.station.alert()
        screen.open()
        until(is_running, "the camera runs")
        expect(tile.locator(".tile-over")).to_be_hidden()
        expect(tile).to_have_attribute("data-state", "stale")  # after STALE_AFTER_S
        expect(tile.locator(".tile-over")).to_be_visible()
        expect(tile.locator(".tile-state")).to_contain_text("Stale")
        expect(tile.locator(".over-age")).to_have_text(re.compile(r"for \d+ s"))
        expect(tile.locator(".figure-fps b")).to_have_text("\u2013")  # no old fps
        expect(page.locator("#line-word")).to_contain_text("needs attention")
        until(is_running, "the camera runs again")
        expect(tile.locator(".tile-over")).to_be_hidden()


@pytest.mark.parametrize(
    ("state", "label"),
    [(DaemonState.LOST, "Station lost"), (DaemonState.DISCONNECTED, "Station stopped")],
)
def test_station_that_is_gone_is_shown_loudly(
    line: Screen, state: DaemonState, label: str
) -> None:
    line.live()
    line.station.say(state)
    page = line.open()
    expect(page.locator(".over-word")).to_have_text(label)
    expect(page.locator(".tile-over")).to_be_visible()
    expect(page.locator("#n-cameras")).to_have_text("0 / 1")


@pytest.mark.parametrize(
    ("state", "shown", "label"),
    [
        (CameraState.DEGRADED, "degraded", "Degraded"),
        (CameraState.LOST, "lost", "Lost"),
        (CameraState.ENDED, "ended", "Ended"),
    ],
)
def test_state_is_shown_by_text_and_shape(
    line: Screen, state: CameraState, shown: str, label: str
) -> None:
    line.station.say()
    line.station.say_camera("top", state, "frozen picture")
    line.station.count()
    page = line.open()
    shown_state = page.locator(".tile-state")
    expect(shown_state).to_have_attribute("data-state", shown)
    expect(shown_state.locator(".tile-word")).to_have_text(label)
    name = shown_state.locator("svg use").get_attribute("href")
    assert name
    drawn, running = page.evaluate(
        "async names => { const file = await fetch('/static/shapes.svg');"
        " const text = await file.text();"
        " const shapes = new DOMParser().parseFromString(text, 'image/svg+xml');"
        " return names.map(name => shapes.querySelector(`#${name} path`)"
        "   .getAttribute('d')); }",
        [name.partition("#")[2], "ok"],
    )
    assert drawn
    assert drawn != running


def test_alert_opens_large_by_keyboard_with_its_details(line: Screen) -> None:
    line.live()
    line.station.alert("top", detection("dent", 0.71), part_id="board-1")
    line.station.alert(
        "top", detection("scratch"), detection("dent"), part_id="board-2", replayed=True
    )
    page = line.open()
    row = page.locator("#alerts .row").first
    row.focus()
    page.keyboard.press("Enter")
    detail = page.locator("#detail")
    expect(detail).to_be_visible()
    expect(detail.locator("#detail-facts")).to_contain_text("board-2")
    expect(detail.locator("#detail-facts")).to_contain_text("boards, build 1763900000")
    expect(detail.locator("#detail-facts")).to_contain_text("sent again by the station")
    expect(detail.locator("#detail-found li")).to_have_count(2)
    expect(detail.locator("#detail-picture rect.box")).to_have_count(2)
    page.keyboard.press("ArrowRight")
    expect(detail.locator("#detail-facts")).to_contain_text("board-1")
    expect(detail.locator("#detail-older")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()


def test_share_of_defective_parts_is_shown_where_parts_are_counted(
    line: Screen,
) -> None:
    line.live()
    for verdict in (VerdictKind.OK, VerdictKind.OK, VerdictKind.OK, VerdictKind.DEFECT):
        line.station.verdict(verdict)
    page = line.open()
    expect(page.locator("#n-share")).to_have_text("25 %")
    expect(page.locator("#n-share-label")).to_have_text("of 4 parts defective")


def test_broker_that_is_away_is_shown_on_the_page(screen: Screen) -> None:
    screen.live()
    page = screen.open()
    expect(page.locator("#live")).to_have_attribute("data-live", "yes")
    screen.broker.kill()
    banner = page.locator(".banner")
    expect(banner).to_contain_text("unreachable since")
    expect(page.locator("#live")).to_have_attribute("data-live", "no")
    screen.broker.start()
    expect(banner).to_have_count(0)


def test_events_that_are_refused_are_shown_on_the_page(screen: Screen) -> None:
    screen.live()
    page = screen.open()
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.locator(".banner")).to_have_count(0)
    screen.station.alert()
    expect(page.locator("#alerts .row")).to_have_count(1)
    with SimStation(screen.broker.port, "press-2") as renamed:
        renamed.stream = screen.station.stream
        renamed.alert()
        banner = page.locator(".banner")
        expect(banner).to_contain_text("2 messages were refused")
        expect(banner).to_contain_text("Was a site, line or station renamed")


def test_page_catches_up_after_the_server_was_away(screen: Screen) -> None:
    screen.live()
    screen.station.alert("top", detection("before"))
    page = screen.open()
    labels = page.locator(".row-label")
    expect(labels).to_have_text(["before"])
    assert screen.dashboard.end() == 0
    for label in ("during-1", "during-2"):
        screen.station.alert("top", detection(label))
    expect(page.locator(".banner")).to_contain_text("No connection to the dashboard")
    screen.dashboard.start()
    expect(labels).to_have_text(["during-2", "during-1", "before"])
    expect(page.locator(".banner")).to_have_count(0)


def test_charts_show_the_chosen_time(screen: Screen) -> None:
    screen.live()
    screen.station.alert()
    page = screen.open()
    expect(page.locator("#rate canvas")).to_be_visible()
    page.get_by_role("button", name="8 h").click()
    expect(page.get_by_role("button", name="8 h")).to_have_attribute(
        "aria-pressed", "true"
    )
    expect(page.locator("#rate")).to_have_attribute(
        "aria-label", re.compile("last 8 hours")
    )
    assert not screen.complaints


def test_page_fits_every_screen_and_asks_no_other_server(screen: Screen) -> None:
    screen.live()
    long = "a-very-long-class-name-that-somebody-gave-to-a-defect" * 2
    screen.station.alert("top", detection(long), part_id="part-" + "9" * 100)
    for width, height in ((1280, 800), (390, 844), (1920, 1080)):
        screen.page.set_viewport_size({"width": width, "height": height})
        page = screen.open()
        expect(page.locator(".row-label")).to_have_text(long)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width >= 1000:  # one screen: nothing to scroll for
            assert page.evaluate("document.documentElement.scrollHeight") <= height
    page.locator("#alerts .row").click()
    expect(page.locator("#detail")).to_be_visible()
    assert screen.requests
    assert all(url.startswith(screen.dashboard.url) for url in screen.requests)
    assert not screen.complaints
