"""Measurements of the real daemon: start, memory, cameras, publishing, soak."""

import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2

from measuring.edge_model import link_photos
from measuring.machine import REPOSITORY
from measuring.mqtt_line import AlertClock, SlowWire, start_broker
from measuring.processes import usage
from models.slot_files import Health, SlotFolder, read_file

LIMIT_S = 900.0
STARTS = 5
PAIRS = 5
CAMERA_COUNTS = (1, 2, 4, 8)
VIDEO_FPS = 2  # eight cameras stay below what two cores can inspect
HEAD = """
[station]
site = "site"
line = "bench"
station = "station"
[model]
slot = "{slot}"
[broker]
port = {port}
[outbox]
path = "outbox.sqlite"
stalled_after_s = 0.2
[evidence]
folder = "evidence"
[health]
interval_s = 0.1
"""


class Daemon:
    """One run of the daemon, with everything that it writes in a fresh folder.

    Args:
        cameras: Source of each camera, and its options as lines of TOML.
        ends: Whether it ends with its sources.
    """

    def __init__(
        self,
        folder: Path,
        slot: Path,
        cameras: list[tuple[str, str]],
        port: int = 1,
        *,
        ends: bool = True,
    ) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder = folder
        own = folder / "slot"  # the health file is this daemon's alone
        shutil.copytree(slot, own, symlinks=True)
        (own / "health.json").unlink(missing_ok=True)
        self.slot = SlotFolder(own)
        text = HEAD.format(slot=own, port=port)
        for number, (source, options) in enumerate(cameras):
            text += f'[[camera]]\nname = "c{number}"\nsource = "{source}"\n{options}\n'
        config = folder / "edge.toml"
        config.write_text(text, "utf-8")
        arguments = ["-m", "graftline", "run", "--config", str(config), "--json"]
        self.started = time.monotonic()
        with (folder / "daemon.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments, *(["--exit-at-end"] if ends else [])],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=REPOSITORY,
            )

    def wait_for_frames(self, frames: int) -> float:
        """Return seconds from the start until so many frames were inspected."""
        while time.monotonic() - self.started < LIMIT_S:
            health = read_file(self.slot.health, Health)
            if health and health.frames_inspected >= frames:
                return time.monotonic() - self.started
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        log = (self.folder / "daemon.log").read_text("utf-8")
        raise RuntimeError(f"the daemon inspected too few frames:\n{log}")

    def figures(self) -> dict[str, Any]:
        """Return its summary when it has ended.

        Unpublished events are no fault here: there may be no broker.
        """
        out, _ = self.process.communicate(timeout=LIMIT_S)
        return dict(json.loads(out))

    def stop(self) -> dict[str, Any]:
        """Stop it by SIGTERM and return its summary."""
        self.process.send_signal(signal.SIGTERM)
        return self.figures()

    def pids(self) -> list[int]:
        """Return the daemon's process and those of its cameras."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8")
        return [pid, *map(int, children.split())]

    def usage(self) -> dict[str, Any]:
        """Return memory, processor time, threads and files of all its processes."""
        use = [usage(pid) for pid in self.pids()]
        total = {key: sum(each[key] for each in use) for key in use[0]}
        wal = self.folder / "outbox.sqlite-wal"
        total["wal_bytes"] = wal.stat().st_size if wal.exists() else 0
        return {"daemon": use[0], "all": total}


def measure_start(out: Path, slot: Path, photos: Path) -> dict[str, Any]:
    """Measure from the start of the process to the first decision on disk."""
    camera = link_photos(photos, out / "start-photos", 8)
    seconds = []
    for _ in range(STARTS):
        daemon = Daemon(out / "start", slot, [(f"folder:{camera}", "")])
        seconds.append(daemon.wait_for_frames(1))
        daemon.figures()
    return {"seconds": seconds, "median_s": statistics.median(seconds)}


def measure_cameras(
    out: Path, slot: Path, photos: Path, seconds: float
) -> dict[str, Any]:
    """Measure processor time and memory with 1, 2, 4, 8 cameras, and a failing one."""
    video = _write_video(photos, out / "cameras.avi", int(seconds + 10) * VIDEO_FPS)
    healthy = (f"file:{video}", "")
    runs = {str(n): [healthy] * n for n in CAMERA_COUNTS}
    runs["1 and a sick one"] = [healthy, ("http://127.0.0.1:1/none", "")]
    result = {}
    for name, cameras in runs.items():
        daemon = Daemon(out / "cameras", slot, cameras, ends=False)
        daemon.wait_for_frames(2 * len(cameras))
        before, started_s = daemon.usage(), time.monotonic()
        time.sleep(seconds)
        after, spent_s = daemon.usage(), time.monotonic() - started_s
        figures = daemon.stop()["cameras"]
        cpu_s = after["all"]["cpu_s"] - before["all"]["cpu_s"]
        result[name] = {
            "cpu_share": cpu_s / spent_s,
            "usage": after,
            "frames": {key: each["frames_inspected"] for key, each in figures.items()},
            "dropped": {key: each["frames_dropped"] for key, each in figures.items()},
            "latency_ms_p99": {
                k: each["latency_ms_p99"] for k, each in figures.items()
            },
        }
    return result


def _write_video(photos: Path, path: Path, frames: int) -> Path:
    files = sorted(photos.glob("*.jpg"))
    code = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), code, VIDEO_FPS, (640, 640))
    for number in range(frames):
        writer.write(cv2.imread(str(files[number % len(files)])))
    writer.release()
    return path.resolve()


def measure_publish(
    out: Path, slot: Path, photos: Path, seconds: float
) -> dict[str, Any]:
    """Measure the delay of an alert, and inspection while the broker is slow."""
    shutil.rmtree(out / "broker", ignore_errors=True)
    with start_broker(out / "broker") as broker, SlowWire(broker.port) as slow:
        paced = link_photos(photos, out / "paced-photos", int(seconds * 4) + 8)
        with AlertClock(broker.port) as clock:
            source = (f"folder:{paced}", "fps = 4")
            Daemon(out / "publish", slot, [source], broker.port).figures()
        way = clock.summary()
        many = link_photos(photos, out / "many-photos", int(seconds * 15) + 20)
        conditions: dict[str, list[float]] = {"down": [], "frozen": [], "slow": []}
        for _ in range(PAIRS):
            for name, ratios in conditions.items():
                port = {"down": 1, "frozen": broker.port, "slow": slow.port}[name]
                free = _inspection_fps(out, slot, many, broker.port)
                if name == "frozen":
                    broker.freeze()
                ratios.append(_inspection_fps(out, slot, many, port) / free)
                broker.thaw()
    medians = {name: statistics.median(each) for name, each in conditions.items()}
    return {"decision_to_subscriber_ms": way, "ratios": conditions, "medians": medians}


def _inspection_fps(out: Path, slot: Path, camera: Path, port: int) -> float:
    daemon = Daemon(out / "publish", slot, [(f"folder:{camera}", "")], port)
    return float(daemon.figures()["cameras"]["c0"]["fps"])


def measure_soak(out: Path, slot: Path, photos: Path, seconds: float) -> dict[str, Any]:
    """Measure what grows while alerts are raised as fast as possible."""
    camera = link_photos(photos, out / "soak-photos", int(seconds * 100))
    shutil.rmtree(out / "broker", ignore_errors=True)
    with start_broker(out / "broker") as broker:
        source = (f"folder:{camera}", "")
        daemon = Daemon(out / "soak", slot, [source], broker.port, ends=False)
        daemon.wait_for_frames(1)
        samples, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(max(0.2, seconds / 200))
            samples.append(daemon.usage()["all"])
        figures = daemon.stop()
    quarter = max(1, len(samples) // 4)
    growth = {
        key: statistics.median(s[key] for s in samples[-quarter:])
        - statistics.median(s[key] for s in samples[quarter : 2 * quarter])
        for key in samples[0]
        if key != "cpu_s"
    }
    return {"samples": len(samples), "growth": growth, "cameras": figures["cameras"]}
