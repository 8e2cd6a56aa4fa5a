"""A line PC without camera and model, in a process of its own, which can be killed.

``python -m tests.simulators.cluster.line_process FOLDER LINE PORT LIFE``: evidence,
outbox and publisher are those of the daemon. The camera draws parts, and the detector
knows what the camera has drawn: every second part has a defect. The name of each part
whose alert is committed is appended to ``committed.txt``. After SIGTERM there are no
further parts, and the process ends as soon as a collector has acknowledged everything.
"""

import logging
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge.config.station import BrokerSettings, CollectorAck
from edge.counters import CameraCounters
from edge.delivery.evidence import EvidenceStore
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher import Publisher
from edge.delivery.recorder import Decision, DecisionRecorder
from edge.rules.alert_message import FrameContext
from models.detections import Detections, no_detections
from models.messages import DaemonState, ModelInForce, StationStatus
from models.preprocess import Frame
from models.topics import StationTopics

SITE, STATION, CAMERA = "plant", "press-1", "top"
MODEL = ModelInForce(name="drawn", build=1, sha256="0" * 64)
WIDTH_PX, HEIGHT_PX, DEFECT_PX = 160, 120, 24
PARTS_PER_S = 3.0
OUTBOX, COMMITTED = "outbox.sqlite3", "committed.txt"
MAX_BYTES = 64 << 20
RECONNECT_MAX_S = 2.0
DRAIN_LIMIT_S = 240.0
STOP_LIMIT_S = 5.0
LOOK_S = 0.05


class LineProcess:
    """The parts of a daemon that keep and deliver its events.

    Args:
        folder: Where the outbox is.
        line: Name of the line.
        port: Of the broker.
        life: Number of this start: no part has the name of one before.
    """

    def __init__(self, folder: Path, line: str, port: int, life: int) -> None:
        self._name = f"{line}-{life:03}"
        self._committed = folder / COMMITTED
        self._counters = CameraCounters()
        self._defective: list[str] = []  # names of parts, in the order of their alerts
        self._noted = 0
        topics = StationTopics(SITE, line, STATION)
        boot = f"life-{life}"
        self.outbox = Outbox(folder / OUTBOX, topics, MAX_BYTES)
        self._recorder = DecisionRecorder(
            EvidenceStore(folder / "evidence", MAX_BYTES),
            self.outbox,
            topics,
            boot,
            lambda: True,
        )
        settings = BrokerSettings(
            port=port,
            collector_ack=CollectorAck.REQUIRED,
            reconnect_max_s=RECONNECT_MAX_S,
        )
        self._topics, self._boot = topics, boot
        self._publisher = Publisher(
            settings, self.outbox, topics, self._status(DaemonState.LOST)
        )

    def start(self) -> None:
        """Open the outbox and connect."""
        self.outbox.start()
        self._recorder.start()
        self._publisher.publish_state(
            self._topics.status, self._status(DaemonState.READY)
        )
        self._publisher.start()

    def inspect(self, number: int) -> None:
        """Decide on a part, and note those whose alert has been committed."""
        is_defective = number % 2 == 0
        name = f"{self._name}-{number:06}"
        frame, found = _part(number, is_defective=is_defective)
        if is_defective:
            self._defective.append(name)
        now_ns = time.monotonic_ns()
        context = FrameContext(
            camera=CAMERA,
            frame_id=number,
            part_id=name,
            captured_ns=now_ns,
            captured_at=datetime.now(UTC),
            decided_ns=now_ns,
            frame_width_px=WIDTH_PX,
            frame_height_px=HEIGHT_PX,
        )
        self._recorder.record(
            Decision(
                frame=context,
                counters=self._counters,
                model=MODEL,
                label_names=("scratch",),
                detections=found,
                pixels=frame if is_defective else None,
                is_part=True,
            )
        )
        self._note_committed()

    def _note_committed(self) -> None:
        """Write down the parts whose alert the recorder counts as committed."""
        count = self._counters.alerts
        with self._committed.open("a", encoding="utf-8") as file:
            file.writelines(
                f"{name}\n" for name in self._defective[self._noted : count]
            )
        self._noted = count

    def end(self) -> int:
        """Wait until everything is acknowledged; return how many events are left."""
        self._recorder.close(STOP_LIMIT_S)
        self._note_committed()
        deadline_s = time.monotonic() + DRAIN_LIMIT_S
        while self.outbox.depth() and time.monotonic() < deadline_s:
            time.sleep(LOOK_S)
        self._publisher.stop(self._status(DaemonState.DISCONNECTED), STOP_LIMIT_S)
        left = self.outbox.depth()
        self.outbox.close()
        return left

    def _status(self, state: DaemonState) -> StationStatus:
        return StationStatus(state=state, boot_id=self._boot, version="simulated")


def _part(number: int, *, is_defective: bool) -> tuple[Frame, Detections]:
    """Draw a part; return its picture, and what a detector finds in it."""
    rng = np.random.default_rng(number)
    frame = rng.integers(120, 136, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    if not is_defective:
        return frame, no_detections()
    left = int(rng.integers(0, WIDTH_PX - DEFECT_PX))
    top = int(rng.integers(0, HEIGHT_PX - DEFECT_PX))
    right, bottom = left + DEFECT_PX, top + DEFECT_PX
    frame[top:bottom, left:right] = 30
    box = np.array([[left, top, right, bottom]], np.float32)
    return frame, Detections(box, np.array([0.9], np.float32), np.array([0], np.int64))


def main() -> int:
    """Inspect parts until SIGTERM; return 1 if events are left."""
    folder, line, port, life = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5])
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    process = LineProcess(folder, line, port, life)
    process.start()
    os.write(sys.stdout.fileno(), b"started\n")
    number = 0
    while not stop.wait(1 / PARTS_PER_S):
        process.inspect(number)
        number += 1
    return 1 if process.end() else 0


if __name__ == "__main__":
    sys.exit(main())
