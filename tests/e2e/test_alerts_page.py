"""The pages of alerts in a real browser, behind a real broker."""

import hashlib
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Locator, Page, Route, expect, sync_playwright

from edge.control.command_queue import CommandQueue
from edge.delivery.evidence import encode_jpeg
from models.topics import StationTopics
from tests.simulators.broker import Broker
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.station import SimStation, detection, picture
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
]
LIMIT_MS = 15_000
HOSTILE = '<img src=x onerror="window.hacked=1">'
JPEG = picture(1)
ROWS_KEPT = 40
MADE_ROOM = """
newest => {
  const rows = document.querySelectorAll('#alerts .alert-row');
  return rows.length < 90 && Number(rows[0].dataset.n) === newest;
}
"""
HIDE = """
isHidden => {
  Object.defineProperty(document, 'hidden', { value: isHidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}
"""
PLACES = [(40.0 + 90 * n, 40.0, 100.0 + 90 * n, 90.0) for n in range(6)]


class Plant:
    """A dashboard, a station, and the pages that are open."""

    def __init__(self, folder: Path, browser: Browser) -> None:
        self.broker = Broker(folder)
        self.dashboard = DashboardProcess(folder, self.broker.port)
        self.browser = browser
        self.complaints: list[str] = []
        self.pages: list[Page] = []

    def start(self) -> None:
        self.broker.start()
        self.dashboard.start().wait_connected()
        self.station = SimStation(self.broker.port)

    def stop(self) -> None:
        self.station.close()
        self.dashboard.__exit__()
        self.broker.__exit__(None, None, None)

    def open(
        self,
        path: str = "/alerts",
        width: int = 1280,
        height: int = 800,
        lang: str = "en",
    ) -> Page:
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, locale=lang
        )
        self.dashboard.log_in(context)
        page = context.new_page()
        page.set_default_timeout(LIMIT_MS)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                self.complaints.append(said.text) if said.type == "error" else None
            ),
        )
        self.pages.append(page)
        page.goto(self.dashboard.url + path)
        return page

    def alerts(self, label: str, count: int, *, apart: bool = True) -> list[str]:
        """Publish alerts of one class, and wait until they are in the history."""
        ids = []
        for n in range(count):
            box = PLACES[n % len(PLACES)] if apart else PLACES[0]
            part = f"{label}-{n}"
            event = self.station.alert(
                "top", detection(label, 0.9, box), jpeg=JPEG, part_id=part
            )
            ids.append(event.id)
        self.wait_stored()
        return ids

    def wait_stored(self) -> None:
        """Wait until the history has all alerts of the station."""
        until(
            lambda: self.station.is_acknowledged(self.station.seq),
            "the alerts are in the history",
            LIMIT_MS / 1000,
        )


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    expect.set_options(timeout=LIMIT_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        found = Plant(tmp_path_factory.mktemp("plant"), chromium)
        found.start()
        yield found
        found.stop()
        chromium.close()


@pytest.fixture(autouse=True)
def _pages_are_sound(plant: Plant) -> Iterator[None]:
    yield
    for page in plant.pages:
        page.close()
    plant.pages.clear()
    complaints, plant.complaints = plant.complaints, []
    assert not complaints


def with_short_lists(route: Route) -> None:
    """Serve the script of the list with limits that a test reaches."""
    answer = route.fetch()
    script = answer.text().replace("ROWS_MAX = 600", "ROWS_MAX = 80")
    script = script.replace("ROWS_KEPT = 300", f"ROWS_KEPT = {ROWS_KEPT}")
    assert "ROWS_MAX = 80" in script
    route.fulfill(response=answer, body=script)


def rows(page: Page) -> Locator:
    return page.locator("#alerts .alert-row:visible")


def titles(page: Page) -> Locator:
    return page.locator("#alerts .alert-row:visible .row-title")


def test_alert_appears_live_and_only_where_the_filter_wants_it(plant: Plant) -> None:
    wanted, other = plant.open("/alerts?class=dent"), plant.open("/alerts?class=hole")
    expect(wanted.locator("#live")).to_have_attribute("data-live", "yes")
    expect(other.locator("#live")).to_have_attribute("data-live", "yes")
    plant.alerts("dent", 2)
    expect(titles(wanted)).to_have_text(["dent", "dent"])
    row = rows(wanted).first
    expect(row).to_contain_text("line-1 / press-1 / top")
    expect(row.locator(".row-date")).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d UTC$"))
    expect(row.locator("rect.box")).to_have_count(1)
    plant.alerts("hole", 1)
    expect(titles(other)).to_have_text(["hole"])
    expect(rows(wanted)).to_have_count(2)


def test_filter_is_a_url_that_the_back_button_knows(plant: Plant) -> None:
    plant.alerts("filtered", 1)
    page = plant.open()
    page.locator("#filters [name=class]").fill("filtered")
    page.locator("#filters [name=class]").press("Enter")
    expect(page).to_have_url(f"{plant.dashboard.url}/alerts?class=filtered")
    expect(titles(page)).to_have_text(["filtered"])
    page.locator("#filters [name=verdict]").select_option("real-defect")
    expect(page).to_have_url(re.compile("class=filtered&verdict=real-defect$"))
    expect(page.locator("#no-alerts")).to_be_visible()
    page.go_back()
    expect(titles(page)).to_have_text(["filtered"])
    shared = plant.open("/alerts?class=filtered")
    expect(titles(shared)).to_have_text(["filtered"])


@pytest.mark.parametrize("path", ["/alerts", "/analysis"])
def test_times_count_together_once_both_are_given(plant: Plant, path: str) -> None:
    page = plant.open(path)
    address = page.url
    first, last = (page.locator(f"#filters [name={name}]") for name in ("from", "to"))
    last.fill("2025-11-21T06:00")
    first.focus()
    page.keyboard.type("11202025")  # a browser reports each digit as a change
    assert page.url == address
    first.fill("2025-11-20T06:00")
    expect(page.locator("#filters [data-apply]")).to_be_visible()
    assert page.url == address
    first.press("Enter")
    times = "from=2025-11-20T06%3A00&to=2025-11-21T06%3A00"
    expect(page).to_have_url(f"{plant.dashboard.url}{path}?{times}")
    first.fill("")
    page.locator("#filters [data-apply]").click()
    expect(page).to_have_url(re.compile(rf"{path}(\?to=[^&]*|\?)?$"))


def test_filter_chosen_before_the_script_ran_is_applied(plant: Plant) -> None:
    page = plant.open("/wall")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/filters.js*", hold, times=1)
    with page.expect_request("**/filters.js*"):
        page.goto(f"{plant.dashboard.url}/alerts?class=filtered", wait_until="commit")
    page.locator("#filters [name=verdict]").select_option("real-defect")
    held[0].continue_()
    expect(page).to_have_url(re.compile("class=filtered&verdict=real-defect$"))


def test_new_alerts_wait_while_somebody_reads_further_down(plant: Plant) -> None:
    plant.alerts("many", 60)
    page = plant.open("/alerts?class=many&group=no")
    expect(rows(page)).to_have_count(50)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(rows(page)).to_have_count(60)  # the older page came by itself
    row = rows(page).nth(55)
    place = row.bounding_box()
    plant.alerts("many", 3)
    expect(page.locator("#new-bar")).to_have_text("3 new alerts")
    assert row.bounding_box() == place  # what is read does not move
    page.locator("#new-bar").click()
    expect(rows(page)).to_have_count(63)
    assert page.evaluate("scrollY") == 0
    numbers = page.eval_on_selector_all(
        "#alerts .alert-row", "all => all.map(each => Number(each.dataset.n))"
    )
    assert numbers == sorted(numbers, reverse=True)


def numbers(page: Page) -> list[int]:
    """Return the cursors of all rows, in the order of the list."""
    found: list[int] = page.eval_on_selector_all(
        "#alerts .alert-row", "all => all.map(each => Number(each.dataset.n))"
    )
    return found


def test_list_has_no_holes_whatever_arrives_while_older_alerts_are_loaded(
    plant: Plant,
) -> None:
    plant.alerts("hole-less", 110)
    page = plant.open("/alerts?class=nothing")
    page.route("**/js/alerts/list.js", with_short_lists)
    kept: list[Route] = []
    page.route(
        "**/api/alert-list?*before=*",
        lambda route: route.continue_() if kept else kept.append(route),
    )
    page.goto(f"{plant.dashboard.url}/alerts?class=hole-less&group=no")
    expect(page.locator("#live")).to_have_attribute("data-live", "yes")
    expect(rows(page)).to_have_count(50)
    page.evaluate("document.getElementById('older').click()")  # without scrolling
    until(lambda: page.evaluate("1") and kept, "the request is under way")
    plant.alerts("hole-less", 40)
    newest = plant.dashboard.get("/api/alerts?limit=1")["newest"]
    page.wait_for_function(MADE_ROOM, arg=newest)  # the oldest rows are gone
    kept[0].continue_()
    while page.locator("#older").is_visible():
        count = len(numbers(page))
        page.evaluate("document.getElementById('older').click()")
        page.wait_for_function(
            "count => document.querySelectorAll('#alerts .alert-row').length > count"
            " || document.getElementById('older').hidden",
            arg=count,
        )
    found = numbers(page)
    assert found == sorted(found, reverse=True)
    assert len(found) == 150
    assert found[0] - found[-1] == 149


def test_tab_that_was_asleep_shows_every_alert_of_its_filter(plant: Plant) -> None:
    page = plant.open("/alerts?class=nothing")
    page.clock.install()
    page.goto(f"{plant.dashboard.url}/alerts?class=asleep&group=no")
    expect(page.locator("#live")).to_have_attribute("data-live", "yes")
    plant.alerts("asleep", 2)
    expect(rows(page)).to_have_count(2)
    page.evaluate(HIDE, True)
    page.clock.fast_forward(11_000)  # it gives its connection back
    plant.alerts("asleep", 7)
    plant.alerts("other-class", 3)
    page.evaluate(HIDE, False)
    expect(rows(page)).to_have_count(9)
    expect(titles(page)).to_have_text(["asleep"] * 9)
    page.reload()
    expect(rows(page)).to_have_count(9)


def test_alerts_of_one_tool_are_one_row_that_opens(plant: Plant) -> None:
    plant.alerts("tool", 5, apart=False)
    page = plant.open("/alerts?class=tool")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("button", name="5 alerts")).to_be_visible()
    plant.alerts("tool", 1, apart=False)
    page.get_by_role("button", name="6 alerts").click()
    expect(rows(page)).to_have_count(6)


def test_alert_is_acknowledged_and_judged_by_one_key_each(plant: Plant) -> None:
    (event_id,) = plant.alerts("keys", 1)
    page = plant.open("/alerts?class=keys")
    other = plant.open(f"/alerts/{event_id}")
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(rows(page).locator(".badge")).to_have_text(["Acknowledged by local"])
    # The other page shows it without being loaded again.
    expect(other.locator("#badges .badge")).to_have_text(["Acknowledged by local"])
    page.keyboard.press("1")
    expect(rows(page).locator(".badge").first).to_have_text("Real defect")
    other.bring_to_front()
    other.keyboard.press("2")
    expect(other.locator("#badges .badge").first).to_have_text("False alarm")
    expect(other.locator("#reviews li b")).to_have_text(
        ["False alarm", "Real defect", "Acknowledged"]
    )
    expect(rows(page).locator(".badge").first).to_have_text("False alarm")
    other.keyboard.press("3")
    other.locator("#class-dialog [name=label]").fill("crack")
    other.keyboard.press("Enter")
    expect(other.locator("#badges .badge").first).to_have_text("Is crack")
    other.keyboard.press("c")
    other.locator("#comment-dialog textarea").fill(HOSTILE)
    other.get_by_role("button", name="Save").click()
    expect(other.locator("#reviews li b").first).to_have_text(HOSTILE)
    assert other.evaluate("window.hacked") is None
    other.keyboard.press("?")
    expect(other.locator("#keys-dialog")).to_be_visible()


def test_selection_and_whole_filter_are_changed_at_once(plant: Plant) -> None:
    plant.alerts("bulk", 5)
    page = plant.open("/alerts?class=bulk&group=no")
    boxes = page.locator("#alerts input[type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(2).check()
    expect(page.locator("#selected")).to_have_text("2 selected")
    page.locator("#selection").get_by_role("button", name="False alarm").click()
    expect(page.locator("#alerts .badge")).to_have_text(["False alarm"] * 2)
    page.locator("#select-all").click()
    expect(page.locator("#bulk-count")).to_have_text("5 alerts pass this filter.")
    page.locator("#bulk-dialog").get_by_role("button", name="Acknowledge").click()
    expect(page.locator("#toast")).to_have_text("5 alerts changed")
    expect(page.locator("#alerts .badge", has_text="Acknowledged")).to_have_count(5)


def test_shelf_hides_what_it_covers_until_it_is_ended(plant: Plant) -> None:
    page = plant.open("/alerts?class=shelf")
    page.keyboard.press("s")
    dialog = page.locator("#shelf-dialog")
    expect(dialog.locator("[name=label]")).to_have_value("shelf")
    dialog.locator("[name=reason]").fill("tool change")
    dialog.get_by_role("button", name="Shelve now").click()
    expect(page.locator(".notice")).to_contain_text("1 shelf is in force")
    plant.alerts("shelf", 1)
    shown = plant.open("/alerts?class=shelf&shelved=all")
    expect(rows(shown).locator(".badge")).to_have_text(["On a shelf"])
    expect(rows(page)).to_have_count(0)
    page.locator("#open-shelf").click()
    expect(page.locator("#shelves li")).to_contain_text("tool change")
    page.locator("#shelves").get_by_role("button", name="End").click()
    expect(rows(page)).to_have_count(1)


@pytest.mark.fault(68)
def test_hostile_text_is_shown_as_text(plant: Plant) -> None:
    event = plant.station.alert("top", detection(HOSTILE), part_id="</script><b>x")
    page = plant.open(f"/alerts?part={quote('</script><b>x')}")
    expect(titles(page)).to_have_text([HOSTILE])
    expect(rows(page)).to_contain_text("</script><b>x")
    titles(page).click()
    expect(page).to_have_url(re.compile(quote(event.id, safe="")))
    expect(page.locator("h1")).to_contain_text(HOSTILE)
    expect(page.locator(".found-label")).to_have_text(HOSTILE)
    expect(page.locator("#canvas .box-label")).to_contain_text(HOSTILE)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def test_picture_is_zoomed_by_wheel_and_keys(plant: Plant) -> None:
    ids = plant.alerts("zoom", 2)
    page = plant.open(f"/alerts/{ids[1]}?class=zoom")
    zoom = page.locator("#zoom")
    expect(zoom).to_have_text("100 %")
    page.locator("#viewer").hover()
    page.mouse.wheel(0, -400)
    expect(zoom).not_to_have_text("100 %")
    page.keyboard.press("0")
    expect(zoom).to_have_text("100 %")
    page.keyboard.press("z")
    expect(zoom).not_to_have_text("100 %")
    page.keyboard.press("b")
    expect(page.locator("#canvas .boxes")).to_be_hidden()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile(quote(ids[0], safe="")))
    expect(page.locator("#canvas .picture")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(f"{plant.dashboard.url}/alerts?class=zoom")


class LinePc:
    """Answers commands as the daemon does, from a folder with a full picture."""

    def __init__(self, port: int, topics: StationTopics, folder: Path) -> None:
        self.queue = CommandQueue(topics, lambda _: 750, lambda: True, folder)
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._enqueue
        self.client.connect("127.0.0.1", port)
        self.client.subscribe(topics.commands, 1)

    def _enqueue(self, _: Client, __: object, message: MQTTMessage) -> None:
        self.queue.enqueue(message.topic, bytes(message.payload), message.retain)

    def serve(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.client.loop(0.01)
            for topic, reply in self.queue.poll([]):
                self.client.publish(topic, reply.model_dump_json(), qos=1)
        self.client.disconnect()


def test_full_picture_is_fetched_from_the_line_pc(plant: Plant, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (600, 800, 3), np.uint8)
    full = encode_jpeg(noise, 92)
    digest = hashlib.sha256(full).hexdigest()[:8]
    path = tmp_path / "2026-11-30" / "top" / f"full-{digest}.jpg"
    evidence = path.relative_to(tmp_path).as_posix()
    event = plant.station.alert("top", detection("full"), evidence=evidence)
    plant.wait_stored()
    page = plant.open(f"/alerts/{event.id}")
    stop = threading.Event()
    line_pc = LinePc(plant.broker.port, plant.station.topics, tmp_path)
    serving = threading.Thread(target=line_pc.serve, args=(stop,))
    serving.start()
    try:
        page.keyboard.press("f")
        expect(page.locator("#picture-kind")).to_contain_text("has it no longer")
        path.parent.mkdir(parents=True)
        path.write_bytes(full)
        page.get_by_role("button", name="Full picture").click()
        kind = page.locator("#picture-kind")
        expect(kind).to_have_text(re.compile("^Full picture . 800 . 600 px$"))
        size = page.eval_on_selector("#canvas img", "image => image.naturalWidth")
        assert size == 800
    finally:
        stop.set()
        serving.join()


@pytest.mark.parametrize(
    ("width", "height", "lang"), [(390, 844, "de"), (1280, 800, "en")]
)
def test_pages_fit_the_screen_and_are_accessible(
    plant: Plant, width: int, height: int, lang: str
) -> None:
    long = "a-very-long-class-name-that-somebody-gave-to-a-defect" * 2
    event = plant.station.alert("top", detection(long), part_id="part-" + "9" * 100)
    plant.wait_stored()
    for path in (f"/alerts?class={long}", f"/alerts/{event.id}"):
        page = plant.open(path, width, height, lang)
        expect(page.locator("html")).to_have_attribute("lang", lang)
        expect(page.get_by_text(long).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        serious = [
            (each["id"], each["nodes"][0]["html"])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        assert not serious
