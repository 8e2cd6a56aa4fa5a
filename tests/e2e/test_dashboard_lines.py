"""The pages of lines and of learning in a real browser, behind a real broker."""

import base64
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from models.commands import CommandReply
from models.messages import CameraState, DaemonState, DesiredModel
from tests.simulators.broker import Broker
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.station import SimStation, detection, picture
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
STALE_AFTER_S = 60.0
LIMIT_MS = 15_000
STATION = "/lines/plant/line-1/press-1"


class Answering:
    """The part of a station that takes orders and commands."""

    def __init__(self, port: int, station: SimStation) -> None:
        self.orders: list[bytes] = []
        self._station = station
        self._client = Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.on_message = self._when_received
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"{station.topics.root}/cmd/snapshot", 1)
        self._client.subscribe(station.topics.desired_model, 1)
        self._client.loop_start()

    def _when_received(self, _: Client, __: object, message: MQTTMessage) -> None:
        if message.topic == self._station.topics.desired_model:
            self.orders.append(message.payload)
            return
        command = json.loads(message.payload)
        reply = CommandReply(
            id=command["id"],
            verb="snapshot",
            accepted=True,
            picture=base64.b64encode(picture(3)).decode(),
            at=datetime.now(UTC),
        )
        topic = self._station.topics.reply("snapshot", command["id"])
        self._client.publish(topic, reply.model_dump_json(), qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@dataclass
class Floor:
    """A page, and the line PC that it shows."""

    page: Page
    dashboard: DashboardProcess
    station: SimStation
    answering: Answering
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.dashboard.url + path)
        return self.page

    def note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def floor(tmp_path: Path, browser: Browser) -> Iterator[Floor]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en")
    page = context.new_page()
    page.set_default_timeout(LIMIT_MS)
    expect.set_options(timeout=LIMIT_MS)
    with (
        Broker(tmp_path) as broker,
        DashboardProcess(tmp_path, broker.port, STALE_AFTER_S) as dashboard,
        SimStation(broker.port) as station,
    ):
        dashboard.wait_connected()
        dashboard.log_in(context)
        answering = Answering(broker.port, station)
        floor = Floor(page, dashboard, station, answering)
        page.on("console", floor.note)
        page.on("pageerror", lambda error: floor.complaints.append(str(error)))
        station.say()
        station.say_camera()
        station.count()
        until(
            lambda: any(each["cameras"] for each in dashboard.stations()),
            "the line PC is in the history",
            LIMIT_MS / 1000,
        )
        yield floor
        answering.close()
    context.close()


def no_serious_findings(page: Page) -> bool:
    found = Axe().run(page).response["violations"]
    return not [each for each in found if each["impact"] in {"serious", "critical"}]


def test_page_of_lines_follows_the_line_pc(floor: Floor) -> None:
    page = floor.open("/lines")
    expect(page.locator(".station")).to_have_count(1)
    state = page.locator(".cameras .badge").first
    expect(state).to_have_attribute("data-state", "ok")
    assert no_serious_findings(page)
    floor.station.say_camera("top", CameraState.LOST, "no frame (USB cable?)")
    expect(state).to_have_attribute("data-state", "lost")  # without a reload
    expect(page.locator(".cameras .reason")).to_have_text("no frame (USB cable?)")
    floor.station.say(DaemonState.LOST)
    expect(page.locator(".panel-head .badge")).to_have_attribute("data-state", "lost")
    page.goto(f"{floor.dashboard.url}/lines?lang=de")
    expect(page.locator(".panel-head .badge")).to_have_text("Ausgefallen")
    assert not floor.complaints


def test_engineer_operates_a_line_pc(floor: Floor) -> None:
    page = floor.open(STATION)
    assert no_serious_findings(page)
    page.get_by_role("button", name="Live picture").click()
    shown = page.locator(".camera-picture img")
    expect(shown).to_be_visible()
    assert shown.evaluate("each => each.decode().then(() => each.naturalWidth)") == 640
    page.get_by_role("button", name="Start maintenance").click()
    page.get_by_label("Reason").fill("lens is cleaned")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Maintenance until").first).to_be_visible()
    page.get_by_role("button", name="Order a model").click()
    dialog = page.locator("#desired-dialog")
    dialog.get_by_label("Like on another line PC").select_option(index=1)
    dialog.locator("input[name=build]").fill("1763999999")
    dialog.locator("input[name=sha256]").fill("cd" * 32)
    dialog.locator("input[name=url]").fill("https://releases.works/boards")
    dialog.get_by_role("button", name="OK").click()
    until(lambda: floor.answering.orders, "the order at the agent")
    order = DesiredModel.model_validate_json(floor.answering.orders[-1])
    assert (order.name, order.build) == ("boards", 1763999999)
    expect(page.get_by_text("waiting for the line PC")).to_be_visible()
    assert not floor.complaints


def test_verdicts_are_exported_from_the_queue(floor: Floor, tmp_path: Path) -> None:
    event = floor.station.alert("top", detection("dent", 0.5))
    until(lambda: floor.station.is_acknowledged(event.data.seq), "the commit")
    page = floor.open("/learning")
    expect(page.get_by_text("Nothing to learn from yet")).to_be_visible()
    page.get_by_label("Uncertain, not judged").check()
    expect(page.locator(".card .badge")).to_have_text("Uncertain, not judged")
    assert no_serious_findings(page)
    page.get_by_role("button", name="False alarm").click()
    expect(page.locator(".card .badge")).to_have_text("False alarm")
    page.reload()
    expect(page.locator(".card .badge")).to_have_text("False alarm")
    with page.expect_download() as download:
        page.get_by_role("link", name="COCO").click()
    path = tmp_path / "export.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert sorted(name.partition("/")[0] for name in names) == [
        "all.json",
        "good",
        "provenance.json",
    ]
    assert not floor.complaints
