"""Follows one entry of an inbox to its result, and installs it where no agent runs."""

import threading
import time
from collections.abc import Callable

from deploy.agent.agent import Agent, slot_not_writable
from deploy.agent.lock import agent_lock
from deploy.agent.step_log import LineListener
from models.errors import InstallError
from models.inbox_files import ResultLine, is_entry_id

READ_INTERVAL_S = 0.1
TRY_INTERVAL_S = 0.5  # for the lock of the agent
ALIVE_INTERVAL_S = 5.0


class _Worker(threading.Thread):
    """Installs up to one entry, if no other agent of the slot runs.

    Attributes:
        error: What ended it early.
        ended_s: Monotonic time of its end.
    """

    def __init__(self, agent: Agent, entry_id: str) -> None:
        # Not waited for at the end of the process: a connection that is cut, or a
        # signal, interrupts the installation as a power cut would.
        super().__init__(name="follow-install", daemon=True)
        self.error: Exception | None = None
        self.ended_s = 0.0
        self._agent, self._entry_id = agent, entry_id

    def run(self) -> None:
        """Install; see ``Agent.take_waiting``."""
        try:
            with agent_lock(self._agent.slot) as is_held:
                if is_held:
                    self._agent.take_waiting(last=self._entry_id)
        except Exception as exc:  # noqa: BLE001 - raised again by the thread that waits
            self.error = exc
        self.ended_s = time.monotonic()


def follow_entry(
    agent: Agent,
    entry_id: str,
    on_line: LineListener,
    on_alive: Callable[[], None] = lambda: None,
) -> ResultLine:
    """Pass on the lines of an entry's log until its result.

    Where no other agent runs, this process installs the entry.

    Args:
        on_line: Called with each line, the result too.
        on_alive: Called every few seconds.

    Raises:
        InstallError: There is no such entry, or the slot cannot be written.
    """
    if not is_entry_id(entry_id):
        raise _no_entry(agent, entry_id)
    log, offset = agent.inbox.log(entry_id), 0
    worker: _Worker | None = None
    alive_s = time.monotonic()
    while True:
        lines, offset = log.read(offset)
        for line in lines:
            on_line(line)
            if isinstance(line, ResultLine):
                if worker is not None:
                    worker.join(ALIVE_INTERVAL_S)
                return line
        if not lines:
            worker = _next_worker(agent, entry_id, worker)
        if time.monotonic() - alive_s > ALIVE_INTERVAL_S:
            alive_s = time.monotonic()
            on_alive()
        time.sleep(READ_INTERVAL_S)


def _next_worker(agent: Agent, entry_id: str, before: _Worker | None) -> _Worker:
    """Return a worker that runs, or has tried to a moment ago."""
    if before is not None:
        if before.is_alive() or time.monotonic() - before.ended_s < TRY_INTERVAL_S:
            return before
        if isinstance(before.error, OSError):
            raise slot_not_writable(agent.slot, before.error) from before.error
        if before.error is not None:
            raise before.error
    is_waiting = agent.inbox.folder.entry(entry_id).is_dir()
    if not is_waiting and agent.inbox.log(entry_id).result() is None:
        raise _no_entry(agent, entry_id)
    worker = _Worker(agent, entry_id)
    worker.start()
    return worker


def _no_entry(agent: Agent, entry_id: str) -> InstallError:
    return InstallError(
        f"{agent.slot.inbox}: there is no entry {entry_id!r}, and no log of it.",
        why="It was never complete, or is done so long ago that its log was removed.",
        fix="Run `graftline flash` again on the workstation.",
    )
