"""Plays the daemon's side of a trial: reads the order, writes ``health.json``."""

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from models.errors import InstallError
from models.messages import DaemonState
from models.slot_files import (
    Health,
    SlotFolder,
    TrialOrder,
    read_or_none,
    write_file,
)
from models.trial_report import ModelCounts, TrialPhase, TrialReport

INTERVAL_S = 0.02
ALIKE = ModelCounts(
    frames=500,
    seconds=20,
    latency_frames=100,
    latency_ms_p50=5,
    shadow_latency_frames=50,
    shadow_latency_ms_p50=5,
)


def good_report(order: TrialOrder, **fields: Any) -> TrialReport:
    """Return the report of a trial whose window is over in each phase."""
    values: dict[str, Any] = {
        "id": order.id,
        "package_sha256": order.package_sha256,
        "phase": order.phase,
        "starts": 1,
        "seconds": 100.0,
        "compared": 100,
        "new": ALIKE,
        "old": ALIKE,
        **fields,
    }
    return TrialReport.model_validate(values)


def silent(_: TrialOrder) -> None:
    """Take no part in the trial."""


class TrialDaemon:
    """A thread that reports while the block runs.

    Args:
        slot: Its folder exists.
        report_of: Order to report; None = the daemon does not take it up.
        fields: Of ``Health``.
    """

    def __init__(
        self,
        slot: SlotFolder,
        report_of: Callable[[TrialOrder], TrialReport | None] = good_report,
        **fields: Any,
    ) -> None:
        self.phases: list[TrialPhase] = []
        self.state = DaemonState.READY
        self._slot, self._report_of, self._fields = slot, report_of, fields
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trial-daemon")

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()

    def die(self) -> None:
        """Report nothing any more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            # While the folder is being changed, or replaced by a test.
            with contextlib.suppress(InstallError, OSError):
                self._write()

    def _write(self) -> None:
        order = read_or_none(self._slot.trial_order, TrialOrder)
        linked = self._slot.package_of(self._slot.trial)
        report = None
        if order is not None and order.package_sha256 == linked:
            report = self._report_of(order)
            if report is not None and report.phase not in self.phases[-1:]:
                self.phases.append(report.phase)
        values: dict[str, Any] = {
            "at": datetime.now(UTC),
            "boot_id": "boot",
            "state": self.state.value,
            "interval_s": INTERVAL_S,
            "can_try": True,
            "trial": report,
            **self._fields,
        }
        write_file(self._slot.health, Health.model_validate(values))
