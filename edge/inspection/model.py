"""A model of the slot, loaded: verified, compiled, and ready to inspect.

Only a model that flashing has proved on this machine runs: variant, precision and the
number of streams come from ``proof.json``. Where the machine has changed since, see
``proven_mode``. A package without a proof is not run.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from edge.frame import ScoreMap
from edge.inspection.heat_map import heat_map_of
from edge.inspection.known_defects import known_defects
from edge.inspection.proven_mode import proven_mode
from edge.rules.coverage import KnownDefects
from models.backends import open_detector
from models.boxes import FloatArray
from models.detections import Detections
from models.detector import Detector, Tiling, decode_output
from models.errors import GraftlineError, InstallError, PackageError
from models.inference import Inference, open_requests
from models.machine import Platform, this_platform
from models.manifest import MANIFEST_NAME
from models.messages import REASON_MAX_CHARS, ModelInForce, ModelProof
from models.package import Package, open_package
from models.postprocess import DecisionRule
from models.preprocess import Letterbox
from models.slot_files import Proof, ProofFile, SlotFolder, read_file

FLASH_IT = "Run `graftline flash PACKAGE local:{root}`."
STREAMS_MAX = 64  # flashing never measures more
logger = logging.getLogger(__name__)


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
    unknown: int | None = None  # label of what no class names
    proof: ModelProof | None = None  # what its self-test found on this machine
    fault: str = ""  # why it does not run as flashing has proved; empty = it does

    @property
    def decision_rule(self) -> DecisionRule:
        """The package's own rule."""
        return DecisionRule(self.score_thresholds, self.cross_class_iou, self.unknown)

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

    def heat_map(self, output: FloatArray, letterbox: Letterbox) -> ScoreMap | None:
        """Return the scores of ``unknown`` over one frame; None = there are none.

        Args:
            output: ``[4 + C, A]``, from one of the requests, finite.
        """
        if self.unknown is None:
            return None
        tiles = self.detector.tiles if isinstance(self.detector, Tiling) else None
        return heat_map_of(output, self.unknown, letterbox, tiles)


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
    if not slot.exists:
        raise InstallError(
            f"{slot.root}: there is no slot folder.",
            why="It does not exist; the disk that holds it may not be mounted.",
            fix=f"Mount that disk, correct [model] slot, or {FLASH_IT[0].lower()}"
            f"{FLASH_IT[1:].format(root=slot.root)}",
        )
    sha256 = slot.package_of(slot.current)
    if not sha256:
        raise InstallError(
            f"{slot.root}: no model is installed.",
            why="There is no link `current` in this slot folder.",
            fix=FLASH_IT.format(root=slot.root),
        )
    return load_stored_model(slot, sha256, threads, streams_max)


def load_model_at_start(
    slot: SlotFolder, threads: int, streams_max: int = 1
) -> LoadedModel:
    """Return the model in force, or the previous one where that one is damaged.

    A line that inspects with yesterday's model is better than one that does not
    inspect. ``ModelWatcher`` then reports that the model in force does not run.

    Args:
        slot: As in ``load_model``, with the other arguments.

    Raises:
        InstallError: Nothing is installed, or without a proof on this machine.
        PackageError: The package is damaged or cannot be run, and there is no previous
            one that can.
    """
    try:
        return load_model(slot, threads, streams_max)
    except PackageError as error:
        previous = slot.package_of(slot.previous)
        if not previous or previous == slot.package_of(slot.current):
            raise
        try:
            model = load_stored_model(slot, previous, threads, streams_max)
        except GraftlineError:
            raise error from None  # the model in force is what is to be repaired
        # Without a traceback: an expected failure, its text is complete.
        logger.error(  # noqa: TRY400
            "model_damaged previous_runs=%s reason=%s", previous[:12], error
        )
        return model


def load_stored_model(
    slot: SlotFolder,
    sha256: str,
    threads: int,
    streams_max: int = 1,
    here: Platform | None = None,
) -> LoadedModel:
    """Return the model of a package in the slot, verified and compiled.

    Args:
        sha256: The package; the others are as in ``load_model``.
        here: This machine; None = it is read now.

    Raises:
        InstallError: It has no proof on this machine.
        PackageError: It is damaged or cannot be run.
    """
    package = _open_stored(slot, sha256)
    known = read_file(slot.proof, ProofFile)
    proof = known.proofs.get(sha256) if known else None
    if proof is None or not proof.chosen.passed:
        raise InstallError(
            f"{slot.root}: model {package.manifest.name} build "
            f"{package.manifest.build} has no proof on this machine.",
            why="Only a package that reproduced its golden frames here is run.",
            fix=FLASH_IT.format(root=slot.root),
        )
    manifest = package.manifest
    mode = proven_mode(package, proof, here or this_platform(), threads)
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
        manifest.thresholds.unknown_in(manifest.labels),
        _proof_message(proof),
        mode.fault,
    )


def _open_stored(slot: SlotFolder, sha256: str) -> Package:
    """Return a package of the slot, verified; its errors name what helps here."""
    folder, fix = slot.store / sha256, FLASH_IT.format(root=slot.root)
    try:
        return open_package(folder, sha256=sha256)
    except PackageError as error:
        if (folder / MANIFEST_NAME).is_file():
            raise PackageError(error.what, why=error.why, fix=fix) from error
        raise PackageError(
            f"{folder}: the package in force is not there.",
            why="It was removed from the slot, or only a part of the slot was copied.",
            fix=fix,
        ) from error


def _proof_message(proof: Proof) -> ModelProof:
    mode = proof.chosen
    return ModelProof(
        at=proof.at,
        machine=proof.machine[:REASON_MAX_CHARS],
        golden_frames=proof.golden_frames,
        precision_hint=mode.precision_hint.value,
        streams=mode.streams,
        latency_ms_p50=mode.latency_ms_p50,
        latency_ms_p99=mode.latency_ms_p99,
    )


def useful_streams(are_triggered: Sequence[bool]) -> int:
    """Return how many frames are useful in flight at the same time.

    One camera in free run needs each output as soon as possible: one frame at a time.
    A part's frame stays valid, so for parts throughput matters more than latency.
    """
    return STREAMS_MAX if any(are_triggered) else len(are_triggered)
