"""Locks the outbox's file, checks it, and replaces a damaged one."""

import fcntl
import logging
import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from edge.delivery.outbox.database import OutboxDatabase, Transaction
from models.counted import agreeing, counted
from models.errors import ConfigError, DeliveryError
from models.files import (
    PRIVATE_FOLDER,
    fsync_folder,
    make_private,
    make_private_database,
    open_lock,
)
from models.topics import StationTopics

QUARANTINED_KEPT = 2  # each may be as large as the largest size
OWNER = "owner"
READ_FOR_SENDER = 20  # events, to find one that the disk has not changed
DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
logger = logging.getLogger(__name__)


def lock_outbox(path: Path) -> int:
    """Lock the outbox for this process and return the lock's descriptor.

    Args:
        path: File of the outbox; the lock is a file beside it.

    Raises:
        DeliveryError: Another process has locked it, or the folder cannot be written.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        fsync_folder(path.parent.parent)  # else a power cut may take the folder
        descriptor = open_lock(lock)
        make_private(lock)  # an earlier version left it to the umask
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


def open_outbox(path: Path, max_bytes: int) -> OutboxDatabase:
    """Open the file; a damaged one is renamed and replaced by a new one.

    Args:
        path: Created if it does not exist.

    Raises:
        DeliveryError: It cannot be read or written, or a newer version wrote it.
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


def claim(database: OutboxDatabase, path: Path, topics: StationTopics) -> None:
    """Assign the file to this station; an empty one of another starts a new stream.

    A stream belongs to the station, line and site that used it first: under another
    name the collector would refuse all its events.

    Raises:
        ConfigError: Events of another station wait in it.
        sqlite3.Error: It cannot be read or written.
    """
    sender = _sender(database)
    if sender not in {"", topics.root}:
        raise ConfigError(
            f"outbox {path}: {counted(database.depth, 'event')} of {sender} "
            f"{agreeing(database.depth, 'waits', 'wait')} in it, but [station] is "
            f"{topics.root}.",
            why="Its name was changed before they were delivered; a collector takes "
            "events only from the station that made them.",
            fix="Set site, line and station back until they are delivered, or give "
            "this station another outbox.path.",
        )
    if database.meta(OWNER) != topics.root:
        with Transaction(database.connection):
            if database.last_seq and not database.depth:
                database.start_stream()
            database.set_meta(OWNER, topics.root)


def _sender(database: OutboxDatabase) -> str:
    """Return the topic root of the first whole event; empty if there is none."""
    for was_sent in (False, True):
        for queued in database.read(0, READ_FOR_SENDER, was_sent=was_sent):
            if queued.is_whole:
                return "/".join(queued.event.topic.split("/")[:4])
    return ""


def _open_checked(path: Path, max_bytes: int) -> OutboxDatabase:
    try:
        make_private_database(path)  # also the one that replaces a damaged one
    except OSError as exc:
        raise cannot_open(path, exc.strerror or str(exc)) from exc
    database = OutboxDatabase(path, max_bytes)
    try:
        database.check()
    except BaseException:
        database.close()
        raise
    return database


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Return whether an error of SQLite or of ``check`` means a damaged file."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by OutboxDatabase
        return True
    lost_table = "no such table" in str(error) or "no such column" in str(error)
    return (code & 0xFF) in DAMAGE_CODES or lost_table


def quarantine(path: Path, reason: str) -> None:
    """Rename a damaged file and its log, so that a new one can be created.

    Raises:
        DeliveryError: It cannot be renamed.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    logger.error(
        "outbox_damaged path=%s moved_to=%s reason=%r: its events may be lost;"
        " a new stream starts",
        *(path, aside, reason),
    )
    try:
        path.replace(aside)
        # SQLite must not apply the log of the old file to the new one.
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
    """Return the error for an outbox that cannot be opened."""
    return DeliveryError(
        f"outbox {path}: cannot be opened.",
        why=f"{reason}{_foreign_owner(path)}",
        fix="Give file and folder to the daemon's user, free space on the disk, or set "
        "outbox.path.",
    )


def _foreign_owner(path: Path) -> str:
    """Return whose the file or its folder is where it is not this process's own."""
    for each in (path, path.parent):
        with suppress(OSError):
            owner, user = each.stat().st_uid, os.geteuid()
            if owner != user and not os.access(
                each, os.R_OK | os.W_OK, effective_ids=True
            ):
                return f"; {each} belongs to user {owner}, the daemon is user {user}"
    return ""
