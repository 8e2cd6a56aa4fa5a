"""Who may use the outbox's file, and what becomes of a damaged one."""

import fcntl
import logging
import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge.delivery.outbox.outbox_file import OutboxFile, Transaction
from models.errors import ConfigError, DeliveryError
from models.files import fsync_folder
from models.topics import StationTopics

QUARANTINED_KEPT = 2  # each may be as large as the cap
OWNER = "owner"
LOOKED_AT = 20  # events, to find one that the disk has not changed
DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
logger = logging.getLogger(__name__)


def lock_outbox(path: Path) -> int:
    """Take the outbox for this process alone and return the lock's descriptor.

    Args:
        path: File of the outbox; the lock is a file beside it.

    Raises:
        DeliveryError: Another process has it, or the folder cannot be written.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fsync_folder(path.parent.parent)  # else a power cut may take the folder
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as exc:
        raise cannot_open(path, exc.strerror or str(exc)) from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise DeliveryError(
            f"outbox {path}: another daemon is using it.",
            why=f"{lock} is locked.",
            fix="Stop the other daemon, or give this one its own outbox.path.",
        ) from exc
    return descriptor


def open_outbox(path: Path, max_bytes: int) -> OutboxFile:
    """Open the file, and put it aside and begin a new one if it is damaged.

    Args:
        path: The file; made if it is not there.
        max_bytes: Largest size.

    Raises:
        DeliveryError: It cannot be read or written, or is of a newer version.
    """
    try:
        return _open_checked(path, max_bytes)
    except sqlite3.DatabaseError as exc:
        if not is_damage(exc):
            raise cannot_open(path, str(exc)) from exc
        quarantine(path, str(exc))
    try:
        return _open_checked(path, max_bytes)
    except sqlite3.DatabaseError as exc:
        raise cannot_open(path, str(exc)) from exc


def claim(file: OutboxFile, path: Path, topics: StationTopics) -> None:
    """Make the file this station's; what is left of another one begins a new stream.

    A stream belongs to the station that used it first, with its site and line: under
    another name the collector would refuse every event of it for ever.

    Args:
        file: Open for writing.
        path: Its path.
        topics: This station's.

    Raises:
        ConfigError: Events of another station wait in it.
        sqlite3.Error: It cannot be read or written.
    """
    sender = _sender(file)
    if sender not in {"", topics.root}:
        raise ConfigError(
            f"outbox {path}: {file.depth} events of {sender} wait in it, but [station] "
            f"says {topics.root}.",
            why="Its name was changed before they were delivered; a collector takes "
            "events only from the station that made them.",
            fix="Set site, line and station back until they are delivered, or give "
            "this station another outbox.path.",
        )
    if file.meta(OWNER) != topics.root:
        with Transaction(file.connection):
            if file.last_seq and not file.depth:
                file.begin_stream()
            file.set_meta(OWNER, topics.root)


def _sender(file: OutboxFile) -> str:
    """Return whose events wait, from one that is whole; empty if there is none."""
    for was_sent in (False, True):
        for queued in file.read(0, LOOKED_AT, was_sent=was_sent):
            if queued.is_whole:
                return "/".join(queued.event.topic.split("/")[:4])
    return ""


def _open_checked(path: Path, max_bytes: int) -> OutboxFile:
    file = OutboxFile(path, max_bytes)
    try:
        file.check()
    except BaseException:
        file.close()
        raise
    return file


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether an error says that the content of the file is not whole.

    Args:
        error: From SQLite, or from ``OutboxFile.check``.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by us
        return True
    lost_table = "no such table" in str(error) or "no such column" in str(error)
    return (code & 0xFF) in DAMAGED or lost_table


def quarantine(path: Path, reason: str) -> None:
    """Move a damaged file aside, with its log, so that a new one can begin.

    Args:
        path: The file.
        reason: What is wrong with it.

    Raises:
        DeliveryError: It cannot be renamed.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    logger.error(
        "outbox_damaged path=%s moved_to=%s reason=%r: its events may be lost;"
        " a new stream begins",
        *(path, aside, reason),
    )
    try:
        path.replace(aside)
        for end in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + end).replace(
                    aside.with_name(aside.name + end)
                )
        older = sorted(path.parent.glob(f"{path.name}.damaged-*Z"))
        for old in older[:-QUARANTINED_KEPT]:
            for end in ("", "-wal", "-shm"):
                old.with_name(old.name + end).unlink(missing_ok=True)
    except OSError as exc:
        raise cannot_open(path, exc.strerror or str(exc)) from exc


def cannot_open(path: Path, reason: str) -> DeliveryError:
    """Return the error for an outbox that cannot be kept.

    Args:
        path: The file.
        reason: What was seen.
    """
    return DeliveryError(
        f"outbox {path}: cannot be opened.",
        why=reason,
        fix="Make its folder writable with room on the disk, or set outbox.path.",
    )
