"""A running dashboard, and stations that send it alerts at a steady rate."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from dashboard.postgresql_login import PostgresqlLogin
from measuring.processes import usage
from models.messages import (
    CameraState,
    CameraStats,
    CameraStatus,
    DaemonState,
    StationStatus,
)
from models.topics import StationTopics
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.station import MODEL, alert_event, detection, picture

PICTURES = 8  # different ones
MAX_VIEWERS = 200
BOX_PX = (160.0, 120.0, 320.0, 240.0)


@contextmanager
def dashboard_of(
    folder: Path, history: Path | PostgresqlLogin, broker_port: int = 1
) -> Iterator[DashboardProcess]:
    """Run ``graftline dashboard`` over a history inside the block.

    Args:
        folder: For its configuration.
        broker_port: 1 = no broker answers there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kind = "path" if isinstance(history, Path) else "url"
    where = history if isinstance(history, Path) else history.url
    process = DashboardProcess(folder, broker_port, history=f'{kind} = "{where}"')
    text = process.config.read_text("utf-8")
    viewers = f"[server]\nmax_viewers = {MAX_VIEWERS}\n"
    process.config.write_text(text.replace("[server]\n", viewers), "utf-8")
    with process:
        yield process


class Meter:
    """Processor time of a dashboard inside a block, as a share of one core.

    Attributes:
        figures: Share of a core, and memory at the end.
    """

    def __init__(self, dashboard: DashboardProcess) -> None:
        self._pid = dashboard.pid
        self.figures: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._before, self._started_s = usage(self._pid), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        after, spent_s = usage(self._pid), time.perf_counter() - self._started_s
        cores = (after["cpu_s"] - self._before["cpu_s"]) / spent_s
        self.figures = {"cores": round(cores, 3), "rss_mb": round(after["rss_mb"], 1)}


class SimLine:
    """Stations with some cameras each, on one connection to the broker."""

    def __init__(
        self, port: int, stations: int, cameras: int = 1, lines: int = 4
    ) -> None:
        self.topics = [
            StationTopics("plant", f"line-{n % lines + 1}", f"press-{n}")
            for n in range(stations)
        ]
        self.cameras = [f"camera-{n}" for n in range(cameras)]
        # Another stream than the one that filled the history.
        self._run = f"{time.monotonic_ns():x}"
        self._seqs = dict.fromkeys(self.topics, 0)
        self._pictures = [picture(n, [BOX_PX]) for n in range(PICTURES)]
        self._client = Client(
            CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.max_queued_messages_set(0)
        self._client.connect("127.0.0.1", port)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def announce(self) -> None:
        """Publish the states of all stations and cameras."""
        for each in self.topics:
            self._send(each.status, self._status(each), retain=True)
            for camera in self.cameras:
                status = CameraStatus(
                    state=CameraState.UP, fps=25, since=datetime.now(UTC)
                )
                topic = each.camera(camera, "status")
                self._send(topic, status.model_dump_json(), retain=True)

    def alert(self, number: int, *, with_picture: bool = True) -> None:
        """Publish a picture and its alert, of the stations in turn."""
        topics = self.topics[number % len(self.topics)]
        camera = self.cameras[number // len(self.topics) % len(self.cameras)]
        self._seqs[topics] += 1
        jpeg = self._pictures[number % PICTURES] if with_picture else None
        now_ns = time.monotonic_ns()
        event = alert_event(
            topics,
            self._seqs[topics],
            camera,
            stream=f"{topics.station}-{self._run}",
            detections=(detection("scratch", 0.9, BOX_PX),),
            captured_ns=now_ns,
            decided_ns=now_ns,
            thumbnail_sha256=hashlib.sha256(jpeg).hexdigest() if jpeg else None,
        )
        if jpeg:
            self._send(topics.camera(camera, f"image/{event.id}"), jpeg)
        self._send(topics.camera(camera, "alert"), event.model_dump_json())

    def count(self, number: int) -> None:
        """Publish the statistics of a camera, of all cameras in turn."""
        topics = self.topics[number % len(self.topics)]
        camera = self.cameras[number // len(self.topics) % len(self.cameras)]
        stats = CameraStats(
            at=datetime.now(UTC),
            frames_captured=number,
            frames_inspected=number,
            frames_dropped=0,
            alerts=0,
            fps=24.8,
            latency_ms_p50=18.2,
            latency_ms_p99=31.0,
        )
        topic = topics.camera(camera, "stats")
        self._send(topic, stats.model_dump_json(), qos=0)

    def repeat(self, action: Callable[[int], None], per_s: float) -> None:
        """Do something at a steady rate in a thread, until the block ends."""

        def run() -> None:
            started_s, number = time.perf_counter(), 0
            while not self._stop.is_set():
                action(number)
                number += 1
                late_s = time.perf_counter() - started_s - number / per_s
                self._stop.wait(max(0.0, -late_s))

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def pause(self) -> None:
        """End what is repeated."""
        self._stop.set()
        for each in self._threads:
            each.join()
        self._threads.clear()
        self._stop.clear()

    def _status(self, topics: StationTopics) -> str:
        status = StationStatus(
            state=DaemonState.READY,
            boot_id="boot-1",
            version="0.1.0",
            model=MODEL,
            stream=f"{topics.station}-{self._run}",
            outbox_depth=0,
            at=datetime.now(UTC),
        )
        return status.model_dump_json()

    def _send(
        self, topic: str, payload: str | bytes, *, qos: int = 1, retain: bool = False
    ) -> None:
        self._client.publish(topic, payload, qos=qos, retain=retain)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()
        self._client.disconnect()
        self._client.loop_stop()


def percentiles(found_ms: Sequence[float]) -> dict[str, float]:
    """Return the middle, the 99th percentile and the longest of some times."""
    in_order = sorted(found_ms)
    last = len(in_order) - 1
    return {
        "count": len(in_order),
        "p50_ms": round(in_order[last // 2], 1),
        "p99_ms": round(in_order[-(-last * 99 // 100)], 1),
        "longest_ms": round(in_order[-1], 1),
    }
