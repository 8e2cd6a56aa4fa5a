"""The model in force: loaded from the slot, and swapped when flashing switches it.

What runs is what flashing proved on this machine: variant, precision and the number of
streams come from ``proof.json``. A package without a proof is not run. A new one is
opened, verified and compiled in a thread of its own while the old one goes on; the
pipeline takes it between two frames. If it cannot be opened, the old one stays.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from edge.config.station import ModelSettings
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


@dataclass(slots=True)
class LoadedModel:
    """A model that is ready to inspect. Used by one thread.

    Attributes:
        detector: The graph.
        labels: Names of its labels.
        score_thresholds: ``[C]`` float32.
        iou_threshold: Overlap at which NMS drops a box.
        in_force: What messages say of it.
        requests: What may be on its way through the graph at the same time.
    """

    detector: Detector
    labels: tuple[str, ...]
    score_thresholds: FloatArray
    iou_threshold: float
    in_force: ModelInForce
    requests: tuple[Inference, ...]

    def decode(
        self,
        output: FloatArray,
        box: Letterbox,
        score_thresholds: FloatArray | None = None,
    ) -> Detections:
        """Return what the graph found in one frame, as ``models.detector.detect`` does.

        Args:
            output: From one of the requests.
            box: How the frame was put into its input.
            score_thresholds: ``[C]`` float32 where not the package's own hold.

        Returns:
            Detections with ``boxes_frame``.

        Raises:
            PackageError: The output is not finite.
        """
        found = decode_output(
            self.detector,
            output,
            self.score_thresholds if score_thresholds is None else score_thresholds,
            iou_threshold=self.iou_threshold,
        )
        return Detections(box.boxes_to_frame(found.boxes), found.scores, found.labels)


def load_model(slot: SlotFolder, threads: int, streams_max: int = 1) -> LoadedModel:
    """Return the model that ``current`` names, verified and compiled.

    Args:
        slot: Folder that flashing installs into.
        threads: Threads of inference, 0 = all cores.
        streams_max: Most pictures that can be of use at the same time.

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
    package = open_package(slot.store / sha256)
    known = read_file(slot.proof, ProofFile)
    proof = known.proofs.get(package.sha256) if known else None
    if package.sha256 != sha256 or proof is None or not proof.chosen.passed:
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
    for request in requests:  # the first run is slow: not at the cost of a frame
        request.start(_nothing)
        request.take()
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
    )


def useful_streams(are_triggered: Sequence[bool]) -> int:
    """Return how many frames it pays to look at at the same time.

    One camera in free run wants each answer as soon as possible; parts do not grow
    old, and want as many answers as possible.

    Args:
        are_triggered: Of every camera, whether its frames are parts.
    """
    return STREAMS_MAX if any(are_triggered) else len(are_triggered)


class ModelWatch:
    """Watches the slot and has a new model ready when flashing switched.

    Args:
        settings: Slot and threads.
        running: SHA-256 of the package that runs.
        streams_max: Of ``load_model``.

    Attributes:
        fault: Why the model that flashing wants does not run; empty else.
    """

    def __init__(
        self, settings: ModelSettings, running: str, streams_max: int = 1
    ) -> None:
        self.fault = ""
        self._settings, self._streams_max = settings, streams_max
        self._slot = SlotFolder(settings.slot)
        self._latest = running
        self._refused = ("", 0)  # package, and time of the proofs it was judged by
        self._fresh: queue.SimpleQueue[LoadedModel] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="model-watch", daemon=True
        )

    def start(self) -> None:
        """Start to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop to watch."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_LIMIT_S)

    def take(self) -> LoadedModel | None:
        """Return a new model, once; nothing while there is none."""
        with contextlib.suppress(queue.Empty):
            return self._fresh.get_nowait()
        return None

    def _run(self) -> None:
        """Look again and again."""
        while not self._stop.wait(self._settings.poll_interval_s):
            try:
                self._look()
            # The top of the thread: the old model goes on, whatever is wrong.
            except Exception as error:
                logger.exception("model_watch_failed slot=%s", self._slot.root)
                self.fault = f"model: {type(error).__name__}"

    def _look(self) -> None:
        """Load what ``current`` names if that is new."""
        wanted = self._slot.package_of(self._slot.current)
        if not wanted or wanted == self._latest:
            self.fault, self._refused = "", ("", 0)
            return
        proofs = self._slot.proof
        judged_by = proofs.stat().st_mtime_ns if proofs.exists() else 0
        if (wanted, judged_by) == self._refused:
            return
        try:
            self._fresh.put(
                load_model(self._slot, self._settings.threads, self._streams_max)
            )
        except GraftlineError as error:
            self.fault, self._refused = (
                f"model {wanted[:12]} refused",
                (wanted, judged_by),
            )
            # Without a traceback: an expected failure, told in full.
            logger.error("model_refused sha256=%s reason=%s", wanted[:12], error)  # noqa: TRY400
            return
        self.fault, self._latest = "", wanted


def _nothing() -> None:
    """Take the word that a run has ended where somebody waits for it anyway."""
