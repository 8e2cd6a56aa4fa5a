"""Runs a trial: orders its phases, reads the daemon's counts, and waits for the end.

The daemon is another process that may crash, hang or lose power. Its only sign of life
is ``health.json``: a new time in it, not the age of that time, because the clock of a
line PC may be wrong.
"""

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.trial import (
    PICK_UP_S,
    TrialSettings,
    TrialStep,
    TrialVerdict,
    judge,
)
from models.counted import counted
from models.messages import DaemonState
from models.slot_files import (
    Health,
    SlotFolder,
    TrialOrder,
    read_or_none,
    write_file,
)
from models.trial_report import TrialPhase, TrialReport

logger = logging.getLogger(__name__)

POLL_S = 0.1
HEALTH_IS_OLD_S = 30.0
INTERVAL_S = 2.0  # of health.json, where an older daemon does not write it
INTERVALS = 2.5  # within which a living daemon writes it again
NO_DAEMON = "no daemon runs here"
OLD_DAEMON = "the daemon that runs here is of a version without trials"
STOPPED = "the daemon was stopped before the end of the trial"


@dataclass(frozen=True, slots=True)
class DaemonSign:
    """The last report of a daemon, and when it was read."""

    health: Health | None
    read_s: float  # monotonic clock

    @classmethod
    def of(cls, slot: SlotFolder) -> "DaemonSign":
        """Read the present report."""
        return cls(read_or_none(slot.health, Health), time.monotonic())


def why_no_trial(slot: SlotFolder, before: DaemonSign) -> str:
    """Return why a package cannot be tried on the line; empty = it can.

    Args:
        before: Read some seconds ago, so that a living daemon has reported meanwhile.
    """
    health = before.health
    if health is None:
        return NO_DAEMON
    if health.state == DaemonState.DISCONNECTED:
        now = read_or_none(slot.health, Health)
        if now is None or now.state == DaemonState.DISCONNECTED:
            return NO_DAEMON
    wait_s = INTERVALS * (health.interval_s or INTERVAL_S)
    if abs((datetime.now(UTC) - health.at).total_seconds()) > HEALTH_IS_OLD_S:
        wait_s = 0.0  # unless the clock is wrong, and it has written meanwhile
    while not (moved := _has_moved(slot, health)):
        if time.monotonic() - before.read_s > wait_s:
            return NO_DAEMON
        time.sleep(POLL_S)
    if moved.state == DaemonState.DISCONNECTED:
        return NO_DAEMON
    return "" if moved.can_try else OLD_DAEMON


def _has_moved(slot: SlotFolder, before: Health) -> Health | None:
    now = read_or_none(slot.health, Health)
    is_new = now and (now.at, now.boot_id) != (before.at, before.boot_id)
    return now if is_new else None


def is_ordered(slot: SlotFolder, sha256: str) -> bool:
    """Return whether the trial of a package was ordered, and has not ended."""
    order = read_or_none(slot.trial_order, TrialOrder)
    return order is not None and order.package_sha256 == sha256


def order_trial(slot: SlotFolder, sha256: str, settings: TrialSettings) -> TrialOrder:
    """Return the order to try a package; one that was interrupted goes on.

    Raises:
        OSError: The folder cannot be written.
    """
    order = read_or_none(slot.trial_order, TrialOrder)
    if order is not None and order.package_sha256 == sha256:
        return order
    order = TrialOrder(
        id=secrets.token_hex(8),
        package_sha256=sha256,
        phase=TrialPhase.OBSERVE,
        limit_s=settings.longest_s,
        at=datetime.now(UTC),
    )
    write_file(slot.trial_order, order)
    return order


class TrialRun:
    """One trial, from its order to its verdict.

    Args:
        order: On the disk, and the link names its package.
        on_step: Called with a sentence at each step.
    """

    def __init__(
        self,
        slot: SlotFolder,
        order: TrialOrder,
        settings: TrialSettings,
        on_step: Callable[[str], None],
    ) -> None:
        self._slot, self._order, self._settings = slot, order, settings
        self._on_step = on_step
        self._started_s = self._seen_s = time.monotonic()
        # Written before: after a reboot it says nothing of the daemon's present start.
        self._first = self._health = read_or_none(slot.health, Health)
        self._starts = 0
        self._is_taken = False

    def run(self) -> TrialVerdict:
        """Wait for the end of the trial; return the commit or the rollback.

        Raises:
            OSError: The order for the second phase cannot be written.
        """
        while True:
            verdict = self._poll()
            if verdict.step is TrialStep.DECIDE:
                self._order = self._order.model_copy(
                    update={"phase": TrialPhase.DECIDE}
                )
                write_file(self._slot.trial_order, self._order)
                self._on_step("trial: the new model decides now")
            elif verdict.step is not TrialStep.WAIT:
                return verdict
            time.sleep(POLL_S)

    def _poll(self) -> TrialVerdict:
        now_s = time.monotonic()
        health = read_or_none(self._slot.health, Health)
        if health is not None and health != self._health:
            self._health, self._seen_s = health, now_s
        report = health.trial if health and health != self._first else None
        verdict = TrialVerdict(TrialStep.WAIT)
        if report is not None and report.id == self._order.id:
            self._note(report)
            verdict = judge(report, self._settings, self._order.phase)
        if verdict.step is TrialStep.WAIT:
            return self._given_up(health, now_s) or verdict
        return verdict

    def _note(self, report: TrialReport) -> None:
        if not self._is_taken:
            self._on_step("trial: the daemon runs the new model beside the old one")
        if self._is_taken and report.starts > self._starts:
            self._on_step(f"trial: the daemon started again ({report.starts})")
        self._is_taken, self._starts = True, report.starts

    def _given_up(self, health: Health | None, now_s: float) -> TrialVerdict | None:
        """Return the verdict of a trial that has no end."""
        settings = self._settings
        silent_s, lasted_s = now_s - self._seen_s, now_s - self._started_s
        # After a reboot the daemon may start later than this process.
        load_s = max(PICK_UP_S, settings.silence_s)
        if silent_s > (settings.silence_s if self._is_taken else load_s):
            if health is not None and health.state == DaemonState.DISCONNECTED:
                return TrialVerdict(TrialStep.ROLL_BACK, STOPPED)
            reason = f"the daemon has not reported for {silent_s:.0f} s"
            return TrialVerdict(TrialStep.ROLL_BACK, reason, is_refused=self._is_taken)
        if not self._is_taken and lasted_s > load_s:
            reason = f"the daemon did not load it within {lasted_s:.0f} s"
            return TrialVerdict(TrialStep.ROLL_BACK, reason)
        if lasted_s > settings.longest_s:
            report = health.trial if health else None
            frames = report.old.frames + report.new.frames if report else 0
            reason = (
                f"no result within {lasted_s:.0f} s: the line gave "
                f"{counted(frames, 'frame')}, {settings.frames} are needed"
            )
            return TrialVerdict(TrialStep.ROLL_BACK, reason)
        return None
