"""Reads the state of a line PC from its slot files; writes nothing."""

import stat
from datetime import UTC, datetime
from pathlib import Path

from deploy.links import user_name
from deploy.results import PackageName, StatusReport
from deploy.store import PackageStore
from deploy.target import FlashTarget
from models.errors import InstallError, PackageError
from models.machine import machine_name, this_platform
from models.slot_files import (
    AnyFile,
    Health,
    ProofFile,
    RefusedFile,
    RefusedPackage,
    SlotFolder,
    SlotRecord,
    read_file,
)
from models.slot_states import SlotState

HEALTH_IS_OLD_S = 30.0  # the daemon writes health.json every few seconds
FLASH_AGAIN = "Fix: Flash the package again."


def read_status(target: FlashTarget) -> StatusReport:
    """Return what a line PC runs, and its faults.

    Raises:
        InstallError: There is no slot folder, or it cannot be read.
    """
    slot = target.slot
    if not slot.exists:
        raise InstallError(
            f"{target.name}: there is no line PC in {slot.root}.",
            why="The folder does not exist.",
            fix="Flash a package there first, or correct the path.",
        )
    faults: list[str] = []
    record = _read(slot.state, SlotRecord, faults)
    proofs = _read(slot.proof, ProofFile, faults)
    health = _read(slot.health, Health, faults)
    current = slot.package_of(slot.current)
    proof = proofs.proofs.get(current) if proofs else None
    if proof and proof.machine != machine_name():
        faults.append(f"tested on another machine: {proof.machine}")
    elif proof and (changes := proof.differences(this_platform())):
        faults.append(
            f"tested before this machine changed: it has {'; '.join(changes)}. "
            f"{FLASH_AGAIN}"
        )
    if current and proofs and not proof:
        faults.append(f"{slot.proof}: no proof of the package in force. {FLASH_AGAIN}")
    if record and record.state is SlotState.COMMITTED:
        faults += _link_faults(slot, record, current)
    return StatusReport(
        target=target.name,
        state=record.state if record else SlotState.IDLE,
        state_sha256=record.package_sha256 if record else "",
        reason=record.reason if record else "",
        since=record.at if record else None,
        current=_package(target, slot.current, faults),
        previous=_package(target, slot.previous, faults),
        trial=_package(target, slot.trial, faults),
        refused=_refused(slot, faults),
        proof=proof,
        health=health,
        health_age_s=_age_s(health),
        no_health="" if health else _no_health(slot),
        faults=tuple(faults),
    )


def _no_health(slot: SlotFolder) -> str:
    """Return why there may be no report of a daemon."""
    try:
        state = slot.root.stat()
    except OSError:
        return "has never run here"
    owner, mode = user_name(state.st_uid), stat.S_IMODE(state.st_mode)
    return (
        "has never run here, or may not write its report: the slot belongs to "
        f"{owner} (mode {mode:04o})"
    )


def _refused(slot: SlotFolder, faults: list[str]) -> tuple[RefusedPackage, ...]:
    file = _read(slot.refused, RefusedFile, faults)
    packages = file.packages.values() if file else ()
    return tuple(sorted(packages, key=lambda each: each.at, reverse=True))


def _link_faults(slot: SlotFolder, record: SlotRecord, current: str) -> list[str]:
    """Return a fault where the link names another package than the last flash did."""
    if record.package_sha256 == current:
        return []
    fault = (
        f"{slot.state}: the last flash put {record.package_sha256[:12] or 'nothing'} "
        f"in force, `current` names {current[:12] or 'nothing'}: it was changed by "
        f"hand, or a rollback was interrupted. {FLASH_AGAIN}"
    )
    return [fault]


def _read(path: Path, layout: type[AnyFile], faults: list[str]) -> AnyFile | None:
    """Return a slot file; None and a fault if it is damaged."""
    try:
        return read_file(path, layout)
    except InstallError as exc:
        faults.append(str(exc))
        return None


def _package(target: FlashTarget, link: Path, faults: list[str]) -> PackageName | None:
    """Return the package that a link names, after its files were verified."""
    sha256 = target.slot.package_of(link)
    if not sha256:
        return None
    store = PackageStore(target.slot.store)
    try:
        return PackageName.of(store.open(sha256))
    except PackageError as exc:
        faults.append(f"{link.name}: {exc}")
        return None


def _age_s(health: Health | None) -> float | None:
    """Return the age of ``health.json``; 0 if its time is in the future."""
    if health is None:
        return None
    return max(0.0, round((datetime.now(UTC) - health.at).total_seconds(), 1))
