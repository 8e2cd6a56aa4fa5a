"""Line PCs that exist only in memory: some are off, some refuse a package.

As a program, ``python -m tests.simulators.fleet STATE COUNT SECONDS`` flashes such a
fleet and takes so long for each PC, to be killed in the middle.
"""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from deploy.fleet.inventory import FleetPc
from deploy.fleet.one_pc import PcOffError
from deploy.fleet.reports import FleetReport
from deploy.fleet.rollout import FleetFlash
from deploy.fleet.state import FleetState
from deploy.fleet.windows import Window
from deploy.results import (
    FlashOutcome,
    FlashReport,
    PackageName,
    StatusReport,
    TargetOutcome,
    TargetResult,
)
from models.errors import InstallError
from models.manifest import PrecisionHint, VariantName
from models.slot_files import Proof, RunMode
from models.slot_states import SlotState

NEW = PackageName(name="plate", build=2, sha256="b" * 64)
OLD = PackageName(name="plate", build=1, sha256="a" * 64)
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)  # a Wednesday
MODE = RunMode(
    variant=VariantName.OPENVINO_FP32,
    precision_hint=PrecisionHint.F32,
    passed=True,
    latency_ms_p50=1,
    latency_ms_p99=2,
)


def proof_of(package: PackageName) -> Proof:
    return Proof(
        package_sha256=package.sha256,
        at=NOON,
        machine="simulated",
        golden_frames=1,
        chosen=MODE,
        modes=(MODE,),
    )


def status_of(package: PackageName | None, **changes: object) -> StatusReport:
    """Return what a healthy PC with a package answers."""
    report = StatusReport(
        target="local:pc",
        state=SlotState.COMMITTED if package else SlotState.IDLE,
        since=NOON,
        current=package,
        proof=proof_of(package) if package else None,
    )
    return report.model_copy(update=changes)


@dataclass
class SimFleet:
    """PCs of one plant.

    Args:
        names: Of all PCs.
        off: PCs that do not answer.
        bad: PCs that refuse the package.
        lost: PCs that are lost during their flash.
        windows: Maintenance windows of a PC.
        seconds: How long a flash takes.
    """

    names: list[str]
    off: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    windows: dict[str, tuple[Window, ...]] = field(default_factory=dict)
    seconds: float = 0
    packages: dict[str, PackageName] = field(default_factory=dict)
    flashed: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    busiest: int = 0
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, count: int, **options: object) -> "SimFleet":
        names = [f"pc{number:02d}" for number in range(1, count + 1)]
        return cls(names, **options)  # type: ignore[arg-type]

    @property
    def pcs(self) -> list[FleetPc]:
        return [
            FleetPc(name, f"local:/pcs/{name}", self.windows.get(name, ()))
            for name in self.names
        ]

    def look(self, pc: FleetPc) -> StatusReport:
        if pc.name in self.off:
            raise PcOffError(f"{pc.target}: no answer.", why="It is off.")
        if pc.name not in self.packages:
            raise InstallError(f"{pc.target}: there is no line PC.")
        return status_of(self.packages[pc.name])

    def flash(self, pc: FleetPc, on_step: Callable[[str], None]) -> TargetResult:
        with self._lock:
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            self.flashed.append(pc.name)
        on_step("verified")
        time.sleep(self.seconds)
        with self._lock:
            self._busy -= 1
        if pc.name in self.bad:
            return _failed(pc, TargetOutcome.FAILED, "the self-test failed")
        if pc.name in self.lost:
            return _failed(pc, TargetOutcome.UNREACHABLE, "the connection was lost")
        before = self.packages.get(pc.name)
        self.packages[pc.name] = NEW
        report = FlashReport(
            target=pc.target,
            outcome=FlashOutcome.COMMITTED,
            package=NEW,
            previous=before,
            proof=proof_of(NEW),
        )
        return TargetResult(
            target=pc.target,
            outcome=TargetOutcome.COMMITTED,
            exit_code=0,
            message="flashed",
            why="",
            fix="",
            package=NEW,
            previous=before,
            report=report,
            sent_files=1,
            sent_bytes=1,
            seconds=1,
        )

    def fleet_flash(self, folder: Path, **options: object) -> FleetFlash:
        """Return a run of ``fleet flash``."""
        settings = {"parallel": 4, "local_now": lambda: NOON} | options
        return FleetFlash(
            pcs=self.pcs,
            package=NEW,
            state=FleetState(folder, "me@workstation"),
            look=self.look,
            on_step=self.steps.append,
            **settings,  # type: ignore[arg-type]
        )

    def run(self, folder: Path, **options: object) -> FleetReport:
        """Flash the fleet, as the command does."""
        self.flashed.clear()
        run = self.fleet_flash(folder, **options)
        with run.state.locked():
            return run.run(self.flash)


def _failed(pc: FleetPc, outcome: TargetOutcome, message: str) -> TargetResult:
    return TargetResult(
        target=pc.target,
        outcome=outcome,
        exit_code=InstallError.exit_code,
        message=message,
        why="",
        fix="Look at it.",
        package=NEW,
        previous=None,
        report=None,
        sent_files=0,
        sent_bytes=0,
        seconds=1,
    )


if __name__ == "__main__":
    fleet = SimFleet.of(int(sys.argv[2]), seconds=float(sys.argv[3]))
    fleet.run(Path(sys.argv[1]))
