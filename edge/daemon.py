"""The daemon: the only place where its parts are built and joined.

The order of the start matters. The outbox first: it refuses a second daemon. Then the
cameras' processes, which open their sources while the model is compiled; they hold
their frames back until the pipeline can inspect them. The shutdown is the reverse: no
more frames, decisions to the disk, events to the broker as far as time allows, and
the state ``disconnected`` last.
"""

import contextlib
import gc
import importlib.metadata
import logging
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.inspected_pictures import InspectedPictures
from edge.cameras.supervisor import CameraProcess
from edge.config.station import EdgeSettings
from edge.control.command_queue import PER_POLL, QUEUE_COMMANDS, CommandQueue
from edge.control.command_validation import Refused
from edge.control.reload import Configuration, ReloadRequest
from edge.control.signals import StopSignal
from edge.control.source_check import SourceCheck
from edge.delivery.evidence import EvidenceStore
from edge.delivery.home_assistant import HomeAssistantDiscovery
from edge.delivery.outbox.outbox import Outbox
from edge.delivery.published_cameras import PublishedCameras
from edge.delivery.publisher import Publisher
from edge.delivery.recorder import DecisionRecorder
from edge.inspection.camera_set import CameraSet, check_labels
from edge.inspection.model import LoadedModel, load_model_at_start, useful_streams
from edge.inspection.model_control import ModelControl
from edge.inspection.model_watch import ModelWatcher
from edge.inspection.pipeline import Pipeline
from edge.monitoring.metrics import DaemonMetrics
from edge.monitoring.metrics_server import MetricsServer
from edge.monitoring.status import DaemonStatus, StatusReporter, is_clock_synchronized
from edge.monitoring.systemd import Heartbeats, SystemdNotifier, WatchdogReporter
from edge.monitoring.thermal import ThermalMonitor
from models.commands import CommandRefusal, CommandVerb, ReloadCommand
from models.counted import agreeing, counted
from models.errors import CameraError, ConfigError, DeliveryError, GraftlineError
from models.messages import CameraState, DaemonState, StationStatus
from models.slot_files import SlotFolder
from models.topics import StationTopics

logger = logging.getLogger(__name__)

IDLE_WAIT_S = 0.1
SHUTDOWN_LIMIT_S = 10.0  # of a stop on request
# Failed starts in a row after which --exit-at-end counts a camera as ended.
START_FAILURES_MAX = 3
DELIVERY_POLL_S = 0.05
DRAIN_LIMIT_S = 2.0  # frames in flight, and the last status to the broker
CRITICAL_THREADS = ("outbox", "recorder", "publisher", "model-watch", "health")


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of one run of the daemon."""

    summary: dict[str, object]
    signal_number: int  # the signal that stopped it; 0 = its sources ended
    # what a person must know although it ended in order; None = nothing
    error: GraftlineError | None


def run_daemon(
    settings: EdgeSettings,
    *,
    config: Path,
    exits_at_end: bool,
    show_progress: Callable[[str], None],
) -> RunResult:
    """Run the daemon until its sources have ended or a signal stops it.

    Args:
        config: The file that it was read from; a reload reads it again.
        exits_at_end: End when every source has ended and everything is delivered.

    Returns:
        Summary, and what a person must know: a camera that never delivered, events
        that could not be delivered.

    Raises:
        ConfigError: A file that the configuration names cannot be used.
        DeliveryError: The outbox cannot be opened, or another daemon has it.
        InstallError: No model is installed, or it was not proven here.
        PackageError: The model is damaged or cannot be run.
    """
    started_s, stop, reload = time.monotonic(), StopSignal(), ReloadRequest()
    with stop.listening(), reload.listening(), contextlib.ExitStack() as clean_up:
        configuration = Configuration(config, settings)
        outbox = Outbox(
            settings.outbox.path, settings.station.topics, settings.outbox.max_bytes
        )
        outbox.start()
        clean_up.callback(outbox.close)
        evidence = EvidenceStore(settings.evidence.folder, settings.evidence.max_bytes)
        pictures = InspectedPictures(settings.outbox.path.parent)
        cameras = CameraSet(settings.camera, None if exits_at_end else pictures)
        clean_up.callback(cameras.stop)
        cameras.supervise(time.monotonic_ns())
        slot = SlotFolder(settings.model.slot)
        threads, streams_max = settings.model.threads, _streams_max(cameras)
        model = load_model_at_start(slot, threads, streams_max)
        check_labels(settings.camera, model)
        for channel in cameras.channels:
            channel.silent_rules(model)  # logged before the first frame
        cameras.set_bit_depth(model.bit_depth)
        daemon = _Daemon(
            configuration,
            outbox=outbox,
            evidence=evidence,
            cameras=cameras,
            model=model,
            signals=(stop, reload),
            show_progress=show_progress,
            started_s=started_s,
        )
        daemon.start(clean_up)
        daemon.inspect(exits_at_end=exits_at_end)
        return daemon.finish()


class _Daemon:
    """All parts of one run.

    Args:
        outbox: Started.
        cameras: Started; they hold their frames back.
        model: Loaded; the rules of all cameras fit its labels.
        signals: Set by SIGTERM or SIGINT, and by SIGHUP.
        started_s: Monotonic clock at the start of the run.
    """

    _reloading: "_Reload | None" = None  # whose new sources are being opened

    def __init__(
        self,
        configuration: Configuration,
        *,
        outbox: Outbox,
        evidence: EvidenceStore,
        cameras: CameraSet,
        model: LoadedModel,
        signals: tuple[StopSignal, ReloadRequest],
        show_progress: Callable[[str], None],
        started_s: float,
    ) -> None:
        settings = configuration.settings
        topics, boot_id, version = settings.station.topics, uuid.uuid4().hex, _version()
        self._started_s = started_s
        self._configuration, self._outbox = configuration, outbox
        self._cameras, self._show_progress = cameras, show_progress
        self._stop, self._reload = signals
        self._commands = CommandQueue(
            topics,
            cameras.trigger_timeout_ms,
            is_clock_synchronized,
            settings.evidence.folder,
        )
        will = StationStatus(state=DaemonState.LOST, boot_id=boot_id, version=version)
        self._publisher = Publisher(
            *(settings.broker, outbox, topics, will),
            commands=(topics.commands, self._commands.enqueue),
        )
        self._recorder = self._build_recorder(evidence, topics, boot_id)
        thermal = ThermalMonitor(settings.thermal)
        self._pipeline = Pipeline(
            model,
            cameras.channels,
            self._recorder,
            poll_commands=self._poll_commands,
            sheds_frames=lambda: thermal.sheds_frames,
        )
        self._model_watcher = ModelWatcher(
            settings.model, model.in_force.sha256, _streams_max(cameras)
        )
        self._models = self._build_model_control()
        self._published_cameras = self._build_published_cameras(topics)
        status = self._build_status(boot_id, version, thermal)
        self._status_reporter = StatusReporter(
            settings.health,
            status,
            self._publisher,
            thermal=thermal,
            health_file=SlotFolder(settings.model.slot).health,
            show_progress=show_progress,
        )
        self._home_assistant = self._build_home_assistant(topics, version)
        self._heartbeats = Heartbeats(
            {"outbox": lambda: outbox.turns, "recorder": lambda: self._recorder.turns}
        )
        self._watchdog = self._build_watchdog()
        self._metrics_server = self._build_metrics_server(status, thermal)

    def _build_recorder(
        self, evidence: EvidenceStore, topics: StationTopics, boot_id: str
    ) -> DecisionRecorder:
        return DecisionRecorder(
            *(evidence, self._outbox, topics, boot_id, is_clock_synchronized),
            on_inspected=self._cameras.note_inspected,
        )

    def _build_model_control(self) -> ModelControl:
        return ModelControl(
            self._model_watcher,
            self._pipeline,
            check=lambda model: check_labels(
                self._configuration.settings.camera, model
            ),
            on_swap=lambda model: self._cameras.set_bit_depth(model.bit_depth),
        )

    def _build_status(
        self, boot_id: str, version: str, thermal: ThermalMonitor
    ) -> DaemonStatus:
        return DaemonStatus(
            boot_id=boot_id,
            version=version,
            topics=self._configuration.settings.station.topics,
            pipeline=self._pipeline,
            outbox=self._outbox,
            waiting=self._publisher.waiting,
            part_faults=lambda: (
                self._pipeline.fault,
                self._pipeline.model.fault,
                self._model_watcher.fault,
                self._recorder.fault,
                self._publisher.alarm,
                self._configuration.fault,
                thermal.fault,
                self._metrics_server.fault,
                self._status_reporter.fault,
                self._watchdog.fault,
            ),
            trial=lambda: self._models.report,
            flashing=lambda: self._model_watcher.flashing,
            in_trial=lambda: self._model_watcher.in_trial,
            check_retired=self._published_cameras.check,
            temperature_c=lambda: thermal.hottest_c,
        )

    def _build_home_assistant(
        self, topics: StationTopics, version: str
    ) -> HomeAssistantDiscovery:
        settings = self._configuration.settings
        return HomeAssistantDiscovery(
            settings.home_assistant,
            topics,
            self._camera_names,
            lambda: self._published_cameras.gone,
            version,
            settings.outbox.path.parent,
            self._publisher,
        )

    def _build_published_cameras(self, topics: StationTopics) -> PublishedCameras:
        folder = self._configuration.settings.outbox.path.parent
        return PublishedCameras(
            topics, self._camera_names, folder, self._publisher, self._outbox.depth
        )

    def _camera_names(self) -> list[str]:
        return [camera.name for camera in self._cameras.cameras]

    def _build_watchdog(self) -> WatchdogReporter:
        return WatchdogReporter(
            SystemdNotifier.from_environment(),
            self._heartbeats,
            CRITICAL_THREADS,
            state=lambda: self._status_reporter.state,
            status_line=self._status_reporter.progress_line,
        )

    def _build_metrics_server(
        self, status: DaemonStatus, thermal: ThermalMonitor
    ) -> MetricsServer:
        settings = self._configuration.settings
        metrics = DaemonMetrics(
            status=status,
            publisher=self._publisher,
            state=lambda: self._status_reporter.state,
            stuck=lambda: self._watchdog.stuck,
            is_throttled=lambda: thermal.is_throttled,
            outbox_path=settings.outbox.path,
        )
        return MetricsServer(settings.metrics, metrics)

    def start(self, clean_up: contextlib.ExitStack) -> None:
        """Start the threads and let the cameras deliver frames.

        Args:
            clean_up: Stops what ``finish`` does not stop, also after an error.
        """
        self._metrics_server.start()
        clean_up.callback(self._metrics_server.stop)
        self._publisher.start()
        self._published_cameras.start()
        self._home_assistant.start()
        self._recorder.start()
        self._model_watcher.start()
        self._status_reporter.start()
        self._watchdog.start()  # last: it checks the threads of the others
        # What the start has made stays. Else each full search for cycles goes through
        # it again, 65,000 objects, and no frame is decided for 40 ms.
        gc.collect()
        gc.freeze()
        self._cameras.enable()
        logger.info("inspecting cameras=%d", len(self._cameras.cameras))

    def inspect(self, *, exits_at_end: bool) -> None:
        """Inspect frames until there is a reason to stop."""
        while not self._stop:
            self._cameras.supervise(time.monotonic_ns())
            self._heartbeats.beat("cameras")
            self._models.update()
            self._poll_commands()
            self._reload_if_requested()
            busy = self._pipeline.run_once()
            self._heartbeats.beat("inference")
            if busy == 0:
                is_idle = exits_at_end and self._pipeline.is_idle
                if is_idle and all(map(_has_ended, self._cameras.cameras)):
                    return
                self._pipeline.wait(IDLE_WAIT_S)

    def finish(self) -> RunResult:
        """Stop: write the remaining decisions, then deliver the written events."""
        deadline_s = time.monotonic() + SHUTDOWN_LIMIT_S
        logger.info("stopping reason=%s", self._stop_reason())
        self._watchdog.stop()
        self._cameras.stop()
        self._model_watcher.stop()
        self._models.close()
        self._poll_commands(QUEUE_COMMANDS)
        self._pipeline.drain(DRAIN_LIMIT_S)
        for channel in self._pipeline.channels:
            self._pipeline.abandon_parts(channel, "the daemon was stopped")
        self._recorder.close(SHUTDOWN_LIMIT_S / 2)
        delivery_error = self._wait_for_delivery()
        error = _lost_cameras_error(self._cameras.cameras) or delivery_error
        left_s = max(DRAIN_LIMIT_S, deadline_s - time.monotonic())
        limit_s = min(SHUTDOWN_LIMIT_S / 2, left_s) if self._stop else DRAIN_LIMIT_S
        self._home_assistant.stop()
        self._show_progress(self._status_reporter.progress_line())
        last_status = self._status_reporter.stop()
        self._published_cameras.stop()
        self._publisher.stop(last_status, limit_s)
        signal_number = self._stop.signal_number
        logger.info(
            "stopped reason=%s undelivered=%d not_written=%d seconds=%.1f",
            self._stop_reason(),
            self._publisher.undelivered(),
            self._recorder.unwritten,
            time.monotonic() - deadline_s + SHUTDOWN_LIMIT_S,
        )
        return RunResult(
            self._summary(), signal_number, None if signal_number else error
        )

    def _stop_reason(self) -> str:
        number = self._stop.signal_number
        return signal.Signals(number).name if number else "the sources ended"

    def _wait_for_delivery(self) -> DeliveryError | None:
        """Wait until everything is delivered; return why it is not if it stalls."""
        limit_s = self._configuration.settings.outbox.stalled_after_s
        before, changed_s = -1, time.monotonic()
        while not self._stop and (left := self._publisher.undelivered()):
            if left != before:
                before, changed_s = left, time.monotonic()
            if time.monotonic() - changed_s > limit_s:
                return self._delivery_error(left)
            time.sleep(DELIVERY_POLL_S)
        return self._delivery_error(0) if self._recorder.unwritten else None

    def _delivery_error(self, undelivered: int) -> DeliveryError:
        lost, outbox = self._recorder.unwritten, self._configuration.settings.outbox
        limit_s = outbox.stalled_after_s
        what = (
            f"{counted(undelivered, 'event')} "
            f"{agreeing(undelivered, 'is', 'are')} not delivered"
        )
        if lost:
            what += f", {lost} could not be written"
        return DeliveryError(
            f"{what} (outbox {outbox.path}).",
            why=self._publisher.problem or f"No acknowledgement for {limit_s:g} s.",
            fix="Start broker and collector, and run again: what is in the outbox "
            "is delivered then.",
        )

    def _summary(self) -> dict[str, object]:
        return {
            "state": self._status_reporter.state.value,
            "seconds": round(time.monotonic() - self._started_s, 3),
            "model": self._pipeline.model.in_force.model_dump(),
            "cameras": {
                channel.camera.name: channel.summary()
                for channel in self._pipeline.channels
            },
            "commands": {
                "accepted": dict(self._commands.accepted),
                "refused": self._commands.refused,
            },
            "outbox": {
                "stream": self._outbox.stream,
                "committed": self._outbox.last_seq,
                "delivered": self._publisher.delivered,
                "undelivered": self._publisher.undelivered(),
            },
        }

    def _poll_commands(self, limit: int = PER_POLL) -> None:
        """Execute commands that have arrived; a reload waits for the next round."""
        for topic, reply in self._commands.poll(self._pipeline.channels, limit):
            self._publisher.publish_state(topic, reply, retain=False)

    def _reload_if_requested(self) -> None:
        """Reload the configuration if a signal or a command requests it.

        Sources that are new are opened first, while the others inspect.
        """
        queue = self._commands.reloads
        if self._reloading is None:
            commands = [queue.popleft() for _ in range(len(queue))]
            if not self._reload.take() and not commands:
                return
            self._reloading = self._begin_reload(commands)
        if (reloading := self._reloading) and reloading.is_ready():
            self._reloading = None
            self._end_reload(reloading)

    def _begin_reload(self, commands: list[ReloadCommand]) -> "_Reload | None":
        """Read the whole file and start to open its new sources."""
        try:
            new = self._configuration.read()
            check_labels(new.camera, self._pipeline.model)
            sources = SourceCheck(self._configuration.settings.camera, new.camera)
        except ConfigError as error:
            self._configuration.refuse(error)
            self._answer_reload(commands, str(error))
            return None
        return _Reload(new, sources, commands)

    def _end_reload(self, reloading: "_Reload") -> None:
        """Put the whole file in force, or no part of it."""
        try:
            reloading.sources.refuse_lost()
            check_labels(reloading.new.camera, self._pipeline.model)
            reconnects = self._configuration.accept(reloading.new)
        except ConfigError as error:
            reloading.sources.stop()
            self._configuration.refuse(error)
            self._answer_reload(reloading.commands, str(error))
            return
        new = reloading.new
        # No frame of a replaced channel may be in flight when its parts are abandoned.
        self._pipeline.drain(DRAIN_LIMIT_S)
        for channel in self._cameras.swap(new.camera, reloading.sources.cameras):
            reason = "a reload changed or removed its camera"
            self._pipeline.abandon_parts(channel, reason)
        self._pipeline.swap_channels(self._cameras.channels)
        self._published_cameras.start()
        self._home_assistant.start()
        if reconnects:
            self._publisher.renew(new.broker)
        logger.info("reloaded cameras=%d connects_anew=%s", len(new.camera), reconnects)
        self._answer_reload(reloading.commands, "")

    def _answer_reload(self, commands: Sequence[ReloadCommand], fault: str) -> None:
        """Answer the commands of a reload; an empty fault is a success."""
        for command in commands:
            refused = None
            if fault:
                refused = Refused(CommandRefusal.NOT_POSSIBLE, fault, command.id)
            replies = self._commands.reply(CommandVerb.RELOAD, command, refused)
            for topic, reply in replies:
                self._publisher.publish_state(topic, reply, retain=False)


@dataclass(frozen=True, slots=True)
class _Reload:
    """A reload whose new sources are being opened."""

    new: EdgeSettings
    sources: SourceCheck
    commands: list[ReloadCommand]

    def is_ready(self) -> bool:
        """Return whether every new source has opened or failed."""
        return self.sources.supervise(time.monotonic_ns())


def _streams_max(cameras: CameraSet) -> int:
    return useful_streams([channel.inspects_parts for channel in cameras.channels])


def _version() -> str:
    try:
        return importlib.metadata.version("graftline")
    except importlib.metadata.PackageNotFoundError:
        return "source"  # run from a folder, not installed


def _has_ended(camera: CameraProcess) -> bool:
    has_failed = camera.failures >= START_FAILURES_MAX
    return camera.state is CameraState.ENDED or has_failed


def _lost_cameras_error(cameras: Sequence[CameraProcess]) -> CameraError | None:
    """Return the error that names every camera that is lost; None = no camera is."""
    errors = [c.error() for c in cameras if c.state is CameraState.LOST]
    if len(errors) <= 1:
        return errors[0] if errors else None
    return CameraError(
        " ".join(error.what for error in errors),
        why=" ".join(error.why for error in errors),
        fix=" ".join(dict.fromkeys(error.fix for error in errors)),
    )
