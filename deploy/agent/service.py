"""The agent as a service: it takes what the inbox, sticks and the broker bring."""

import logging
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from deploy.agent.agent import Agent, slot_not_writable
from deploy.agent.inbox import read_request
from deploy.agent.lock import agent_lock
from deploy.agent.sticks import leave_result, queue_new_stick
from models.errors import InstallError
from models.inbox_files import FlashRequest, ResultLine

POLL_S = 1.0
# A full disk: the result cannot be logged, and the entry is taken again.
ERROR_PAUSE_S = 30.0
logger = logging.getLogger(__name__)


class AgentStopped(BaseException):
    """SIGTERM: an installation ends here, as by a power cut, and goes on later."""


class Puller(Protocol):
    """Another place that brings packages."""

    def queue(self, agent: Agent) -> None:
        """Put what is wanted into the inbox."""

    def note(self, request: FlashRequest, result: ResultLine) -> None:
        """Report a result."""


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise ``AgentStopped`` in the block; it ends the block."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise AgentStopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except AgentStopped:
        logger.info("agent_stopped")
    finally:
        signal.signal(signal.SIGTERM, before)


def serve(agent: Agent, watched: Sequence[Path], puller: Puller | None = None) -> None:
    """Take what comes, until SIGTERM.

    Args:
        watched: Folders in which sticks or shares are mounted.
        puller: None: nothing is pulled.

    Raises:
        InstallError: Another agent of this slot runs, or the slot cannot be written.
    """
    try:
        with agent_lock(agent.slot) as is_held:
            if not is_held:
                raise InstallError(
                    f"{agent.slot.root}: busy.",
                    why="Another agent of this slot runs.",
                    fix="Stop it first: systemctl stop graftline-agent",
                )
            logger.info("agent_started slot=%s", agent.slot.root)
            agent.inbox.clean()
            _go_on(agent)
            while True:
                _turn(agent, watched, puller)
                time.sleep(POLL_S)
    except OSError as exc:
        raise slot_not_writable(agent.slot, exc) from exc


def _go_on(agent: Agent) -> None:
    """End a trial that a restart interrupted, before the inbox is looked at."""
    try:
        report = agent.installation.resume(lambda step: logger.info("step %s", step))
    except InstallError as exc:
        logger.warning("trial_failed why=%s", exc)
        return
    if report is not None:
        logger.info("trial_done package=%s", report.package)


def _turn(agent: Agent, watched: Sequence[Path], puller: Puller | None) -> None:
    """Queue what is new, and take all that waits."""
    try:
        for folder in watched:
            queue_new_stick(agent, folder)
        if puller is not None:
            puller.queue(agent)
        for entry_id in agent.inbox.waiting():
            request = _request_of(agent, entry_id)
            results = agent.take_waiting(last=entry_id)
            if request is None or not results:
                continue
            if request.source.startswith("/"):
                leave_result(request, results[-1])
            if puller is not None:
                puller.note(request, results[-1])
    except OSError as exc:
        logger.error("slot_not_writable why=%s", exc)  # noqa: TRY400 - expected
        time.sleep(ERROR_PAUSE_S)


def _request_of(agent: Agent, entry_id: str) -> FlashRequest | None:
    try:
        return read_request(agent.inbox.folder.entry(entry_id))
    except InstallError:
        return None  # its result says why
