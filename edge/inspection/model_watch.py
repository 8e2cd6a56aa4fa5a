"""Watches the slot: loads a new model when flashing switched, or ordered a trial.

A model is opened, verified and compiled in a separate thread while the one in force
inspects; the pipeline switches between two frames. If it cannot be opened, the one in
force stays.

A start in a trial is counted on the disk before the model is loaded: a model that
crashes the daemon is loaded ``STARTS_MAX`` times, and then no more.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from edge.config.station import ModelSettings
from edge.inspection.model import LoadedModel, load_stored_model
from models.errors import GraftlineError
from models.machine import Platform, resident_bytes, this_platform
from models.manifest import MANIFEST_NAME
from models.messages import fit_reason
from models.slot_files import (
    SlotFolder,
    SlotRecord,
    TrialOrder,
    TrialStarts,
    read_or_none,
    write_file,
)
from models.slot_states import SlotState
from models.trial_report import STARTS_MAX

logger = logging.getLogger(__name__)

STOP_LIMIT_S = 5.0
NO_REFUSAL = ("", 0)
PLATFORM_INTERVAL_S = 60.0  # of comparisons with the machine of the start
RETRY_S = 300.0  # a refused package may have been repaired, or the machine has room


@dataclass(frozen=True, slots=True)
class TrialCandidate:
    """A package that is to be tried.

    Attributes:
        model: None = it is not run, see ``fault``.
        starts: Starts of the daemon in this trial, this one included.
        rss_bytes_before: Resident memory before it was loaded.
        fault: Why it is not run; empty else.
    """

    order: TrialOrder
    model: LoadedModel | None
    starts: int
    rss_bytes_before: int
    fault: str = ""


class ModelWatcher:
    """Watches the slot and loads a new model when flashing switched.

    Args:
        running: SHA-256 of the package that runs.
        streams_max: As in ``load_model``.
        platform: Returns this machine, which changes where a virtual one moves.

    Attributes:
        fault: Why the model that flashing switched to does not run, or would not after
            a restart; empty = it runs.
        flashing: Which package is in trial, or why the last one was rolled back.
        in_trial: Whether a package is in trial.
        order: The trial that is ordered now; None = there is none.
        running: SHA-256 of the package that is to run, the trial aside.
    """

    def __init__(
        self,
        settings: ModelSettings,
        running: str,
        streams_max: int = 1,
        platform: Callable[[], Platform] = this_platform,
    ) -> None:
        self.fault = self.flashing = ""
        self.in_trial = False
        self.order: TrialOrder | None = None
        self.running = running
        self._settings, self._streams_max = settings, streams_max
        self._slot = SlotFolder(settings.slot)
        self._candidate: TrialCandidate | None = None  # of the last order
        # Package, and modification time of the proofs: a new proof is tried again.
        self._refused, self._refused_s = NO_REFUSAL, 0.0
        self._read_platform, self._platform = platform, platform()
        self._platform_read_s = time.monotonic()
        self._platform_fault = ""
        self._loaded: queue.SimpleQueue[LoadedModel] = queue.SimpleQueue()
        self._candidates: queue.SimpleQueue[TrialCandidate] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="model-watch", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    def take(self) -> LoadedModel | None:
        """Return a new model, once; None = there is no new one."""
        with contextlib.suppress(queue.Empty):
            return self._loaded.get_nowait()
        return None

    def take_candidate(self) -> TrialCandidate | None:
        """Return a package that is to be tried, once; None = there is no new one."""
        with contextlib.suppress(queue.Empty):
            return self._candidates.get_nowait()
        return None

    def _run(self) -> None:
        while not self._stop.wait(self._settings.poll_interval_s):
            try:
                self.check()
            except GraftlineError as error:
                self._note(str(error))
            # The top of the thread: the old model keeps running after any fault.
            except Exception as error:
                logger.exception("model_watch_failed slot=%s", self._slot.root)
                self.fault = f"model: {type(error).__name__}"

    def _note(self, fault: str) -> None:
        """Set the fault; a new one is logged."""
        if fault and fault != self.fault:
            logger.error("model_fault reason=%s", fault)
        self.fault = fault

    def check(self) -> None:
        """Read the slot once: load what is new, and note what is missing."""
        self.flashing = self._read_flashing()
        order = self._read_order()
        if order is not None and not self._knows(order):
            self._candidate = self._load_candidate(order)
            self.order = order  # first: a trial without its order is ended
            self._candidates.put(self._candidate)
        # ``current`` first: who sees that the trial has ended finds `running` right.
        self._check_current()
        if time.monotonic() >= self._platform_read_s + PLATFORM_INTERVAL_S:
            self.check_platform()
        if self._platform_fault and not self.fault:
            self.fault = self._platform_fault
        self.order = order

    def check_platform(self) -> None:
        """Load the model again where the machine has changed under the process.

        Its golden frames are run then, see ``proven_mode``.
        """
        self._platform_read_s = time.monotonic()
        here = self._read_platform()
        changes = "; ".join(self._platform.differences(here))
        if not changes:
            return
        self._platform, self._platform_fault = here, ""
        logger.warning("machine_changed_while_running: it has %s", changes)
        try:
            model = load_stored_model(
                *(self._slot, self.running, self._settings.threads, self._streams_max),
                here,
            )
        except GraftlineError as error:
            # Without a traceback: an expected failure, its text is complete.
            logger.error("model_unproven reason=%s", error)  # noqa: TRY400
            self._platform_fault = fit_reason(
                f"the machine has changed ({changes}): {error}"
            )
        else:
            self._loaded.put(model)

    def _read_flashing(self) -> str:
        record = read_or_none(self._slot.state, SlotRecord)
        self.in_trial = record is not None and record.state is SlotState.TRIAL
        if record is None:
            return ""
        name = record.package or record.package_sha256[:12]
        if record.state is SlotState.TRIAL:
            return fit_reason(f"{name} is in trial")
        if record.state is SlotState.ROLLED_BACK and record.reason:
            return fit_reason(f"{name} was rolled back: {record.reason}")
        return ""

    def _read_order(self) -> TrialOrder | None:
        order = read_or_none(self._slot.trial_order, TrialOrder)
        linked = self._slot.package_of(self._slot.trial)
        if order is None or not linked or order.package_sha256 != linked:
            return None
        return order

    def _knows(self, order: TrialOrder) -> bool:
        return self._candidate is not None and self._candidate.order.id == order.id

    def _load_candidate(self, order: TrialOrder) -> TrialCandidate:
        """Count the start, then load the package."""
        sha256, before_bytes = order.package_sha256, resident_bytes()
        starts, fault, model = 0, "", None
        try:
            starts = self._count_start(order)
            if starts > STARTS_MAX:
                fault = f"the daemon did not survive {STARTS_MAX} starts with it"
            else:
                threads = self._settings.threads
                model = load_stored_model(
                    self._slot, sha256, threads, self._streams_max
                )
        except OSError as error:
            fault = f"its starts cannot be counted: {error}"
        except GraftlineError as error:
            fault = f"it cannot be loaded: {error}"
        if fault:
            logger.error("trial_refused sha256=%s reason=%s", sha256[:12], fault)
        return TrialCandidate(order, model, starts, before_bytes, fault)

    def _count_start(self, order: TrialOrder) -> int:
        """Count a start of this trial on the disk; return how many there are."""
        path = self._slot.trial_starts
        before = read_or_none(path, TrialStarts)
        starts = before.starts + 1 if before and before.id == order.id else 1
        if starts <= STARTS_MAX:
            file = TrialStarts(
                id=order.id,
                package_sha256=order.package_sha256,
                starts=starts,
                at=datetime.now(UTC),
            )
            write_file(path, file)
        return starts

    def _check_current(self) -> None:
        wanted = self._slot.package_of(self._slot.current)
        if not wanted or wanted == self.running:
            self._note(self._missing_part(wanted))
            self._refused = NO_REFUSAL
            return
        if self._is_loaded_for_trial(wanted):  # the trial was good
            self.fault, self.running = "", wanted
            return
        proofs = self._slot.proof
        proofs_changed_ns = proofs.stat().st_mtime_ns if proofs.exists() else 0
        is_refused = (wanted, proofs_changed_ns) == self._refused
        if is_refused and time.monotonic() < self._refused_s + RETRY_S:
            return
        try:
            threads = self._settings.threads
            self._loaded.put(
                load_stored_model(self._slot, wanted, threads, self._streams_max)
            )
        except GraftlineError as error:
            self.fault = fit_reason(f"model {wanted[:12]} refused: {error}")
            self._refused = (wanted, proofs_changed_ns)
            self._refused_s = time.monotonic()
            # Without a traceback: an expected failure, its text is complete.
            logger.error("model_refused sha256=%s reason=%s", wanted[:12], error)  # noqa: TRY400
            return
        self.fault, self.running = "", wanted

    def _missing_part(self, wanted: str) -> str:
        """Return what a restart of the daemon would miss; empty = nothing."""
        slot = self._slot
        for path in (slot.current, slot.store / wanted / MANIFEST_NAME, slot.proof):
            if not path.exists():
                return (
                    f"{path} is missing: the model runs until the daemon ends, and "
                    "not after it. Fix: flash the package again"
                )
        return ""

    def _is_loaded_for_trial(self, wanted: str) -> bool:
        """Return whether the trial, which lasts until now, has loaded this package."""
        candidate = self._candidate
        if candidate is None or candidate.model is None or self.order is None:
            return False
        return (candidate.order.id, wanted) == (
            self.order.id,
            candidate.order.package_sha256,
        )
