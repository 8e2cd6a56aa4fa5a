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
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.supervisor import CameraProcess
from edge.config.station import EdgeSettings
from edge.control.command_queue import PER_TURN, QUEUE_COMMANDS, CommandQueue
from edge.control.command_validation import Refused
from edge.control.reload import Configuration, ReloadRequest
from edge.control.signals import StopSignal
from edge.delivery.evidence import EvidenceStore
from edge.delivery.home_assistant import HomeAssistantDiscovery
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.publisher import Publisher
from edge.delivery.recorder import DecisionRecorder
from edge.inspection.camera_set import CameraSet, check_labels
from edge.inspection.model import ModelWatch, load_model, useful_streams
from edge.inspection.pipeline import Pipeline
from edge.monitoring.metrics import DaemonMetrics
from edge.monitoring.metrics_server import MetricsServer
from edge.monitoring.status import DaemonStatus, StatusReporter, is_clock_synchronized
from edge.monitoring.systemd import Heartbeat, SystemdNotifier, WatchdogReporter
from edge.monitoring.thermal import ThermalWatch
from models.commands import CommandRefusal, CommandVerb
from models.errors import CameraError, ConfigError, DeliveryError, GraftlineError
from models.messages import CameraState, DaemonState, StationStatus
from models.slot_files import SlotFolder
from models.topics import StationTopics

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


def run_daemon(
    settings: EdgeSettings,
    *,
    config: Path,
    exits_at_end: bool,
    tell: Callable[[str], None],
) -> RunResult:
    """Run the daemon until its sources have ended or it is told to stop.

    Args:
        settings: The configuration.
        config: The file that it was read from; a reload reads it anew.
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
    stop, reload = StopSignal(), ReloadRequest()
    with stop.listening(), reload.listening(), contextlib.ExitStack() as clean_up:
        configuration = Configuration(config, settings)
        daemon = _Daemon(configuration, stop, reload, tell, clean_up)
        daemon.inspect(exits_at_end=exits_at_end)
        return daemon.finish()


class _Daemon:
    """All parts of one run.

    Args:
        configuration: In force.
        stop: Set by a signal.
        reload: Set by a signal.
        tell: Takes a line for the person at the terminal.
        clean_up: Ends what was started, whatever happens.
    """

    def __init__(
        self,
        configuration: Configuration,
        stop: StopSignal,
        reload: ReloadRequest,
        tell: Callable[[str], None],
        clean_up: contextlib.ExitStack,
    ) -> None:
        settings, self._configuration = configuration.settings, configuration
        self._stop, self._reload, self._tell = stop, reload, tell
        self._started_s = time.monotonic()
        topics, boot_id = settings.station.topics, uuid.uuid4().hex
        version = _version()
        self._outbox = Outbox(settings.outbox.path, topics, settings.outbox.max_bytes)
        self._outbox.start()
        clean_up.callback(self._outbox.close)
        evidence = EvidenceStore(settings.evidence.folder, settings.evidence.max_bytes)
        self._lanes = CameraSet(settings.camera)
        clean_up.callback(self._lanes.stop)
        self._lanes.supervise(time.monotonic_ns())
        slot = SlotFolder(settings.model.slot)
        streams_max = useful_streams(
            [lane.makes_parts for lane in self._lanes.in_force]
        )
        model = load_model(slot, settings.model.threads, streams_max)
        check_labels(settings.camera, model)
        will = StationStatus(state=DaemonState.LOST, boot_id=boot_id, version=version)
        self._desk = CommandQueue(
            topics, self._lanes.trigger_timeout_ms, is_clock_synchronized
        )
        self._publisher = Publisher(
            *(settings.broker, self._outbox, topics, will),
            commands=(topics.commands, self._desk.receive),
        )
        self._recorder = DecisionRecorder(evidence, self._outbox, topics, boot_id)
        self._pipeline = Pipeline(model, self._lanes.in_force, self._recorder)
        self._pipeline.hear = self._hear
        self._watch = ModelWatch(settings.model, model.in_force.sha256, streams_max)
        vitals = DaemonStatus(
            boot_id=boot_id,
            version=version,
            topics=topics,
            slot=slot,
            pipeline=self._pipeline,
            recorder=self._recorder,
            outbox=self._outbox,
            watch=self._watch,
            publisher=self._publisher,
            configuration=configuration,
            thermal=ThermalWatch(settings.thermal),
        )
        self._health = StatusReporter(
            settings.health, vitals, self._publisher, self._tell
        )
        self._announcer = self._announced(topics, version)
        self._service, self._pulse = self._watched(vitals, clean_up)

    def _announced(self, topics: StationTopics, version: str) -> HomeAssistantDiscovery:
        """Return who announces the station to Home Assistant."""
        settings = self._configuration.settings
        return HomeAssistantDiscovery(
            settings.home_assistant,
            topics,
            lambda: [camera.name for camera in self._lanes.cameras],
            version,
            settings.outbox.path.parent,
            self._publisher,
        )

    def _watched(
        self, vitals: DaemonStatus, clean_up: contextlib.ExitStack
    ) -> tuple[WatchdogReporter, Heartbeat]:
        """Return who tells systemd, and the loops; open the figures."""
        pulse = Heartbeat(
            {
                "outbox": lambda: self._outbox.turns,
                "recorder": lambda: self._recorder.turns,
            }
        )
        service = WatchdogReporter(
            SystemdNotifier.from_environment(),
            pulse,
            LASTING_THREADS,
            state=lambda: self._health.state,
            line=self._health.progress_line,
        )
        settings = self._configuration.settings
        figures = DaemonMetrics(
            vitals=vitals,
            publisher=self._publisher,
            state=lambda: self._health.state,
            stuck=lambda: service.stuck,
            outbox_path=settings.outbox.path,
        )
        metrics = MetricsServer(settings.metrics, figures)
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
        self._lanes.admit_frames()
        logger.info("inspecting cameras=%d", len(self._lanes.cameras))
        while not self._stop:
            self._lanes.supervise(time.monotonic_ns())
            self._pulse.beat("cameras")
            self._swap_model()
            self._hear()
            self._reload_if_wanted()
            busy = self._pipeline.turn()
            self._pulse.beat("inference")
            if busy == 0:
                is_idle = exits_at_end and self._pipeline.is_idle
                if is_idle and all(map(_has_ended, self._lanes.cameras)):
                    return
                self._pipeline.wait(IDLE_WAIT_S)

    def finish(self) -> RunResult:
        """Stop in order: what was decided is written, what is written delivered."""
        deadline_s = time.monotonic() + DRAIN_LIMIT_S
        self._service.stop()
        self._lanes.stop()
        self._watch.stop()
        self._hear(QUEUE_COMMANDS)
        self._pipeline.drain(LAST_WORD_LIMIT_S)
        for lane in self._pipeline.lanes:
            self._pipeline.give_up(lane, "the daemon was stopped")
        self._recorder.close(DRAIN_LIMIT_S / 2)
        undelivered = self._undelivered()
        error = _nothing_from(self._lanes.cameras) or undelivered
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
        settings, publisher = self._configuration.settings, self._publisher
        limit_s = settings.outbox.stalled_after_s
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
        lost, outbox = self._recorder.unwritten, self._configuration.settings.outbox
        limit_s = outbox.stalled_after_s
        what = f"{undelivered} events are not delivered"
        if lost:
            what += f", {lost} could not be written"
        return DeliveryError(
            f"{what} (outbox {outbox.path}).",
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
            "cameras": {
                lane.camera.name: lane.summary() for lane in self._pipeline.lanes
            },
            "commands": {
                "accepted": dict(self._desk.accepted),
                "refused": self._desk.refused,
            },
            "outbox": {
                "stream": self._outbox.stream,
                "committed": self._outbox.last_seq,
                "delivered": self._publisher.delivered,
                "undelivered": self._publisher.undelivered(),
            },
        }

    def _hear(self, limit: int = PER_TURN) -> None:
        """Take commands that have arrived; a reload waits until the turn is over."""
        for topic, reply in self._desk.hear(self._pipeline.lanes, limit):
            self._publisher.publish_state(topic, reply, retain=False)

    def _reload_if_wanted(self) -> None:
        """Read the configuration anew if a signal or a command asks for it."""
        commands = [
            self._desk.reloads.popleft() for _ in range(len(self._desk.reloads))
        ]
        if not self._reload.take() and not commands:
            return
        fault = self._reload_now()
        for command in commands:
            refused = None
            if fault:
                refused = Refused(CommandRefusal.NOT_POSSIBLE, fault, command.id)
            for topic, reply in self._desk.answer(CommandVerb.RELOAD, command, refused):
                self._publisher.publish_state(topic, reply, retain=False)

    def _reload_now(self) -> str:
        """Put the file in force as a whole, or nothing of it; return why not."""
        try:
            fresh = self._configuration.read()
            check_labels(fresh.camera, self._pipeline.model)
            connects_anew = self._configuration.accept(fresh)
        except ConfigError as error:
            self._configuration.refuse(error)
            return str(error)
        self._pipeline.drain(LAST_WORD_LIMIT_S)
        for lane in self._lanes.swap(fresh.camera):
            self._pipeline.give_up(lane, "a reload changed or removed its camera")
        self._pipeline.lanes = self._lanes.in_force
        self._announcer.start()
        if connects_anew:
            self._publisher.renew(fresh.broker)
        logger.info(
            "reloaded cameras=%d connects_anew=%s", len(fresh.camera), connects_anew
        )
        return ""

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


def _has_ended(camera: CameraProcess) -> bool:
    """Return whether no more frames are to be expected of a camera."""
    gives_up = camera.failures >= GIVE_UP_FAILURES
    return camera.state is CameraState.ENDED or gives_up


def _nothing_from(cameras: Sequence[CameraProcess]) -> CameraError | None:
    """Return the error that names every camera that was lost, if any."""
    errors = [c.error() for c in cameras if c.state is CameraState.LOST]
    if len(errors) <= 1:
        return errors[0] if errors else None
    return CameraError(
        " ".join(error.what for error in errors),
        why=" ".join(error.why for error in errors),
        fix=" ".join(dict.fromkeys(error.fix for error in errors)),
    )
