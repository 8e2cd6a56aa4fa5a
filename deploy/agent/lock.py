"""The lock of the agent: one at a time takes packages from the inbox of a slot."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from deploy.links import refuse_other_owner
from models.files import held_lock, make_folder
from models.slot_files import SlotFolder

LOCK_NAME = ".agent.lock"


class _OtherAgentRuns(Exception):  # noqa: N818 - not an error
    """Another agent holds the lock."""


def prepare_inbox(slot: SlotFolder) -> None:
    """Make the inbox of a slot, if this process may write there.

    Raises:
        InstallError: Root runs this in a folder of another user.
        OSError: The folder cannot be written.
    """
    for folder in (slot.root, slot.inbox):
        if folder.exists():
            refuse_other_owner(folder)
        make_folder(folder)


@contextmanager
def agent_lock(slot: SlotFolder) -> Iterator[bool]:
    """Try to hold the lock; the kernel releases it when the process ends.

    Yields:
        Whether it is held; False: another agent of this slot runs.

    Raises:
        InstallError: Root runs this in a folder of another user.
        OSError: The folder cannot be written.
    """
    prepare_inbox(slot)
    with ExitStack() as stack:
        try:
            lock = held_lock(slot.root / LOCK_NAME, _OtherAgentRuns())
            stack.enter_context(lock)
        except _OtherAgentRuns:
            yield False
            return
        yield True
