"""The sections of docs/benchmarks.md about the dashboard, from its result."""

from collections.abc import Iterator
from typing import Any

FILE = "[dashboard.json](../bench/results/dashboard.json)"
STORED = """## The dashboard

One million alerts in 30 days of 20 cameras in four lines, which count 30 parts a
minute each; 2 % of the alerts have an operator's verdict. A server of PostgreSQL 15
runs on the same two cores. The first byte is measured at every address that the
dashboard has, and with all spans and some filters; the charts of a long span follow
when they are computed.
"""
LIVE = """## The dashboard, live

Broker, dashboard, stations and browser share two cores. The pages are those of the
history above; a page weighs what a browser without a cache loads, heads included. Slow
4G is that of Lighthouse; the file also has the slower profile of the browser's own
tools.
"""
HEAD = "| what | SQLite | PostgreSQL | bar | file |\n|---|---|---|---|---|"
LIVE_HEAD = "| what | measured | bar | file |\n|---|---|---|---|"


def tables(document: dict[str, Any]) -> str:
    """Return both sections in Markdown, without parts that were not measured."""
    parts = [STORED, HEAD, *_stored(document), "", LIVE, LIVE_HEAD, *_live(document)]
    return "\n".join(parts)


def _stored(document: dict[str, Any]) -> Iterator[str]:
    kinds = [document.get("store", {}).get(name) for name in ("sqlite", "postgresql")]
    if None in kinds:
        return
    pages = [document.get("pages"), kinds[1]["pages"]]

    def row(what: str, values: list[str], bar: str, file: str = "the same") -> str:
        return f"| {what} | {values[0]} | {values[1]} | {bar} | {file} |"

    rates = [
        f"{each['ingest_per_s']:,}, {each['ingest_into_full_history_per_s']:,}"
        for each in kinds
    ]
    what = "alerts stored in a second, empty and full history"
    yield row(what, rates, "10,000", FILE)
    for name, what, bar in (
        ("pareto_of_a_shift", "defects by class of a shift", "100 ms"),
        ("pareto_of_a_week", "defects by class of a week", ""),
        ("state_of_all_cameras", "state of all cameras", ""),
        ("50_alerts_from_the_middle", "50 alerts from the middle", ""),
    ):
        values = [f"{each['queries'][name]['median_ms']:.1f} ms" for each in kinds]
        yield row(f"{what}, median", values, bar)
    if pages[0] is None:
        return
    slowest = [
        f"{each['slowest_first_byte']['median_ms']:.0f} ms (`{each['slowest']}`)"
        for each in pages
    ]
    count = len(pages[0]["addresses"])
    yield row(f"first byte, the slowest of {count} addresses", slowest, "150 ms")
    for days in ("7d", "30d"):
        address = f"/analysis?span={days}"
        whole = [
            f"{each['addresses'][address]['whole']['median_ms'] / 1000:.2f} s"
            for each in pages
        ]
        yield row(f"all charts of `{address}`", whole, "")


def _live(document: dict[str, Any]) -> Iterator[str]:
    def row(what: str, value: str, bar: str) -> str:
        return f"| {what} | {value} | {bar} | {FILE} |"

    if alert := document.get("alert"):
        rate = f"{alert['alerts_per_s']}/s"
        what = f"alert published until a browser has drawn it, {rate}, p99"
        yield row(what, _p99(alert["until_drawn"]), "300 ms")
    if streams := document.get("streams"):
        what = (
            f"alert published until each of {streams['clients']} clients has it, "
            f"{streams['events_per_s']}/s, p99"
        )
        yield row(what, _p99(streams["until_received"]), "50 ms")
    if browser := document.get("browser"):
        ((page, size),) = browser["largest_page"].items()
        value = f"{size / 1000:.0f} kB (`{page}`)"
        yield row("largest page without pictures", value, "200 kB")
        ((page, first_ms),) = browser["latest_first_paint_ms"].items()
        what = (
            "latest first paint, processor slowed down 4 times, 150 ms and 1.6 Mbit/s"
        )
        yield row(what, f"{first_ms / 1000:.2f} s (`{page}`)", "1 s")
    if cameras := document.get("cameras"):
        alone, wall = cameras["dashboard"], cameras["wall_of_all"]
        what = f"{cameras['cameras']} cameras: cores and memory of the dashboard"
        value = f"{alone['cores']:.2f}, {alone['rss_mb']:.0f} MB"
        yield row(what, value, "")
        value = f"{wall['shown_s']:.1f} s, {_p99(wall['answer'])}"
        yield row("their wall: shown after, answers within (p99)", value, "")


def _p99(found: dict[str, Any]) -> str:
    return f"{found['p99_ms']:.0f} ms"
