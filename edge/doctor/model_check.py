"""Whether the installed model loads and still reproduces its golden frames."""

import time

from edge.config.station import ModelSettings
from edge.doctor.check_result import CheckResult, Grade
from edge.inspection.model import load_model
from models.errors import PackageError
from models.golden import read_golden, run_golden
from models.manifest import MANIFEST_NAME
from models.package import open_package, read_manifest
from models.pictures import FULL_DEPTH
from models.slot_files import ProofFile, SlotFolder, read_file

GOLDEN_LIMIT_S = 1.0  # flashing ran every golden frame; a few are enough here
CHECK = "model"


def bit_depth_in_force(settings: ModelSettings) -> int | None:
    """Return how the package in force reads deep pictures, see ``InputInfo``.

    Where there is no readable package, all bits count: the check of the model reports
    it, and the cameras are checked nevertheless.
    """
    try:
        manifest = read_manifest(SlotFolder(settings.slot).current / MANIFEST_NAME)
    except PackageError:
        return FULL_DEPTH
    return manifest.input.bit_depth


def check_model(settings: ModelSettings) -> CheckResult:
    """Load the model in force and run a few golden frames.

    Raises:
        GraftlineError: It cannot be run, or does not reproduce a golden frame.
    """
    slot = SlotFolder(settings.slot)
    started_s = time.monotonic()
    model = load_model(slot, settings.threads)
    loaded_s = time.monotonic() - started_s
    name = f"{model.in_force.name} build {model.in_force.build}"
    sha256 = model.in_force.sha256
    package = open_package(slot.store / sha256, sha256=sha256)
    known = read_file(slot.proof, ProofFile)
    if known is None:  # removed since load_model read it
        raise PackageError(f"{slot.proof}: removed.", fix="Flash the package again.")
    mode = known.proofs[package.sha256].chosen
    tolerance = package.variant(mode.variant).tolerances[mode.precision_hint]
    # Frames with the most detections first: an empty one proves little.
    pairs = sorted(read_golden(package), key=lambda pair: -len(pair[0].detections))
    started_s, frames, spent_s = time.monotonic(), 0, 0.0
    while frames < len(pairs) and spent_s < GOLDEN_LIMIT_S:
        pair = pairs[frames]
        result = run_golden(model.detector, [pair], package.manifest, tolerance)
        if not result.passed:
            raise PackageError(
                f"{name} does not reproduce its golden frames: {result.faults[0]}.",
                why="It did when it was flashed; memory, disk or runtime changed.",
                fix="Flash the package again; check the machine if that fails too.",
            )
        frames, spent_s = frames + 1, time.monotonic() - started_s
    frame_ms = spent_s / frames * 1000
    what = f"{name}, {mode.variant.value} {mode.precision_hint}: "
    what += f"{frames} golden frames as expected, {frame_ms:.0f} ms each"
    figures = {"load_s": round(loaded_s, 2), "frame_ms": round(frame_ms, 1)}
    return CheckResult(CHECK, Grade.OK, what, figures=figures)
