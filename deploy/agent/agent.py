"""Takes the entries of an inbox, one after another."""

import logging
from dataclasses import dataclass
from pathlib import Path

from deploy.agent.inbox import Inbox, read_request
from deploy.agent.installation import Installation
from deploy.agent.step_log import (
    StepLog,
    failure_line,
    step_line,
    success_line,
)
from deploy.transports.http import http_source
from deploy.trust.sources import FolderSource, ReleaseSource
from models.errors import GraftlineError, InstallError
from models.inbox_files import FlashRequest, InboxFolder, ResultLine
from models.slot_files import SlotFolder

# An installation without a result was interrupted, for example by a power cut. One that
# ends the agent every time must not do so forever.
ATTEMPTS_MAX = 5
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent of one slot.

    Attributes:
        installation: How a package is installed.
    """

    installation: Installation

    @property
    def slot(self) -> SlotFolder:
        """The slot."""
        return self.installation.slot

    @property
    def inbox(self) -> Inbox:
        """The inbox of the slot."""
        return Inbox(InboxFolder(self.slot.inbox))

    def take_waiting(self, *, last: str = "") -> list[ResultLine]:
        """Install what waits, the oldest first. The caller holds the agent's lock.

        Args:
            last: Id of the entry to end with; empty: all that wait.

        Returns:
            The result of each entry.

        Raises:
            OSError: The inbox cannot be written.
        """
        results = []
        while waiting := self.inbox.waiting():
            results.append(self._take(waiting[0]))
            if waiting[0] == last:
                break
        return results

    def _take(self, entry_id: str) -> ResultLine:
        log = self.inbox.log(entry_id)
        result = log.result()
        if result is None:
            result = self._install(entry_id, log)
            log.append(result)
            logger.info(
                "entry_done id=%s exit_code=%d message=%s",
                entry_id,
                result.exit_code,
                result.message,
            )
        self.inbox.remove(entry_id)
        return result

    def _install(self, entry_id: str, log: StepLog) -> ResultLine:
        """Return the result of an entry; every expected failure is one."""
        attempt = log.attempts() + 1
        log.append(step_line(f"taken from the inbox: {entry_id}", attempt))
        try:
            if attempt > ATTEMPTS_MAX:
                raise InstallError(
                    f"entry {entry_id}: given up.",
                    why=f"The installation was interrupted {ATTEMPTS_MAX} times.",
                    fix="Look into the log of graftline-agent, then flash again.",
                )
            request = read_request(self.inbox.folder.entry(entry_id))
            if request.id != entry_id:
                raise InstallError(
                    f"entry {entry_id}: its request is {request.id!r}.",
                    why="An entry has the name of its request.",
                    fix="Flash again.",
                )
            source = self._source(entry_id, request)
        except GraftlineError as exc:
            return failure_line(exc)
        installation = self.installation
        try:
            report = installation.run(
                source,
                request,
                lambda text: log.append(step_line(text)),
                is_received=not request.source,
            )
        except GraftlineError as exc:
            is_rolled_back = installation.was_rolled_back(request)
            return failure_line(exc, is_rolled_back=is_rolled_back)
        except OSError as exc:
            return failure_line(slot_not_writable(self.slot, exc))
        return success_line(report)

    def _source(self, entry_id: str, request: FlashRequest) -> ReleaseSource:
        """Return where the release of an entry is.

        Raises:
            ConfigError: The request names another kind of place.
        """
        if not request.source:
            return self.inbox.source(entry_id)
        if request.source.startswith("/"):
            return FolderSource(Path(request.source))
        return http_source(request.source)


def slot_not_writable(slot: SlotFolder, error: OSError) -> InstallError:
    """Return the error of a slot that cannot be written."""
    return InstallError(
        f"{slot.root}: the slot cannot be written.",
        why=f"{error.strerror or error}: {error.filename or slot.inbox}",
        fix="Run this as the user of the daemon, who owns the slot; check disk and "
        "free space.",
    )
