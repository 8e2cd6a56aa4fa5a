"""A real daemon on a video that does not end, started again when it crashes."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.package import Package
from models.preprocess import Frame
from models.slot_files import Health
from models.trial_report import TrialReport
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.packages import part_picture
from tests.simulators.target import SimTarget
from tests.simulators.videos import write_video

VIDEO_FRAMES, FPS = 45, 30.0
# Frame of each turn of the video to the cell with a defect: two defects pass.
DEFECTS = dict.fromkeys(range(4, 12), (3, 4)) | dict.fromkeys(range(20, 28), (6, 2))
MARK_FRAMES = range(32, 42)  # likewise, for models that fail on a black pixel
RESTART_LIMIT_S = 0.2
POLL_S = 0.05


def line_picture(number: int) -> Frame:
    """Return a frame of the video: defects pass, then a black mark."""
    picture = part_picture(*([DEFECTS[number]] if number in DEFECTS else []))
    if number in MARK_FRAMES:
        picture[-16:, -16:] = 0
    return picture


class LivePc:
    """A line PC whose daemon inspects a video in a loop."""

    def __init__(self, folder: Path, port: int, package: Package) -> None:
        self.pc = DaemonPc(folder, port, package)
        self.target = SimTarget(folder / "slot")
        write_video(folder / "belt.avi", VIDEO_FRAMES, FPS, line_picture)
        self.starts = 0
        self.exit_codes: list[int] = []  # of daemons that ended by themselves
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator["LivePc"]:
        """Run the daemon, as systemd does with ``Restart=always``."""
        keeper = threading.Thread(target=self._keep, name="keeper")
        keeper.start()
        try:
            self.pc.wait_until_inspecting(VIDEO_FRAMES)
            yield self
        finally:
            self._stop.set()
            keeper.join()

    def _keep(self) -> None:
        camera = camera_table("belt", "file:belt.avi", loops=True, cool_down_s=0.0)
        while not self._stop.is_set():
            process = self.pc.start(camera, at_end=False)
            self.starts += 1
            while process.poll() is None and not self._stop.wait(RESTART_LIMIT_S):
                pass
            if process.poll() is None:
                process.terminate()
            else:
                self.exit_codes.append(process.returncode)
            try:
                process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def health(self) -> Health:
        """Return the last report of the daemon."""
        health = self.pc.health
        assert health is not None
        return health

    def alerts(self) -> int:
        """Return how many alerts this start of the daemon has raised."""
        return self.health().alerts

    @contextmanager
    def watched_trial(self) -> Iterator[list[TrialReport]]:
        """Collect what the daemon reports of trials during the block."""
        reports: list[TrialReport] = []
        ended = threading.Event()

        def collect() -> None:
            while not ended.wait(POLL_S):
                if report := self.health().trial:
                    reports.append(report)

        collector = threading.Thread(target=collect, name="trial-reports")
        collector.start()
        try:
            yield reports
        finally:
            ended.set()
            collector.join()
