"""The whole line under kill -9: what was committed is in the history, once, in order.

Real processes: ``graftline run`` with two folder cameras on which every picture is a
defective part, mosquitto as Debian sets it up, ``graftline dashboard``. They are killed
in moments that a seed chooses, and started again.

What counts as raised is taken from where it cannot be talked up: the outbox's own file,
whose counter of positions only ever grows with a commit. Every position up to the last
one must be in the history. Besides, what the file holds after each kill is noted and
looked for, and the daemon's own count of alerts (``health.json``) may not be more than
the history has of that life.

A folder is inspected from its beginning in each life of the daemon, so each life has
folders of its own: no part passes twice, and a part that has two alerts is a fault.
"""

import json
import os
import random
import shutil
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

import cv2

from tests.simulators.broker import Broker
from tests.simulators.daemon import DaemonPc, camera_processes_of, camera_table, kill
from tests.simulators.dashboard_process import DashboardProcess
from tests.simulators.packages import part_picture

if TYPE_CHECKING:
    import subprocess

CAMERAS = ("left", "right")
PICTURE_PX, PICTURES = 80, 8  # a cell of the model is 8 pixels of these
LIFE_S = 40.0  # of a daemon at most; its folders hold so many parts
ROUND_S, DOWN_S = (0.5, 3.0), (0.05, 1.5)
LAST_PARTS = 20
END_LIMIT_S = 300.0
DEFAULT_AUTOSAVE = "autosave_interval 1800"  # what mosquitto does unasked


@dataclass
class ChaosReport:
    """What a run showed.

    Attributes:
        seconds: Of killing.
        kills: Per victim.
        lives: Starts of the daemon.
        committed: Positions that the outbox has given.
        alerts: In the history.
        verdicts: In the history.
        witnessed: Events seen in the outbox after a kill.
        lost: Positions, or witnessed events, that are not in the history.
        repeated: Parts with more than one alert.
        disordered: Alerts whose position contradicts the order of the parts.
        overstated: Alerts that a life reported as raised beyond those in the history.
        streams: Streams in the history; more than one: an outbox was lost.
        shed: Loss records in the history.
    """

    seconds: float = 0
    kills: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    committed: int = 0
    alerts: int = 0
    verdicts: int = 0
    witnessed: int = 0
    lost: int = 0
    repeated: int = 0
    disordered: int = 0
    overstated: int = 0
    streams: int = 0
    shed: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled or out of order."""
        faults = self.lost + self.repeated + self.disordered + self.overstated
        return faults == 0 and self.streams == 1 and self.shed == 0

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "kills": dict(self.kills), "is_clean": self.is_clean}


class Chaos:
    """One run.

    Args:
        folder: For everything; must be empty.
        seed: Of victims and moments.
        fps: Parts per second of each of the two cameras.
    """

    def __init__(self, folder: Path, seed: int, fps: float) -> None:
        self.report = ChaosReport()
        self._folder, self._fps = folder, fps
        self._chance = random.Random(seed)
        self._pictures = _write_pictures(folder / "pictures")
        (folder / "broker").mkdir()
        self._broker = Broker(folder / "broker", DEFAULT_AUTOSAVE)
        self._dashboard = DashboardProcess(folder, self._broker.port)
        self._pc = DaemonPc(folder / "pc", self._broker.port, stalled_after_s=60)
        self._daemon: subprocess.Popen[str] | None = None
        self._born_s = 0.0
        self._witnessed: dict[int, str] = {}
        self._reported: dict[str, int] = {}

    def run(self, seconds: float) -> ChaosReport:
        """Kill for some time, let everything be delivered, and look.

        Args:
            seconds: How long to kill.
        """
        with ExitStack() as clean_up:
            clean_up.callback(self._kill_daemon)
            clean_up.enter_context(self._dashboard)
            clean_up.enter_context(self._broker)
            self._start_daemon(int(self._fps * LIFE_S))
            began_s = time.monotonic()
            while time.monotonic() - began_s < seconds:
                time.sleep(self._chance.uniform(*ROUND_S))
                self._strike()
            self.report.seconds = round(time.monotonic() - began_s, 1)
            self._deliver_everything()
        self._judge()
        return self.report

    def _strike(self) -> None:
        """Kill one or two, wait a moment, and start them again."""
        names = ("broker", "daemon", "dashboard", "camera")
        victims = self._chance.sample(names, self._chance.choice((1, 1, 1, 2)))
        if time.monotonic() - self._born_s > LIFE_S and "daemon" not in victims:
            victims.append("daemon")
        for victim in victims:
            self._kill(victim)
        time.sleep(self._chance.uniform(*DOWN_S))
        if "broker" in victims:
            self._broker.start()
        if "dashboard" in victims:
            self._dashboard.start()
        if "daemon" in victims:
            self._start_daemon(int(self._fps * LIFE_S))

    def _kill(self, victim: str) -> None:
        """Kill one with SIGKILL; a camera that is just dead is left alone."""
        if victim == "broker":
            self._broker.kill()
        elif victim == "dashboard":
            self._dashboard.end(SIGKILL)
        elif victim == "daemon":
            self._kill_daemon()
        elif not self._kill_camera():
            return
        self.report.kills[victim] += 1

    def _kill_camera(self) -> bool:
        """Kill the process of a camera, if one lives."""
        if self._daemon is None or self._daemon.poll() is not None:
            return False
        with suppress(OSError):
            children = camera_processes_of(self._daemon.pid)
            if children:
                kill(self._chance.choice(children))
                return True
        return False

    def _start_daemon(self, parts: int, *, at_end: bool = False) -> None:
        """Start a life of the daemon with parts that no other life has seen."""
        life = self.report.lives
        self.report.lives += 1
        shutil.rmtree(self._folder / "pc" / f"life-{life - 1}", ignore_errors=True)
        tables = []
        for camera in CAMERAS:
            parts_folder = self._folder / "pc" / f"life-{life}" / camera
            parts_folder.mkdir(parents=True)
            for number in range(parts):
                link = parts_folder / f"{camera}-{life:04}-{number:06}.jpg"
                os.link(self._pictures[number % PICTURES], link)
            source = f"folder:life-{life}/{camera}"
            tables.append(camera_table(camera, source, fps=self._fps))
        self._daemon = self._pc.start(*tables, at_end=at_end)
        self._born_s = time.monotonic()

    def _kill_daemon(self) -> None:
        """Kill the daemon, and note what its outbox holds."""
        if self._daemon is None:
            return
        self._daemon.kill()
        self._daemon.communicate(timeout=END_LIMIT_S)
        self._daemon = None
        health = self._pc.health
        if health is not None:
            self._reported[health.boot_id] = health.alerts
        for seq, part_id in self._alerts_in_outbox():
            self._witnessed[seq] = part_id

    def _alerts_in_outbox(self) -> list[tuple[int, str]]:
        """Return position and part of the alerts in a copy of the outbox's file."""
        copy = self._folder / "copy"
        copy.mkdir(exist_ok=True)
        for end in ("", "-wal"):
            (copy / f"outbox.sqlite{end}").unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                shutil.copy(self._pc.folder / f"outbox.sqlite{end}", copy)
        with closing(sqlite3.connect(copy / "outbox.sqlite")) as file:
            if not file.execute("SELECT 1 FROM sqlite_master").fetchone():
                return []  # killed before it was made
            rows = file.execute("SELECT seq, data FROM event WHERE kind = 'alert'")
            return [(seq, json.loads(data)["part_id"]) for seq, data in rows]

    def _deliver_everything(self) -> None:
        """Let a last daemon deliver what is left, and end in order."""
        self._kill_daemon()
        self._start_daemon(LAST_PARTS, at_end=True)
        assert self._daemon is not None
        self._daemon.communicate(timeout=END_LIMIT_S)
        code, self._daemon = self._daemon.returncode, None
        assert code == 0, self._pc.stderr[-2000:]
        with closing(sqlite3.connect(self._pc.folder / "outbox.sqlite")) as file:
            (self.report.committed,) = file.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'event'"
            ).fetchone()
            (left,) = file.execute("SELECT count(*) FROM event").fetchone()
        assert left == 0, f"{left} events were not delivered, against the exit code"
        self._dashboard.end()

    def _judge(self) -> None:
        """Compare the history with what was raised."""
        with closing(sqlite3.connect(self._folder / "history.sqlite3")) as history:
            alerts = {
                seq: json.loads(event)["data"]
                for seq, event in history.execute("SELECT seq, event FROM alerts")
            }
            others = {
                seq
                for table in ("verdicts", "losses")
                for (seq,) in history.execute(f"SELECT seq FROM {table}")  # noqa: S608
            }
            tables = ("alerts", "verdicts", "losses", "streams")
            counts = {
                table: history.execute(
                    f"SELECT count(*) FROM {table}"  # noqa: S608 - names of this module
                ).fetchone()[0]
                for table in tables
            }
        report = self.report
        report.alerts, report.verdicts = counts["alerts"], counts["verdicts"]
        report.shed, report.streams = counts["losses"], counts["streams"]
        raised = range(1, report.committed + 1)
        report.lost = sum(seq not in alerts and seq not in others for seq in raised)
        report.witnessed = len(self._witnessed)
        report.lost += sum(
            seq not in alerts or alerts[seq]["part_id"] != part_id
            for seq, part_id in self._witnessed.items()
        )
        alerts_of_part = Counter(data["part_id"] for data in alerts.values())
        report.repeated = sum(count > 1 for count in alerts_of_part.values())
        report.disordered = _disordered(
            [alerts[seq]["part_id"] for seq in sorted(alerts)]
        )
        of_boot = Counter(data["boot_id"] for data in alerts.values())
        report.overstated = sum(
            max(0, count - of_boot[boot]) for boot, count in self._reported.items()
        )


def _disordered(part_ids: Sequence[str]) -> int:
    """Return how many parts of a camera do not come after the one before."""
    faults, last = 0, defaultdict[str, str](str)
    for part_id in part_ids:
        camera = part_id.partition("-")[0]
        faults += part_id <= last[camera]
        last[camera] = part_id
    return faults


def _write_pictures(folder: Path) -> list[Path]:
    """Write small pictures of defective parts, to be linked into many folders."""
    folder.mkdir(parents=True)
    paths = []
    for number in range(PICTURES):
        paths.append(folder / f"{number}.jpg")
        picture = part_picture((number + 1, 4), size_px=PICTURE_PX)
        assert cv2.imwrite(str(paths[-1]), picture)
    return paths
