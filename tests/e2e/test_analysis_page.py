"""Charts and shift reports in a real browser, and the report as PDF."""

import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import insert

from dashboard.history.reviews import OperatorVerdict
from dashboard.history.tables.operations import model_changes, state_changes
from models.messages import VerdictKind
from tests.simulators.broker import free_port
from tests.simulators.dashboard_process import DashboardProcess
from tests.unit.dashboard.history.analysis_file import (
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    AnalysisFile,
)
from tests.unit.dashboard.history_file import HistoryFile

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LIMIT_MS = 15_000
DAY = "from=2025-11-20&to=2025-11-20"
REPORT = "/analysis/report?date=2025-11-20&shift=day"
HOSTILE = '<img src=x onerror="window.hacked=1">'
DOWNTIMES = 30
STATION = {"site": "plant", "line": "line-1", "station": "press-1"}


@dataclass
class Screen:
    """A page, the dashboard that it is of, and what it complained about."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DashboardProcess]:
    """A dashboard over a day of a plant; its broker is away."""
    folder = tmp_path_factory.mktemp("plant")
    fill(folder)
    with DashboardProcess(folder, free_port()) as process:
        yield process


def fill(folder: Path) -> None:
    """Write a day: parts each quarter of an hour, alerts, a model, downtimes."""
    file = HistoryFile(folder)
    database = file.database
    data = AnalysisFile(file, database)
    for quarter in range(60):
        data.parts(15 * quarter + 1, VerdictKind.OK, 12)
        data.parts(15 * quarter + 2, VerdictKind.DEFECT, 1 + quarter % 2)
    data.parts(15 * 60 + 1, VerdictKind.DEFECT, 12)
    for i in range(20):
        data.alert(40 * i, "scratch" if i % 3 else HOSTILE)
    data.judge(OperatorVerdict.FALSE_ALARM, data.alert(5, "dent"))
    model = {**STATION, "name": "boards", "sha256": "ab", "variant": "int8"}
    reason = "no frame from the camera; the cable, the switch and the power " * 4
    with database.write() as connection:
        for hour, build in ((-5, 17), (6, 18)):
            at = {"at_ms": START_MS + hour * HOUR_MS, "build": build}
            connection.execute(insert(model_changes).values(**model, **at))
        rows = []
        for i in range(DOWNTIMES):
            at_ms = START_MS + 20 * i * MINUTE_MS
            lost = {"camera": "top", "at_ms": at_ms, "state": "lost", "reason": reason}
            up = {"camera": "top", "at_ms": at_ms + MINUTE_MS, "state": "up"}
            rows += [{**STATION, **lost}, {**STATION, **up, "reason": ""}]
        connection.execute(insert(state_changes), rows)
    file.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        yield chromium
        chromium.close()


@pytest.fixture
def screen(browser: Browser, dashboard: DashboardProcess) -> Iterator[Screen]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    dashboard.log_in(context)
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    expect.set_options(timeout=LIMIT_MS)
    screen = Screen(page, dashboard.url)
    page.on("pageerror", lambda error: screen.complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            message.type == "error" and screen.complaints.append(message.text)
        ),
    )
    page.on("request", lambda request: screen.requests.append(request.url))
    yield screen
    context.close()


def test_charts_can_be_zoomed_and_show_what_is_under_the_pointer(
    screen: Screen,
) -> None:
    page = screen.open(f"/analysis?{DAY}")
    expect(page.locator("#laney canvas")).to_be_visible()
    expect(page.locator("#ewma canvas")).to_be_visible()
    expect(page.locator("#zoom-out")).to_be_hidden()
    box = page.locator("#laney .u-over").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.3, middle)
    expect(page.locator("#hover")).to_contain_text("n = 1")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=5)
    page.mouse.up()
    expect(page.locator("#zoom-out")).to_be_visible()
    page.locator("#zoom-out").click()
    expect(page.locator("#zoom-out")).to_be_hidden()
    assert not screen.complaints
    assert all(url.startswith((screen.url, "data:")) for url in screen.requests)


def test_hostile_class_is_text(screen: Screen) -> None:
    page = screen.open(f"/analysis?{DAY}")
    row = page.locator("section[aria-labelledby='h-class'] tr", has_text="onerror")
    expect(row.locator("th")).to_have_text(HOSTILE)
    row.locator("a").click()
    expect(page).to_have_url(re.compile(r"/alerts\?.*class=%3Cimg"))
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def test_filter_and_rules_lead_to_a_url_that_shows_the_same(screen: Screen) -> None:
    page = screen.open(f"/analysis?{DAY}")
    page.get_by_label("One point is").select_option("1h")
    expect(page).to_have_url(re.compile("step=1h"))
    expect(page.locator("#laney canvas")).to_be_visible()  # the script has run
    page.get_by_label("4 of 5 beyond 1").check()
    expect(page).to_have_url(re.compile("rules=134"))
    expect(page).to_have_url(re.compile("from=2025-11-20.*step=1h"))
    page.reload()
    expect(page.get_by_label("4 of 5 beyond 1")).to_be_checked()
    expect(page.get_by_label("2 of 3 beyond 2")).not_to_be_checked()
    expect(page.get_by_label("One point is")).to_have_value("1h")


def test_numbers_of_every_chart_are_in_a_table(screen: Screen) -> None:
    page = screen.open(f"/analysis?{DAY}&step=1h")
    numbers = page.locator("section[aria-labelledby='h-trend'] .numbers")
    expect(numbers.locator("table")).to_be_hidden()
    numbers.locator("summary").click()
    expect(numbers.locator("tbody tr")).to_have_count(24)
    expect(numbers.locator("tbody tr").first).to_contain_text("54")  # 4 x 12 + 6
    expect(numbers.locator("tbody tr").last).to_contain_text("no parts counted")


def test_parts_checked_by_hand_and_a_note_are_kept(screen: Screen) -> None:
    page = screen.open("/analysis")
    escapes = page.locator(".key-figure", has_text="Escapes")
    expect(escapes).to_contain_text("no parts checked again")
    page.get_by_role("button", name="Enter parts checked by hand").click()
    page.get_by_label("Parts checked", exact=True).fill("40")
    page.get_by_label("Of these defective").fill("41")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="defective")).to_be_visible()
    page.get_by_label("Of these defective").fill("1")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(escapes).to_contain_text("n = 40 parts checked again")
    screen.open(REPORT)
    page.get_by_label("Note for the next shift").fill(f"lens cleaned {HOSTILE}")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".note-text")).to_have_text(f"lens cleaned {HOSTILE}")
    expect(page.locator(".note-text + .quiet")).to_contain_text("local")
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("path", [f"/analysis?{DAY}", f"{REPORT}&lang=de"])
def test_page_fits_and_has_no_serious_finding(screen: Screen, path: str) -> None:
    page = screen.open(path)
    for width in (3840, 1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    serious = [
        f"{each['id']}: {[node['html'] for node in each['nodes']][:3]}"
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]
    assert not serious, "\n".join(serious)


def test_report_is_printed_without_a_cut_row(screen: Screen) -> None:
    page = screen.open(f"{REPORT}&lang=de")
    rows = page.locator("main tr:has(td)").count()
    assert rows > DOWNTIMES
    pdf = page.pdf(format="A4", prefer_css_page_size=True, tagged=True)
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 3 <= pages <= 8
    found = pages_of_rows(pdf)
    assert len(found) == rows
    assert all(len(each) == 1 for each in found), "a row is on two pages"
    assert len(set.union(*found)) >= 2


def pages_of_rows(pdf: bytes) -> list[set[bytes]]:
    """Return the pages that hold content of each table row of a tagged PDF.

    Rows of headers only are left out: they are repeated on each page.

    Source:
        ISO 32000-1, 14.7.2: the structure element of a row (``/TR``) is an ancestor of
        the elements with its content, each of which refers to its page (``/Pg``).
    """
    elements = {
        number: content
        for number, content in re.findall(
            rb"(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL
        )
        if b"/StructElem" in content
    }
    found: defaultdict[bytes, set[bytes]] = defaultdict(set)
    with_cells = set()
    for number, content in elements.items():
        pages = set(re.findall(rb"/Pg (\d+) 0 R", content))
        at: bytes | None = number
        while at in elements:
            parent = re.search(rb"/P (\d+) 0 R", elements[at])
            if b"/S /TR" in elements[at]:
                found[at] |= pages
            if b"/S /TD" in elements[at] and parent:
                with_cells.add(parent[1])
            at = parent[1] if parent else None
    return [pages for row, pages in found.items() if row in with_cells]
