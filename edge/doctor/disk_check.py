"""Whether the daemon's folders are writable, have space, and the outbox is intact."""

import fcntl
import os
import pwd
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from edge.config.station import EdgeSettings
from edge.doctor.check_result import CheckResult, Grade
from models.counted import agreeing, counted
from models.errors import ConfigError, DeliveryError
from models.files import is_changeable_by_others, is_open_to_others

FREE_MIN_BYTES = 64 << 20  # below this, evidence and outbox stop within hours
INODES_MIN = 1000
STEPS_PER_CLOCK_CHECK = 10_000  # virtual machine instructions of SQLite
CHECK = "disk"


def check_folder(name: str, folder: Path, wanted_bytes: int) -> CheckResult:
    """Check whether a folder of the daemon is writable and has space.

    Args:
        folder: The daemon creates it if it does not exist.
        wanted_bytes: Largest size that the configuration allows for its content.

    Raises:
        ConfigError: It cannot be written.
    """
    check = f"{CHECK} {name}"
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
        space = os.statvfs(existing)
    except OSError as exc:
        raise ConfigError(
            f"{folder}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Make it writable for the user of the daemon, or free space.",
        ) from exc
    free_bytes = space.f_bavail * space.f_frsize
    figures = {"room_bytes": float(free_bytes), "inodes": float(space.f_favail)}
    what = f"{folder}: {free_bytes / 1e9:.1f} GB free"
    if free_bytes < FREE_MIN_BYTES or (space.f_files and space.f_favail < INODES_MIN):
        why = f"Less than {FREE_MIN_BYTES >> 20} MiB or {INODES_MIN} files are left."
        fix, code = "Free space on the disk.", DeliveryError.exit_code
        return CheckResult(check, Grade.FAIL, what, why, fix, code, figures)
    if free_bytes < wanted_bytes:
        why = f"The configuration lets it grow to {wanted_bytes / 1e9:.1f} GB."
        fix = "Free space, or set a smaller max_bytes."
        return CheckResult(check, Grade.WARN, what, why, fix, figures=figures)
    return CheckResult(check, Grade.OK, what, figures=figures)


def check_private_files(settings: EdgeSettings, config: Path) -> CheckResult:
    """Check who may read alerts, pictures and logins, or change slot and settings.

    Args:
        config: The file of these settings.
    """
    check = f"{CHECK} rights"
    outbox, evidence = settings.outbox.path, settings.evidence.folder
    faults, fixes = [], []
    has_login = any(camera.source.has_login for camera in settings.camera)
    if has_login and is_open_to_others(config):
        faults.append(f"Other users may read {config}, with the login of a camera.")
        fixes.append(f"chmod go= {config}, owned by the user of the daemon")
    for path in (outbox, evidence):
        if is_open_to_others(path):
            faults.append(f"Other users may read {path}.")
            fixes.append(f"chmod go= {path}")
    slot, model = settings.model.slot, "the model in force"
    for path, content in (
        (config, "the configuration"),
        *((slot, model), (slot / "store", model)),
    ):
        if is_changeable_by_others(path):
            faults.append(f"Other users may change {path}, and so {content}.")
            fixes.append(f"chmod go-w {path}")
    daemon = _owner_of(outbox) if outbox.exists() else None
    if slot.exists() and daemon is not None and _owner_of(slot) != daemon:
        faults.append(
            f"{slot} belongs to another user than {outbox}: the daemon writes "
            "health.json into it, and `graftline flash` runs as its owner."
        )
        fixes.append(f"chown -R {_name_of(daemon)} {slot}")
    if faults:
        what = f"{len(faults)} of the daemon's files are open to others"
        return CheckResult(check, Grade.WARN, what, " ".join(faults), "; ".join(fixes))
    what = "outbox, evidence and slot belong to one user, and are closed to others"
    return CheckResult(check, Grade.OK, what)


def _owner_of(path: Path) -> int:
    return path.stat().st_uid


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def check_outbox(settings: EdgeSettings, deadline_s: float) -> CheckResult:
    """Check whether the outbox is intact; it is only read.

    Raises:
        DeliveryError: It cannot be read, or is damaged.
    """
    path = settings.outbox.path
    check = f"{CHECK} outbox file"
    if not path.exists():
        what = f"{path}: not there yet, the daemon creates it"
        return CheckResult(check, Grade.OK, what)
    user = " (a daemon is using it)" if is_daemon_running(path) else ""
    try:
        rows, verdict = _read(path, deadline_s)
    except sqlite3.DatabaseError as exc:
        if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            what = f"{path}: too large to be checked in time{user}"
            why = "The doctor ends within seconds."
            fix = "Nothing; the daemon checks it at each start."
            return CheckResult(check, Grade.WARN, what, why, fix)
        verdict, rows = str(exc), 0
    if verdict != "ok":
        raise DeliveryError(
            f"outbox {path}: damaged{user}.",
            why=verdict,
            fix="Start the daemon: it moves the file away, saves readable events, "
            "and creates a new one. Check the disk.",
        )
    what = (
        f"{path}: intact, {counted(rows, 'event')} "
        f"{agreeing(rows, 'waits', 'wait')}{user}"
    )
    return CheckResult(check, Grade.OK, what, figures={"events": float(rows)})


def is_daemon_running(outbox: Path) -> bool:
    """Return whether a daemon holds the lock of an outbox file."""
    lock = outbox.with_name(f"{outbox.name}.lock")
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no daemon has ever run, or its file is not readable
        return False
    return False


def _read(path: Path, deadline_s: float) -> tuple[int, str]:
    """Return the number of events, and "ok" or SQLite's description of the damage."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=1)) as connection:
        connection.set_progress_handler(
            lambda: int(time.monotonic() > deadline_s), STEPS_PER_CLOCK_CHECK
        )
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        rows = connection.execute("SELECT count(*) FROM event").fetchone()[0]
    return int(rows), str(verdict)
