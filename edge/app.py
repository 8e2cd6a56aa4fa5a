"""The daemon: the only place where its parts are built and joined.

Order matters. The outbox first: it refuses a second daemon. Then the cameras'
processes, which take their time to come up while the model is compiled; they hold
their frames back until somebody can look at them. On the way out the same in reverse:
no more frames, decisions to the disk, events to the broker as far as time allows, and
the last word ``disconnected``.
"""

import contextlib
import importlib.metadata
import logging
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from edge.announcer import Announcer
from edge.camera_config import CameraSettings
from edge.cameras.feed import CapturePlan
from edge.cameras.process import CameraProcess, wait_for_frames
from edge.config import EdgeSettings
from edge.delivery.evidence import EvidenceStore
from edge.delivery.outbox import Outbox
from edge.delivery.publisher import Publisher
from edge.health import HealthReporter, Vitals
from edge.lane import Lane
from edge.metrics import Figures
from edge.metrics_server import MetricsServer
from edge.model import ModelWatch, load_model
from edge.notify import Notifier
from edge.pipeline import Pipeline
from edge.recorder import Recorder
from edge.service import Pulse, ServiceReporter
from edge.thermal import ThermalWatch
from edge.track import Tracker
from models.errors import CameraError, DeliveryError, GraftlineError
from models.messages import CameraState, DaemonState, StationStatus
from models.slot_files import SlotFolder

logger = logging.getLogger(__name__)

IDLE_WAIT_S = 0.1
DRAIN_LIMIT_S = 10.0  # of a stop on request
GIVE_UP_FAILURES = 3  # starts in a row: with --exit-at-end such a camera has ended
LOOK_AGAIN_S = 0.05
LAST_WORD_LIMIT_S = 2.0
LASTING_THREADS = ("outbox", "recorder", "publisher", "model-watch", "health")


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run of the daemon went.

    Attributes:
        summary: Figures, for JSON.
        signal_number: What stopped it; 0 = its sources ended.
        error: What a person must know although it ended in order.
    """

    summary: dict[str, object]
    signal_number: int
    error: GraftlineError | None


class StopRequest:
    """A request to stop, from a signal. The second signal is not caught.

    Attributes:
        signal_number: Which one; 0 while there was none.
    """

    def __init__(self) -> None:
        self.signal_number = 0

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Catch SIGTERM and SIGINT inside the block."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def __bool__(self) -> bool:
        """Return whether there was one."""
        return self.signal_number != 0

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal_number = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def run_daemon(
    settings: EdgeSettings, *, exits_at_end: bool, tell: Callable[[str], None]
) -> RunResult:
    """Run the daemon until its sources have ended or it is told to stop.

    Args:
        settings: The configuration.
        exits_at_end: End when every source has ended and everything is delivered.
        tell: Takes a line for the person at the terminal.

    Returns:
        Figures, and what a person must know: a camera that was never there, events
        that could not be delivered.

    Raises:
        ConfigError: A file that the configuration names cannot be used.
        DeliveryError: The outbox cannot be opened, or another daemon has it.
        InstallError: No model is installed, or it was not proven here.
        PackageError: The model is damaged or cannot be run.
    """
    stop = StopRequest()
    with stop.listening(), contextlib.ExitStack() as clean_up:
        daemon = _Daemon(settings, stop, tell, clean_up)
        daemon.inspect(exits_at_end=exits_at_end)
        return daemon.finish()


class _Daemon:
    """All parts of one run.

    Args:
        settings: The configuration.
        stop: Set by a signal.
        tell: Takes a line for the person at the terminal.
        clean_up: Ends what was started, whatever happens.
    """

    def __init__(
        self,
        settings: EdgeSettings,
        stop: StopRequest,
        tell: Callable[[str], None],
        clean_up: contextlib.ExitStack,
    ) -> None:
        self._settings, self._stop, self._tell = settings, stop, tell
        self._started_s = time.monotonic()
        topics, boot_id = settings.station.topics, uuid.uuid4().hex
        version = _version()
        self._outbox = Outbox(settings.outbox.path, topics, settings.outbox.max_bytes)
        self._outbox.start()
        clean_up.callback(self._outbox.close)
        evidence = EvidenceStore(settings.evidence.folder, settings.evidence.max_bytes)
        self._lanes = tuple(_lane(camera) for camera in settings.camera)
        self._cameras = tuple(lane.camera for lane in self._lanes)
        for camera in self._cameras:
            clean_up.callback(camera.stop)
            camera.supervise(time.monotonic_ns())
        slot = SlotFolder(settings.model.slot)
        model = load_model(slot, settings.model.threads)
        will = StationStatus(state=DaemonState.LOST, boot_id=boot_id, version=version)
        self._publisher = Publisher(settings.broker, self._outbox, topics, will)
        self._recorder = Recorder(evidence, self._outbox, topics, boot_id)
        self._pipeline = Pipeline(model, self._lanes, self._recorder)
        self._watch = ModelWatch(settings.model, model.in_force.sha256)
        vitals = Vitals(
            boot_id=boot_id,
            version=version,
            topics=topics,
            slot=slot,
            lanes=self._lanes,
            pipeline=self._pipeline,
            recorder=self._recorder,
            outbox=self._outbox,
            watch=self._watch,
            thermal=ThermalWatch(settings.thermal),
        )
        self._health = HealthReporter(
            settings.health, vitals, self._publisher, self._tell
        )
        self._announcer = Announcer(
            settings.home_assistant,
            topics,
            [camera.name for camera in self._cameras],
            version,
            settings.outbox.path.parent,
            self._publisher,
        )
        self._service, self._pulse = self._watched(vitals, clean_up)

    def _watched(
        self, vitals: Vitals, clean_up: contextlib.ExitStack
    ) -> tuple[ServiceReporter, Pulse]:
        """Return who tells systemd, and the loops; open the figures."""
        pulse = Pulse(
            {
                "outbox": lambda: self._outbox.turns,
                "recorder": lambda: self._recorder.turns,
            }
        )
        service = ServiceReporter(
            Notifier.from_environment(),
            pulse,
            LASTING_THREADS,
            state=lambda: self._health.state,
            line=self._health.progress_line,
        )
        figures = Figures(
            vitals=vitals,
            publisher=self._publisher,
            state=lambda: self._health.state,
            stuck=lambda: service.stuck,
            outbox_path=self._settings.outbox.path,
        )
        metrics = MetricsServer(self._settings.metrics, figures)
        metrics.start()
        clean_up.callback(metrics.stop)
        return service, pulse

    def inspect(self, *, exits_at_end: bool) -> None:
        """Inspect frames until there is a reason to stop."""
        self._publisher.start()
        self._announcer.start()
        self._recorder.start()
        self._watch.start()
        self._health.start()
        self._service.start()
        for camera in self._cameras:
            camera.admit_frames()
        logger.info("inspecting cameras=%d", len(self._cameras))
        while not self._stop:
            now_ns = time.monotonic_ns()
            for camera in self._cameras:
                camera.supervise(now_ns)
            self._pulse.beat("cameras")
            self._swap_model()
            taken = self._pipeline.turn()
            self._pulse.beat("inference")
            if taken == 0:
                if exits_at_end and all(map(_has_ended, self._cameras)):
                    return
                wait_for_frames(self._cameras, IDLE_WAIT_S)

    def finish(self) -> RunResult:
        """Stop in order: what was decided is written, what is written delivered."""
        deadline_s = time.monotonic() + DRAIN_LIMIT_S
        self._service.stop()
        for camera in self._cameras:
            camera.stop()
        self._watch.stop()
        self._recorder.close(DRAIN_LIMIT_S / 2)
        undelivered = self._undelivered()
        error = _nothing_from(self._cameras) or undelivered
        left_s = max(LAST_WORD_LIMIT_S, deadline_s - time.monotonic())
        limit_s = min(DRAIN_LIMIT_S / 2, left_s) if self._stop else LAST_WORD_LIMIT_S
        self._announcer.stop()
        self._tell(self._health.progress_line())
        self._publisher.stop(self._health.stop(), limit_s)
        signal_number = self._stop.signal_number
        return RunResult(
            self._summary(), signal_number, None if signal_number else error
        )

    def _undelivered(self) -> DeliveryError | None:
        """Wait until everything is delivered; return why not if nothing moves."""
        limit_s, publisher = self._settings.outbox.stalled_after_s, self._publisher
        before, moved_s = -1, time.monotonic()
        while not self._stop and (left := publisher.undelivered()):
            if left != before:
                before, moved_s = left, time.monotonic()
            if time.monotonic() - moved_s > limit_s:
                return self._delivery_error(left)
            time.sleep(LOOK_AGAIN_S)
        return self._delivery_error(0) if self._recorder.unwritten else None

    def _delivery_error(self, undelivered: int) -> DeliveryError:
        """Return the error that says what was not delivered, or not even written."""
        lost, limit_s = self._recorder.unwritten, self._settings.outbox.stalled_after_s
        what = f"{undelivered} events are not delivered"
        if lost:
            what += f", {lost} could not be written"
        return DeliveryError(
            f"{what} (outbox {self._settings.outbox.path}).",
            why=self._publisher.problem or f"No acknowledgement for {limit_s:g} s.",
            fix="Start broker and collector, and run again: what is in the outbox "
            "is delivered then.",
        )

    def _summary(self) -> dict[str, object]:
        """Return the figures of the run."""
        model = self._pipeline.model.in_force
        return {
            "state": self._health.state.value,
            "seconds": round(time.monotonic() - self._started_s, 3),
            "model": model.model_dump(),
            "cameras": {lane.camera.name: lane.summary() for lane in self._lanes},
            "outbox": {
                "stream": self._outbox.stream,
                "committed": self._outbox.last_seq,
                "delivered": self._publisher.delivered,
                "undelivered": self._publisher.undelivered(),
            },
        }

    def _swap_model(self) -> None:
        """Put a new model in force; called between two frames."""
        fresh = self._watch.take()
        if fresh is not None:
            self._pipeline.model = fresh
            logger.info(
                "model_swapped name=%s build=%d sha256=%s",
                *(fresh.in_force.name, fresh.in_force.build, fresh.in_force.sha256),
            )


def _version() -> str:
    """Return the installed version of Graftline."""
    try:
        return importlib.metadata.version("graftline")
    except importlib.metadata.PackageNotFoundError:
        return "source"  # run from a folder, not installed


def _lane(settings: CameraSettings) -> Lane:
    """Return one camera with what belongs to it."""
    plan = CapturePlan(
        camera=settings.name,
        source=settings.parsed_source,
        fps=settings.fps,
        open_timeout_ms=settings.open_timeout_ms,
        read_timeout_ms=settings.read_timeout_ms,
        is_verbose=logger.isEnabledFor(logging.DEBUG),
    )
    tracker = Tracker(
        settings.k,
        settings.n,
        iou_threshold=settings.track_iou_threshold,
        max_missed=settings.track_max_missed,
    )
    return Lane(CameraProcess(plan), tracker)


def _has_ended(camera: CameraProcess) -> bool:
    """Return whether no more frames are to be expected of a camera."""
    gives_up = camera.failures >= GIVE_UP_FAILURES
    return camera.state is CameraState.ENDED or gives_up


def _nothing_from(cameras: tuple[CameraProcess, ...]) -> CameraError | None:
    """Return the error that names every camera that was lost, if any."""
    errors = [c.error() for c in cameras if c.state is CameraState.LOST]
    if len(errors) <= 1:
        return errors[0] if errors else None
    return CameraError(
        " ".join(error.what for error in errors),
        why=" ".join(error.why for error in errors),
        fix=" ".join(dict.fromkeys(error.fix for error in errors)),
    )
