"""From a lost camera to a person's webhook, over a kill of the dashboard."""

from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from models.messages import CameraState
from tests.e2e.test_dashboard_page import CHROMIUM, CHROMIUM_ARGUMENTS, LIMIT_MS
from tests.simulators.broker import Broker
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.station import SimStation
from tests.simulators.webhook import WebhookServer
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
LIMIT_S = 60.0


@pytest.fixture
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS
        )
        yield chromium
        chromium.close()


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with WebhookServer() as webhook_server:
        yield webhook_server


def test_lost_camera_is_reported_although_receiver_and_dashboard_fail(
    tmp_path: Path, broker: Broker, server: WebhookServer, browser: Browser
) -> None:
    server.statuses = [503]
    dashboard = DashboardProcess(tmp_path, broker.port)
    with dashboard.config.open("a", encoding="utf-8") as file:
        receiver = f'name = "shift"\nkind = "webhook"\nurl = "{server.url}"'
        file.write(f'[[notify]]\n{receiver}\nabout = ["lines"]\n')
    with dashboard, SimStation(broker.port) as station:
        dashboard.wait_connected()
        station.say_camera("top")
        until(lambda: bool(dashboard.get("/api/lines")["stations"]), "it is known")
        station.say_camera("top", CameraState.LOST, "no frame for 5 s")
        until(lambda: len(server.posts) == 1, "the first attempt", LIMIT_S)
        context = browser.new_context()
        expect.set_options(timeout=LIMIT_MS)
        dashboard.log_in(context)
        page = context.new_page()
        page.goto(f"{dashboard.url}/wall")
        banner = page.locator("#banners .banner")
        expect(banner).to_contain_text("Notification shift cannot be sent")
        expect(banner).to_contain_text("HTTP 503")
        context.close()
        assert dashboard.get("/healthz")["status"] == "degraded"
        dashboard.end(SIGKILL)
        dashboard.start()
        until(lambda: len(server.posts) == 2, "the second attempt", LIMIT_S)
        first, second = server.posts
        assert first.content == second.content
        assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
        assert "top: lost: no frame for 5 s" in first.content["text"]
        until(lambda: dashboard.get("/healthz")["status"] == "ok", "it is well")
