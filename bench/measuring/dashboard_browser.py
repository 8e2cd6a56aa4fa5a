"""What a browser loads for each page, and when a phone shows something."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, BrowserContext, Response, sync_playwright

from dashboard.postgresql_login import PostgresqlLogin
from measuring.dashboard_history import event_id
from measuring.dashboard_server import dashboard_of
from tests.simulators.dashboard_process import DashboardProcess

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
LIMIT_MS = 60_000
PHONE = {"width": 390, "height": 844}
CPU_SLOWDOWN = 4
# "Slow 4G" of Lighthouse, which rates pages for phones; and the profile of that name in
# the browser's own tools, which is slower: latency in ms, kbit/s down and up, loads.
NETWORKS = {
    "slow 4G of Lighthouse": (150, 1638.4, 750, 2),
    "slow 4G of the browser's tools": (562.5, 1474.6, 675, 1),
}
FIRST_PAINT = """
() => new Promise((resolve) => {
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) {
      if (each.name === "first-contentful-paint") resolve(each.startTime);
    }
  }).observe({ type: "paint", buffered: true });
})
"""


@contextmanager
def browser() -> Iterator[Browser]:
    """Run Debian's Chromium inside the block."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


def logged_in(
    chromium: Browser,
    dashboard: DashboardProcess,
    **options: Any,  # noqa: ANN401
) -> BrowserContext:
    """Return a browser without a cache that the dashboard knows."""
    context = chromium.new_context(**options)
    context.set_default_timeout(LIMIT_MS)
    dashboard.log_in(context)
    return context


def pages(alerts: int) -> list[str]:
    """Return one address of each page for people."""
    return [
        "/login",
        "/wall",
        "/alerts",
        f"/alerts/{quote(event_id(alerts // 2), safe='')}",
        *(f"/analysis?span={span}" for span in ("today", "7d", "30d")),
        "/analysis/report",
        "/lines",
        "/lines/plant/line-1/press-0",
        *("/learning", "/account", "/settings", "/users", "/audit"),
    ]


def measure_browser(
    folder: Path, history: Path | PostgresqlLogin, alerts: int
) -> dict[str, Any]:
    """Return the weight of every page, and the first paint on a phone."""
    weights, paints = {}, {}
    with dashboard_of(folder, history) as dashboard, browser() as chromium:
        for address in pages(alerts):
            weights[address] = _weight(chromium, dashboard, address)
            paints[address] = {
                name: max(
                    _first_paint(chromium, dashboard, address, name)
                    for _ in range(loads)
                )
                for name, (*_, loads) in NETWORKS.items()
            }
    largest = max(weights, key=lambda each: weights[each]["bytes"])
    slow = next(iter(NETWORKS))
    latest = max(paints, key=lambda each: paints[each][slow])
    return {
        "largest_page": {largest: weights[largest]["bytes"]},
        "latest_first_paint_ms": {latest: paints[latest][slow]},
        "weights": weights,
        "first_paints_ms": paints,
    }


def _context(
    chromium: Browser,
    dashboard: DashboardProcess,
    address: str,
    **options: Any,  # noqa: ANN401 - of Chromium
) -> BrowserContext:
    if address == "/login":  # who is logged in is led away from it
        return chromium.new_context(**options)
    return logged_in(chromium, dashboard, **options)


def _weight(
    chromium: Browser, dashboard: DashboardProcess, address: str
) -> dict[str, int]:
    """Return the bytes of bodies and heads without pictures and live events."""
    context = _context(chromium, dashboard, address)
    page = context.new_page()
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    page.on("response", note)
    page.goto(dashboard.url + address)
    page.wait_for_load_state("load")
    page.wait_for_timeout(500)
    total = files = 0
    for each in answers:
        kind = each.headers.get("content-type", "")
        if kind.startswith(("image/jpeg", "text/event-stream")):
            continue
        sizes = each.request.sizes()
        total += sizes["responseBodySize"] + sizes["responseHeadersSize"]
        files += 1
    context.close()
    return {"bytes": total, "files": files}


def _first_paint(
    chromium: Browser, dashboard: DashboardProcess, address: str, network: str
) -> float:
    """Return when a phone without a cache shows something first, in ms."""
    latency_ms, down_kbit, up_kbit, _ = NETWORKS[network]
    context = _context(
        chromium,
        dashboard,
        address,
        viewport=PHONE,
        device_scale_factor=2,
        is_mobile=True,
    )
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": latency_ms,
            "downloadThroughput": down_kbit * 1000 / 8,
            "uploadThroughput": up_kbit * 1000 / 8,
        },
    )
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": CPU_SLOWDOWN})
    page.goto(dashboard.url + address, wait_until="commit")
    found = float(page.evaluate(FIRST_PAINT))
    context.close()
    return round(found)
