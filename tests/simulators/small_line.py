"""A line of one camera with broker and dashboard, and the commands that a person types.

One thread, because small nets gain nothing from more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.history import HistoryClient
from tests.command import Answer, graftline
from tests.simulators.broker import Broker
from tests.simulators.dashboard_process import DashboardProcess

STEP_LIMIT_S = 400

EDGE_TOML = """\
[station]
site = "works"
line = "line-1"
station = "press-1"
[model]
slot = "{slot}"
[broker]
port = {port}
collector_ack = "required"
[outbox]
path = "outbox.sqlite3"
[evidence]
folder = "evidence"
[[camera]]
name = "top"
source = "folder:{camera}"
"""


@dataclass(frozen=True)
class SmallLine:
    """A broker and a dashboard that run; photos, models and slots in one folder."""

    folder: Path
    broker: Broker
    dashboard: DashboardProcess
    client: HistoryClient

    def run(self, *arguments: object) -> Answer:
        """Run a command in the folder; it must succeed."""
        answer = graftline(*arguments, cwd=self.folder, timeout_s=STEP_LIMIT_S)
        assert answer.code == 0, answer.errors
        return answer

    def put_in_force(self, model: str, slot: str = "line-pc") -> None:
        """Pack a run and flash it into a slot."""
        self.run("pack", model, "--out", f"{model}-package", "--no-int8", "--json")
        self.run("flash", f"{model}-package", f"local:{slot}", "--json")

    def inspect(self, camera: str, slot: str = "line-pc") -> list[dict[str, Any]]:
        """Inspect the pictures of a folder; return the alerts that they raise."""
        text = EDGE_TOML.format(slot=slot, port=self.broker.port, camera=camera)
        (self.folder / "edge.toml").write_text(text)
        known = {alert["id"] for alert in self.client.rows()}
        self.run("run", "--config", "edge.toml", "--exit-at-end", "--json")
        return [alert for alert in self.client.rows() if alert["id"] not in known]

    def merge_judged(self, data: str, out: str) -> dict[str, Any]:
        """Merge the judged alerts into a data set; return what ``merge`` reports."""
        with self.dashboard.open("/learning/export.zip?format=coco") as answer:
            (self.folder / "export.zip").write_bytes(answer.read())
        merged: dict[str, Any] = self.run(
            "merge", "export.zip", data, "--out", out, "--json"
        ).json
        return merged


@contextmanager
def small_line(folder: Path) -> Iterator[SmallLine]:
    """Start broker and dashboard in a folder."""
    for name in ("broker", "dashboard"):
        (folder / name).mkdir()
    with (
        pytest.MonkeyPatch.context() as patch,
        Broker(folder / "broker") as broker,
        DashboardProcess(folder / "dashboard", broker.port) as dashboard,
    ):
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(name, "1")
        patch.setenv("GRAFTLINE_CACHE", str(folder / "cache"))
        dashboard.wait_connected()
        client = HistoryClient(dashboard.port, dashboard.token)
        yield SmallLine(folder, broker, dashboard, client)


def shown_kind(alert: dict[str, Any]) -> str:
    """Return what the part of an alert shows: the end of its picture's name."""
    return str(alert["part_id"]).rpartition("-")[2]
