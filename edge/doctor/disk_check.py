"""Is there room, may the daemon write, and is its outbox whole?"""

import fcntl
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from edge.config.station import EdgeSettings
from edge.doctor.finding import CheckResult, Grade
from models.errors import ConfigError, DeliveryError

ROOM_MIN_BYTES = 64 << 20  # below this, evidence and outbox stop within hours
INODES_MIN = 1000
STEPS_PER_LOOK = 10_000  # SQLite's own steps between two looks at the clock
CHECK = "disk"


def check_folder(name: str, folder: Path, wanted_bytes: int) -> CheckResult:
    """Return whether a folder of the daemon can be written, and has room.

    Args:
        name: What it is for.
        folder: It is made by the daemon where it does not exist.
        wanted_bytes: What may come to lie in it.

    Raises:
        ConfigError: It cannot be written.
    """
    check = f"{CHECK} {name}"
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
        stat = os.statvfs(place)
    except OSError as exc:
        raise ConfigError(
            f"{folder}: cannot be written.",
            why=exc.strerror or str(exc),
            fix="Make it writable for the user of the daemon, or make room.",
        ) from exc
    room_bytes = stat.f_bavail * stat.f_frsize
    figures = {"room_bytes": float(room_bytes), "inodes": float(stat.f_favail)}
    what = f"{folder}: {room_bytes / 1e9:.1f} GB free"
    if room_bytes < ROOM_MIN_BYTES or (stat.f_files and stat.f_favail < INODES_MIN):
        return CheckResult(
            check,
            Grade.FAIL,
            what,
            f"Less than {ROOM_MIN_BYTES >> 20} MiB or {INODES_MIN} files are left.",
            "Make room on the disk.",
            DeliveryError.exit_code,
            figures,
        )
    if room_bytes < wanted_bytes:
        return CheckResult(
            check,
            Grade.WARN,
            what,
            f"The configuration lets it grow to {wanted_bytes / 1e9:.1f} GB.",
            "Make room, or set a smaller max_bytes.",
            figures=figures,
        )
    return CheckResult(check, Grade.OK, what, figures=figures)


def check_outbox(settings: EdgeSettings, deadline_s: float) -> CheckResult:
    """Return whether the outbox is whole; it is only read.

    Args:
        settings: The configuration.
        deadline_s: Monotonic clock by which it must be done.

    Raises:
        DeliveryError: It cannot be read, or is damaged.
    """
    path = settings.outbox.path
    check = f"{CHECK} outbox file"
    if not path.exists():
        return CheckResult(
            check, Grade.OK, f"{path}: not there yet, the daemon makes it"
        )
    user = " (a daemon is using it)" if is_daemon_running(path) else ""
    try:
        rows, verdict = _read(path, deadline_s)
    except sqlite3.DatabaseError as exc:
        if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return CheckResult(
                check,
                Grade.WARN,
                f"{path}: too large to be looked through in time{user}",
                "The doctor ends within seconds.",
                "Nothing; the daemon checks it at each start.",
            )
        verdict, rows = str(exc), 0
    if verdict != "ok":
        raise DeliveryError(
            f"outbox {path}: damaged{user}.",
            why=verdict,
            fix="Start the daemon: it puts the file aside, with what can be saved, "
            "and begins a new one. Look at the disk.",
        )
    what = f"{path}: whole, {rows} events wait{user}"
    return CheckResult(check, Grade.OK, what, figures={"events": float(rows)})


def is_daemon_running(outbox: Path) -> bool:
    """Return whether a daemon holds the lock of an outbox; it is left as it is.

    Args:
        outbox: Its file.
    """
    lock = outbox.with_name(f"{outbox.name}.lock")
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no daemon has ever run, or it is not ours to see
        return False
    return False


def _read(path: Path, deadline_s: float) -> tuple[int, str]:
    """Return the number of events and SQLite's own verdict on the file."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=1)) as connection:
        connection.set_progress_handler(
            lambda: int(time.monotonic() > deadline_s), STEPS_PER_LOOK
        )
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        rows = connection.execute("SELECT count(*) FROM event").fetchone()[0]
    return int(rows), str(verdict)
