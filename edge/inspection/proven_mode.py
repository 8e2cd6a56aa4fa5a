"""How a model is run on this machine: as flashing has proved, if that still holds.

A disk may be copied to another line PC, a virtual machine may move, and a runtime may
be updated: the same graph then gives other numbers, or none that are finite. Where the
machine is not the one of the proof, the golden frames are run before the first frame of
the line.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from models.backends import open_detector
from models.errors import PackageError
from models.golden import GoldenFrame, read_golden, run_golden
from models.machine import Platform
from models.manifest import PrecisionHint, VariantName
from models.package import Package
from models.preprocess import Frame
from models.slot_files import Proof, RunMode

RunModeName = tuple[VariantName, PrecisionHint]
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProvenMode:
    """A run mode that reproduces the golden frames on this machine.

    Attributes:
        streams: Pictures at the same time that pay here.
        fault: Why it is not the one that flashing chose; empty = it is.
    """

    variant: VariantName
    precision_hint: PrecisionHint
    streams: int
    fault: str = ""


def proven_mode(
    package: Package, proof: Proof, here: Platform, threads: int
) -> ProvenMode:
    """Return how to run a package on this machine.

    Args:
        package: Verified.
        proof: What flashing found; perhaps on another machine.
        here: This machine. Where it is that of the proof, no frame is run.
        threads: Threads of inference, 0 = all cores.

    Raises:
        PackageError: No run mode reproduces the golden frames here.
    """
    chosen = proof.chosen
    changes = "; ".join(proof.differences(here))
    if not proof.runtimes:  # of an earlier version: the runtime may be another one
        changes = changes or "perhaps other runtimes, which the proof does not state"
    if not changes:
        return ProvenMode(chosen.variant, chosen.precision_hint, chosen.streams)
    logger.warning("machine_changed: golden frames are run, it has %s", changes)
    pictures, faults = read_golden(package), list[str]()
    for variant, hint in _run_modes(package, proof):
        fault = _golden_fault(package, (variant, hint), pictures, threads)
        if not fault:
            is_chosen = (variant, hint) == (chosen.variant, chosen.precision_hint)
            logger.info("golden_frames_reproduced variant=%s hint=%s", variant, hint)
            return _described(variant, hint, chosen, "" if is_chosen else faults[0])
        logger.error("golden_frames_missed variant=%s hint=%s %s", variant, hint, fault)
        faults.append(f"{variant} {hint}: {fault}")
    manifest = package.manifest
    raise PackageError(
        f"model {manifest.name} build {manifest.build} does not reproduce its golden "
        "frames on this machine.",
        why=f"It was proved on another one; this one has {changes}. {faults[0]}.",
        fix="Flash the package again; if that fails, pack the run again with another "
        "variant.",
    )


def _described(
    variant: VariantName, hint: PrecisionHint, chosen: RunMode, fault: str
) -> ProvenMode:
    if not fault:
        return ProvenMode(variant, hint, chosen.streams)
    text = (
        f"the model runs as {variant} {hint}, slower perhaps: on this machine {fault}. "
        "Fix: flash the package again"
    )
    return ProvenMode(variant, hint, 1, text)


def _run_modes(package: Package, proof: Proof) -> Iterator[RunModeName]:
    """Yield the chosen run mode, the others that passed, then those that did not."""
    passed = sorted(
        (mode for mode in proof.modes if mode.passed),
        key=lambda mode: mode.latency_ms_p50,
    )
    known = [(m.variant, m.precision_hint) for m in (proof.chosen, *passed)]
    allowed = [
        (name, hint)
        for name, variant in package.manifest.variants.items()
        for hint in variant.tolerances
    ]
    for name, hint in dict.fromkeys([*known, *allowed]):
        if (name, hint) not in allowed:
            continue
        if hint is not PrecisionHint.BF16 or _has_bf16():
            yield name, hint


def _has_bf16() -> bool:
    from models.openvino_detector import supports_bf16  # noqa: PLC0415 (lazy)

    return supports_bf16()


def _golden_fault(
    package: Package,
    mode: RunModeName,
    pictures: list[tuple[GoldenFrame, Frame]],
    threads: int,
) -> str:
    """Return the first golden frame that a run mode misses; empty = none."""
    variant, hint = mode
    tolerance = package.variant(variant).tolerances[hint]
    try:
        detector = open_detector(package, variant, hint, threads)
        result = run_golden(detector, pictures, package.manifest, tolerance)
    # ValueError: the output has another shape than the contract's.
    except (PackageError, ValueError) as exc:
        return str(exc) or type(exc).__name__
    return "" if result.passed else result.faults[0]
