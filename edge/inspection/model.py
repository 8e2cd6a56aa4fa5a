"""The model in force: loaded from the slot, and swapped when flashing switches it.

Only a model that flashing has proved on this machine runs: variant, precision and the
number of streams come from ``proof.json``. A package without a proof is not run. A new
model is opened, verified and compiled in a separate thread while the old one inspects;
the pipeline switches between two frames. If it cannot be opened, the old one stays.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from edge.config.station import ModelSettings
from edge.inspection.known_defects import known_defects
from edge.rules.coverage import KnownDefects
from models.backends import open_detector
from models.boxes import FloatArray
from models.detections import Detections
from models.detector import Detector, decode_output
from models.errors import GraftlineError, InstallError
from models.inference import Inference, open_requests
from models.messages import ModelInForce
from models.package import open_package
from models.preprocess import Letterbox
from models.slot_files import ProofFile, SlotFolder, read_file

logger = logging.getLogger(__name__)

FLASH_IT = "Run `graftline flash PACKAGE local:{root}`."
STOP_LIMIT_S = 5.0
STREAMS_MAX = 64  # flashing never measures more
NO_REFUSAL = ("", 0)


@dataclass(slots=True)
class LoadedModel:
    """A model that is ready to inspect. Used by one thread."""

    detector: Detector
    labels: tuple[str, ...]
    score_thresholds: FloatArray  # [C] float32, the package's own
    iou_threshold: float
    in_force: ModelInForce  # its description in messages
    requests: tuple[Inference, ...]  # as many as may be in flight at the same time
    known: tuple[KnownDefects, ...]  # its labelled defects, one for each label
    bit_depth: int | None = None  # of pictures above 8 bits; None = they are refused
    # overlap from which boxes of two labels are one defect; None = they never are
    cross_class_iou: float | None = None

    def decode(
        self, output: FloatArray, letterbox: Letterbox, score_thresholds: FloatArray
    ) -> Detections:
        """Return the detections of one frame, as ``models.detector.detect`` does.

        Args:
            output: ``[4 + C, A]``, from one of the requests.
            score_thresholds: ``[C]`` float32.

        Raises:
            PackageError: The output is not finite.
        """
        found = decode_output(
            self.detector, output, score_thresholds, iou_threshold=self.iou_threshold
        )
        boxes_frame = letterbox.boxes_to_frame(found.boxes)
        return Detections(boxes_frame, found.scores, found.labels)


def load_model(slot: SlotFolder, threads: int, streams_max: int = 1) -> LoadedModel:
    """Return the model that ``current`` names, verified and compiled.

    Args:
        slot: Folder that flashing installs into.
        threads: Threads of inference, 0 = all cores.
        streams_max: Most frames that are useful in flight at the same time.

    Raises:
        InstallError: Nothing is installed, or without a proof on this machine.
        PackageError: The package is damaged or cannot be run.
    """
    fix = FLASH_IT.format(root=slot.root)
    sha256 = slot.package_of(slot.current)
    if not sha256:
        raise InstallError(
            f"{slot.root}: no model is installed.",
            why="There is no link `current` in this slot folder.",
            fix=fix,
        )
    package = open_package(slot.store / sha256, sha256=sha256)
    known = read_file(slot.proof, ProofFile)
    proof = known.proofs.get(sha256) if known else None
    if proof is None or not proof.chosen.passed:
        raise InstallError(
            f"{slot.root}: model {package.manifest.name} build "
            f"{package.manifest.build} has no proof on this machine.",
            why="Only a package that reproduced its golden frames here is run.",
            fix=fix,
        )
    manifest, mode = package.manifest, proof.chosen
    streams = min(mode.streams, streams_max, threads or mode.streams)
    detector = open_detector(
        package, mode.variant, mode.precision_hint, threads, streams
    )
    requests = open_requests(detector, streams)
    for request in requests:  # the first run is slow: no frame should wait for it
        request.start(lambda: None)
        request.result()
    return LoadedModel(
        detector,
        manifest.labels,
        manifest.score_thresholds(),
        manifest.thresholds.iou_threshold,
        ModelInForce(
            name=manifest.name,
            build=manifest.build,
            sha256=package.sha256,
            variant=mode.variant.value,
        ),
        requests,
        known_defects(package),
        manifest.input.bit_depth,
        manifest.thresholds.cross_class_iou,
    )


def useful_streams(are_triggered: Sequence[bool]) -> int:
    """Return how many frames are useful in flight at the same time.

    One camera in free run needs each output as soon as possible: one frame at a time.
    A part's frame stays valid, so for parts throughput matters more than latency.
    """
    return STREAMS_MAX if any(are_triggered) else len(are_triggered)


class ModelWatcher:
    """Watches the slot and loads a new model when flashing switched.

    Args:
        running: SHA-256 of the package that runs.
        streams_max: As in ``load_model``.

    Attributes:
        fault: Why the model that flashing switched to does not run; empty = it runs.
    """

    def __init__(
        self, settings: ModelSettings, running: str, streams_max: int = 1
    ) -> None:
        self.fault = ""
        self._settings, self._streams_max = settings, streams_max
        self._slot = SlotFolder(settings.slot)
        self._latest = running
        # Package, and modification time of the proofs: a new proof is tried again.
        self._refused = NO_REFUSAL
        self._loaded: queue.SimpleQueue[LoadedModel] = queue.SimpleQueue()
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

    def _run(self) -> None:
        while not self._stop.wait(self._settings.poll_interval_s):
            try:
                self._check()
            # The top of the thread: the old model keeps running after any fault.
            except Exception as error:
                logger.exception("model_watch_failed slot=%s", self._slot.root)
                self.fault = f"model: {type(error).__name__}"

    def _check(self) -> None:
        wanted = self._slot.package_of(self._slot.current)
        if not wanted or wanted == self._latest:
            self.fault, self._refused = "", NO_REFUSAL
            return
        proofs = self._slot.proof
        proofs_changed_ns = proofs.stat().st_mtime_ns if proofs.exists() else 0
        if (wanted, proofs_changed_ns) == self._refused:
            return
        try:
            self._loaded.put(
                load_model(self._slot, self._settings.threads, self._streams_max)
            )
        except GraftlineError as error:
            self.fault = f"model {wanted[:12]} refused"
            self._refused = (wanted, proofs_changed_ns)
            # Without a traceback: an expected failure, its text is complete.
            logger.error("model_refused sha256=%s reason=%s", wanted[:12], error)  # noqa: TRY400
            return
        self.fault, self._latest = "", wanted
