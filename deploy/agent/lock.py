"""The lock of the agent: one at a time takes packages from the inbox of a slot."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.links import refuse_other_owner
from models.files import make_folder, open_lock
from models.slot_files import SlotFolder

LOCK_NAME = ".agent.lock"


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
    with open(open_lock(slot.root / LOCK_NAME), "r+b", 0) as file:  # noqa: PTH123
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
