"""The entries of an inbox: which ones wait, and what they ask for."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from deploy.agent.step_log import StepLog, prune_logs
from deploy.trust.sources import FolderSource
from models.errors import InstallError
from models.files import fsync_folder, make_folder, read_regular, write_atomically
from models.inbox_files import (
    FILES_NAME,
    LOG_SUFFIX,
    REQUEST_MAX_BYTES,
    REQUEST_NAME,
    SCHEMA_VERSION,
    FlashRequest,
    InboxFolder,
    ResultLine,
    is_digest,
    is_entry_id,
)
from models.strict_json import parse_json

LEFT_BEHIND_S = 7 * 86_400  # a transfer that was cut so long ago is given up
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EntrySource:
    """A release in an entry: its files are in the pool of the inbox.

    Attributes:
        name: For messages.
        folder: The entry.
        pool: Files that were sent ahead, named by their content.
    """

    name: str
    folder: Path
    pool: Path

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        """Yield one file of the release from a byte on.

        Raises:
            FileNotFoundError: It is not there.
            OSError: It cannot be read.
        """
        kind, _, name = path.partition("/")
        if kind == FILES_NAME and is_digest(name):
            yield from FolderSource(self.pool).read(name, offset)
        else:
            yield from FolderSource(self.folder).read(path, offset)


@dataclass(frozen=True, slots=True)
class Inbox:
    """The inbox of one slot. The owner holds the lock of the agent."""

    folder: InboxFolder

    def waiting(self) -> list[str]:
        """Return the ids of the entries that wait, the oldest first."""
        root = self.folder.root
        if root.is_symlink() or not root.is_dir():
            return []
        found = [
            path
            for path in root.iterdir()
            if is_entry_id(path.name) and path.is_dir() and not path.is_symlink()
        ]
        return [path.name for path in sorted(found, key=_changed_ns)]

    def log(self, entry_id: str) -> StepLog:
        """Return the log of an entry."""
        return StepLog(self.folder.log(entry_id))

    def last_result(self) -> ResultLine | None:
        """Return the newest result; None where no entry was ever taken."""
        logs = self.folder.root.glob(f"*{LOG_SUFFIX}")
        results = [result for log in logs if (result := StepLog(log).result())]
        return max(results, key=lambda result: result.at, default=None)

    def source(self, entry_id: str) -> EntrySource:
        """Return the release in an entry."""
        folder = self.folder.entry(entry_id)
        return EntrySource(str(folder), folder, self.folder.pool)

    def add(self, request: FlashRequest) -> None:
        """Write an entry whose release is elsewhere.

        No lock is needed: the entry appears by one rename, as that of a sender.

        Raises:
            OSError: The inbox cannot be written.
        """
        partial = self.folder.partial(request.id)
        shutil.rmtree(partial, ignore_errors=True)
        make_folder(partial)
        text = request.model_dump_json().encode()
        write_atomically(partial / REQUEST_NAME, text)
        partial.rename(self.folder.entry(request.id))
        fsync_folder(self.folder.root)

    def remove(self, entry_id: str) -> None:
        """Remove an entry that is done.

        Raises:
            OSError: It cannot be removed.
        """
        shutil.rmtree(self.folder.entry(entry_id))
        fsync_folder(self.folder.root)
        prune_logs(self.folder.root)
        self.clean()

    def clean(self) -> None:
        """Remove what was left behind long ago by transfers that were cut."""
        now = time.time()
        pool = self.folder.pool
        files = list(pool.iterdir()) if pool.is_dir() else []
        for path in [*self.folder.root.glob(".*-*"), *files]:
            with suppress(OSError):
                if now - path.lstat().st_mtime < LEFT_BEHIND_S:
                    continue
                logger.info("left_behind_removed path=%s", path)
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def read_request(folder: Path) -> FlashRequest:
    """Return the request in a folder.

    Raises:
        InstallError: It is missing, not valid, or of a newer version.
    """
    path = folder / REQUEST_NAME
    try:
        document = parse_json(read_regular(path, REQUEST_MAX_BYTES))
        version = document.get("schema_version") if isinstance(document, dict) else 0
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise InstallError(
                f"{path}: schema {version} is newer than this runtime "
                f"({SCHEMA_VERSION}).",
                why="A newer Graftline wrote it.",
                fix="Update Graftline on this line PC.",
            )
        return FlashRequest.model_validate(document)
    except FileNotFoundError as exc:
        raise InstallError(
            f"{folder}: there is no {REQUEST_NAME}.",
            why="It is written last: the release is not complete.",
            fix="Run `graftline flash` again on the workstation.",
        ) from exc
    except (OSError, ValueError, ValidationError) as exc:
        raise InstallError(
            f"{path}: not a request.",
            why=str(exc).partition("\n")[0],
            fix="Run `graftline flash` again on the workstation.",
        ) from exc


def _changed_ns(path: Path) -> int:
    # A rename changes it: the time when the entry was complete.
    try:
        return path.lstat().st_ctime_ns
    except OSError:
        return 0
