"""The wall in a real browser: every size, names, alarms, old pictures, languages."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dashboard.alarms.watch import AlarmWatch
from dashboard.config import DashboardSettings, PageSettings
from dashboard.history.settings import add_version
from dashboard.plant_settings import PlantSettings
from models.messages import CameraState, DaemonState
from tests.simulators.page_server import PageServer
from tests.simulators.plant import SimCameraPlace, places
from tests.unit.dashboard.history_file import HistoryFile
from tests.unit.dashboard.sim_site import UP, SimSite

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
LIMIT_MS = 15_000
SIZES = {"wall": (3840, 2160), "desk": (1920, 1080), "phone": (390, 844)}
LIMITS = {"default_limit": {"defect_percent": 10, "parts": 60, "streak": 8}}
NAMES = {
    "plant/line-1": "Stanzerei Linie 1",
    "plant/line-1/press-1": "Presse 1 (Halle Nord)",
}
# Texts of a tile that must not be cut, and of which none may leave its tile.
CUT = """
() => [...document.querySelectorAll('.tile')].flatMap(tile => {
  const outer = tile.getBoundingClientRect();
  const parts = tile.querySelectorAll(
    '.tile-line, .tile-station, .tile-word, .tile-why, .figure-rate b, .over-word,'
    + ' .over-why, .tile-numbers b');
  const shown = [...parts].filter(each => each.offsetParent && each.textContent);
  return shown.filter(each => {
    const at = each.getBoundingClientRect();
    const isInside = at.left >= outer.left - 1 && at.right <= outer.right + 1
      && at.top >= outer.top - 1 && at.bottom <= outer.bottom + 1;
    return !isInside || each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0;
  }).map(each => `${each.className}: ${each.textContent} in ${tile.textContent}`);
})
"""
MUTED = re.compile(r"Muted until \d\d:\d\d")
NAMES_SHOWN = "() => [...document.querySelectorAll('.tile-name')].map(e => e.innerText)"
PICTURES = """
() => [...document.querySelectorAll('.tile-screen')].map(each => {
  const at = each.getBoundingClientRect(); return [at.width, at.height]; })
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        expect.set_options(timeout=LIMIT_MS)
        yield chromium
        chromium.close()


class Wall:
    """The pages of a history with some cameras."""

    def __init__(self, file: HistoryFile, stale_after_s: float = 600) -> None:
        settings = DashboardSettings(page=PageSettings(stale_after_s=stale_after_s))
        self.file = file
        self.site = SimSite(file, max_viewers=20, settings=settings)
        self.server = PageServer(self.site.app, self.site.hub, self.site.broadcaster)
        self.versions = 0

    def add(self, cameras: list[SimCameraPlace]) -> None:
        """Let all cameras run, each with an alert and with parts."""
        records = []
        for camera in cameras:
            records += camera.status()
            records += camera.alert(1, age_s=camera.seed)
            records += camera.parts(camera.seed % 4)
        self.file.record(*records)

    def put(self, records: list) -> None:  # type: ignore[type-arg]
        """Let messages arrive, as the recorder does."""
        self.site.broadcaster.broadcast(self.file.record(*records))

    def settings(self, **settings: object) -> None:
        self.versions += 1
        plant = PlantSettings.model_validate(settings)
        with self.site.database.write() as connection:
            add_version(connection, self.versions, 0, "test", plant)
        self.site.broadcaster.note_change()


@pytest.fixture
def wall(file: HistoryFile) -> Iterator[Wall]:
    wall = Wall(file)
    with wall.server:
        yield wall
    wall.site.database.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[HistoryFile]:
    history_file = HistoryFile(tmp_path)
    yield history_file
    history_file.close()


@pytest.fixture
def open_page(browser: Browser, wall: Wall) -> Iterator[Callable[..., Page]]:
    """Open a page of the wall; what it complains about fails the test."""
    pages, complaints = [], []

    def open_it(query: str = "", size: str = "desk", locale: str = "en-GB") -> Page:
        width, height = SIZES[size]
        page = browser.new_page(
            viewport={"width": width, "height": height}, locale=locale
        )
        page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{wall.server.url}/wall{query}")
        pages.append(page)
        return page

    yield open_it
    for page in pages:
        page.close()
    assert not complaints


@pytest.mark.parametrize("count", [1, 12, 20])
def test_tiles_fit_every_screen_with_whole_and_unique_names(
    wall: Wall, open_page: Callable[..., Page], count: int
) -> None:
    cameras = places(count, lines=min(count, 3))
    wall.settings(**LIMITS, names=NAMES)
    wall.add(cameras)
    if count > 3:
        wall.put(cameras[1].status(daemon=DaemonState.LOST))
        reason = "frozen picture: 40 equal frames"
        wall.put(cameras[2].status(CameraState.DEGRADED, reason))
    for size, (width, height) in SIZES.items():
        page = open_page(size=size)
        expect(page.locator(".tile")).to_have_count(count)
        expect(page.locator(".figure-rate b").first).to_contain_text("%")
        names = page.evaluate(NAMES_SHOWN)
        assert len(set(names)) == count, names
        assert all("top" in name for name in names)
        assert page.evaluate(CUT) == [], size
        overflow = page.evaluate("document.documentElement.scrollWidth")
        assert overflow <= width, size
        if size != "phone":  # one screen: nothing to scroll for
            assert page.evaluate("document.documentElement.scrollHeight") <= height
            assert page.locator("#tiles").get_attribute("data-fits") == "yes"
            for shown in page.evaluate(PICTURES):
                assert min(shown) >= height / 20, "a picture is a strip"
        if count > 3:
            states = page.locator('.tile[data-state="degraded"] .tile-why')
            expect(states).to_have_text(reason)
            expect(states).to_be_visible()
            expect(page.locator(".over-why", has_text="power")).to_be_visible()


def test_longest_names_are_whole_in_small_tiles(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    longest = "a-very-long-name-of-32-character"
    assert len(longest) == 32
    cameras = [
        SimCameraPlace(longest, longest[:-2] + f"{n:02}", longest, n) for n in range(12)
    ]
    wall.add(cameras)
    for size in SIZES:
        page = open_page(size=size)
        expect(page.locator(".tile")).to_have_count(12)
        assert page.evaluate(CUT) == [], size


def test_very_many_tiles_are_drawn_when_they_come_into_sight(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    cameras = places(80, lines=4)
    wall.put([record for each in cameras for record in each.status()])
    page = open_page()
    tiles = page.locator(".tile")
    expect(tiles).to_have_count(80)
    for tile in (tiles.first, tiles.last):
        tile.scroll_into_view_if_needed()
        expect(tile.locator(".tile-word")).to_be_visible()
        expect(tile.locator(".tile-word")).to_have_text("Running")
    drawn = page.evaluate(
        "() => [...document.querySelectorAll('.tile-word')]"
        ".filter(each => each.checkVisibility({ contentVisibilityAuto: true })).length"
    )
    assert 0 < drawn < 80


def test_phone_shows_alerts_before_the_tiles(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    wall.add(places(4, lines=2))
    page = open_page(size="phone")
    expect(page.locator(".tile")).to_have_count(4)
    alerts, tile = page.locator("#alerts").bounding_box(), page.locator(".tile").first
    first = tile.bounding_box()
    assert alerts
    assert first
    assert alerts["y"] < first["y"]
    assert alerts["y"] < SIZES["phone"][1]
    assert first["height"] < SIZES["phone"][1] / 4


def test_alert_appears_live_in_its_tile_and_old_pictures_are_pale(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    top, other = places(2, lines=1)
    wall.put([*top.status(), *other.status(), *other.alert(1, age_s=3600)])
    page = open_page()
    tile = page.locator(".tile", has_text="press-1")
    expect(tile).to_contain_text("no alert yet")
    expect(page.locator("#live")).to_have_attribute("data-live", "yes")
    wall.put(top.alert(1, label="crack"))
    expect(tile.locator(".tile-caption")).to_have_text("crack · now")
    expect(tile.locator("rect.box")).not_to_have_count(0)
    expect(page.locator("#alerts .row").first).to_contain_text("line-1 · press-1 · top")
    old = page.locator(".tile", has_text="press-2")
    expect(old).to_have_class(re.compile("old-picture"))
    expect(old.locator(".tile-caption")).to_have_text(re.compile("60 min ago|1 h ago"))
    wall.put(top.status(in_trial=True, flashing="boards build 9 is in trial"))
    expect(tile).to_have_attribute("data-state", "flashing")
    in_trial = "boards build 9 is in trial"
    expect(tile.locator(".tile-state")).to_have_attribute("title", in_trial)
    expect(page.locator("#n-cameras")).to_have_text("2 / 2")
    pale = old.locator(".picture").evaluate("e => getComputedStyle(e).filter")
    assert "saturate" in pale


def test_stale_camera_is_covered_and_never_looks_live(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    (camera,) = places(1, lines=1)
    wall.put([*camera.alert(1, age_s=700), *camera.status(age_s=700)])
    page = open_page()
    tile = page.locator(".tile")
    expect(tile).to_have_attribute("data-state", "stale")
    expect(tile.locator(".tile-over")).to_contain_text("Stale")
    expect(tile.locator(".over-age")).to_have_text(re.compile(r"for 11 min \d\d s"))
    picture = tile.locator(".tile-picture")
    assert "grayscale(1)" in picture.evaluate("e => getComputedStyle(e).filter")
    covered, cover = picture.bounding_box(), tile.locator(".tile-over").bounding_box()
    assert covered
    assert cover
    assert cover["width"] >= covered["width"]
    assert cover["height"] >= covered["height"]


def test_alarm_is_on_top_until_it_clears_and_can_be_acknowledged(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    (camera,) = places(1, lines=1)
    wall.settings(**LIMITS, names=NAMES)
    wall.put(camera.status())
    page = open_page()
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.locator(".alarm")).to_have_count(0)
    watch = AlarmWatch(wall.site.database, wall.site.broadcaster.note_change)
    wall.put(camera.parts(defective=7))
    assert watch.evaluate() == 1
    alarm = page.locator(".alarm")
    expect(alarm).to_contain_text("Stanzerei Linie 1 · Presse 1 (Halle Nord) · top")
    expect(alarm).to_contain_text("of the last 60 parts are defective")
    expect(page.locator(".tile.alarmed")).to_have_count(1)
    expect(page.locator(".figure-rate")).to_have_attribute("data-over", "yes")
    alarm.get_by_role("button", name="Acknowledge").click()
    expect(alarm).to_contain_text("acknowledged by local")
    expect(alarm.get_by_role("button")).to_be_hidden()
    wall.site.status = replace(UP, unjudged="disk I/O error")
    wall.site.broadcaster.note_change()
    banner = page.locator(".banner")
    expect(banner).to_contain_text("Parts are not judged for alarms: disk I/O error")
    wall.site.status = UP
    wall.settings()  # no limits
    expect(banner).to_have_count(0)
    assert watch.evaluate() == 1
    expect(page.locator(".alarm")).to_have_count(0)
    expect(page.locator(".tile.alarmed")).to_have_count(0)


def test_address_shows_one_line_or_station(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    wall.add(places(6, lines=3))
    page = open_page("?line=line-2")
    expect(page.locator(".tile-name")).to_have_text(
        ["line-2 · press-1 · top", "line-2 · press-2 · top"]
    )
    labels = page.locator("#alerts .row-meta").filter(has_text="press")
    assert all("line-2" in each for each in labels.all_inner_texts())
    expect(page.locator("#pareto-total")).to_contain_text("2")
    assert len(labels.all()) == 2
    page = open_page("?line=line-2&station=press-1")
    expect(page.locator(".tile")).to_have_count(1)
    expect(page.locator("#pareto-total")).to_contain_text("1")
    page = open_page("?line=nothing")
    expect(page.get_by_text("No camera is at this place")).to_be_visible()


def test_kiosk_has_no_chrome_and_turns_the_lines(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    wall.add(places(4, lines=2))
    page = open_page("?view=kiosk&rotate=5&sound=alarms&flash=1")
    expect(page.locator(".tile")).to_have_count(2)
    for hidden in (".pages", ".menu", ".languages"):
        expect(page.locator(hidden).first).to_be_hidden()
    first = page.locator(".tile-name").first.text_content()
    assert first
    expect(page.locator(".tile-name").first).not_to_have_text(first)
    expect(page.locator("html")).to_have_class("no-pointer")


def test_sound_and_flash_are_kept_and_muting_ends(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    wall.add(places(1, lines=1))
    page = open_page()
    page.get_by_text("Display", exact=True).click()
    expect(page.locator("#sound-state")).to_have_text("No sound")
    page.get_by_label("Every alert too").check()
    expect(page.locator("#sound-state")).to_have_text("Every alert too")
    page.get_by_role("button", name="Mute 10 min").click()
    expect(page.locator("#sound-state")).to_have_text(MUTED)
    page.get_by_label("Flash the screen").check()
    (camera,) = places(1, lines=1)
    wall.put(camera.alert(2))
    expect(page.locator("body")).to_have_attribute("data-flash", "alert")
    page.reload()
    page.get_by_text("Display", exact=True).click()
    expect(page.get_by_label("Every alert too")).to_be_checked()
    expect(page.locator("#sound-state")).to_have_text(MUTED)


def test_german_page_is_german(wall: Wall, open_page: Callable[..., Page]) -> None:
    cameras = places(2, lines=1)
    wall.add(cameras)
    wall.put(cameras[0].status(daemon=DaemonState.LOST))
    page = open_page(locale="de-DE")
    expect(page.locator("#line-word")).to_have_text("1 von 2 braucht Aufmerksamkeit")
    expect(page.locator(".over-word").first).to_have_text("Station ausgefallen")
    assert page.locator("html").get_attribute("lang") == "de"
    page.get_by_role("link", name="English").click()
    expect(page.locator("#line-word")).to_have_text("1 of 2 needs attention")


@pytest.mark.parametrize(("size", "theme"), [("desk", "light"), ("phone", "dark")])
def test_axe_finds_nothing_serious(
    wall: Wall, open_page: Callable[..., Page], size: str, theme: str
) -> None:
    cameras = places(4, lines=2)
    wall.settings(**LIMITS)
    wall.add(cameras)
    wall.put(cameras[1].status(daemon=DaemonState.LOST))
    wall.put(cameras[2].status(CameraState.DEGRADED, "frozen picture"))
    wall.put(cameras[3].parts(defective=20, first_seq=100))
    AlarmWatch(wall.site.database, wall.site.broadcaster.note_change).evaluate()
    page = open_page(f"?theme={theme}", size=size)
    expect(page.locator(".alarm").first).to_be_visible()
    page.get_by_text("Display", exact=True).click()
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_timeout(200)
    found = Axe().run(page)
    serious = [
        each
        for each in found.response["violations"]
        if each["impact"] in ("serious", "critical")
    ]
    assert not serious, [
        (each["id"], [node["html"] for node in each["nodes"]][:3]) for each in serious
    ]


def test_silent_stream_heals_by_requests_and_without_a_banner(
    wall: Wall, open_page: Callable[..., Page], browser: Browser
) -> None:
    """Row of the issue on run time: the stream is open and says nothing."""
    (camera,) = places(1, lines=1)
    wall.put(camera.status())
    page = browser.new_page()
    page.add_init_script(
        "window.EventSource = class extends EventTarget {"
        " static CLOSED = 2; readyState = 1; close() {} };"
    )
    page.clock.install()
    page.goto(f"{wall.server.url}/wall")
    page.wait_for_load_state("networkidle")
    page.clock.run_for(13_000)
    expect(page.locator(".tile")).to_have_count(1)
    wall.put(camera.alert(1))
    page.clock.run_for(5_000)
    expect(page.locator("#alerts .row")).to_have_count(1)
    expect(page.locator(".banner")).to_have_count(0)
    expect(page.locator("#live")).to_have_attribute("data-live", "yes")
    page.close()


def test_page_is_small_without_pictures(
    wall: Wall, open_page: Callable[..., Page], browser: Browser
) -> None:
    wall.add(places(12, lines=3))
    sizes = []
    page = browser.new_page()
    page.on(
        "requestfinished",
        lambda request: sizes.append(
            (request.url, request.sizes()["responseBodySize"])
        ),
    )
    page.goto(f"{wall.server.url}/wall")
    expect(page.locator(".tile")).to_have_count(12)
    page.wait_for_timeout(500)
    weight = sum(
        size for url, size in sizes if "/image" not in url and "/events" not in url
    )
    assert 0 < weight <= 200_000, sizes
    page.close()


def test_page_whose_login_has_ended_leads_to_the_login(
    wall: Wall, browser: Browser
) -> None:
    wall.add(places(1, lines=1))
    page = browser.new_page()
    page.goto(f"{wall.server.url}/wall?line=line-1")
    expect(page.locator(".tile")).to_have_count(1)
    page.route("**/api/**", lambda route: route.fulfill(status=401, json={}))
    with page.expect_request("**/login?next=%2Fwall%3Fline%3Dline-1"):
        page.evaluate("import('/static/js/live.js').then(m => m.follow({ after: 1 }))")
    page.close()


def test_kiosk_takes_the_pages_of_a_dashboard_that_has_started_again(
    wall: Wall, open_page: Callable[..., Page]
) -> None:
    (camera,) = places(1, lines=1)
    wall.add([camera])
    page = open_page("?view=kiosk")
    expect(page.locator(".tile")).to_have_count(1)
    wall.site.broadcaster._started_ms += 1  # noqa: SLF001 - as a restart does
    with page.expect_navigation():
        wall.put(camera.alert(5))
    expect(page.locator(".tile")).to_have_count(1)
