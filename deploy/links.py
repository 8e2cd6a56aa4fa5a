"""The links of a slot, and the lock that allows one flash at a time to change them.

A link is replaced by renaming a new one over it: a reader always finds the old package
or the new one.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.errors import InstallError
from models.files import fsync_folder, held_lock
from models.slot_files import SlotFolder

LOCK_NAME = ".lock"
TEMPORARY = ".{name}.link"  # one name is enough: the lock is held


@contextmanager
def locked(slot: SlotFolder) -> Iterator[None]:
    """Hold the slot's lock; the kernel releases it when the process ends.

    The slot's folder is created if it does not exist.

    Raises:
        InstallError: Another process holds it, or root runs this in a folder of
            another user.
        OSError: The folder cannot be written.
    """
    slot.root.mkdir(parents=True, exist_ok=True)
    for folder in (slot.root, slot.store):
        if folder.exists():
            refuse_other_owner(folder)
    busy = InstallError(
        f"{slot.root}: busy.",
        why="Another flash or rollback is running on this line PC.",
        fix="Wait until it has ended, then try again.",
    )
    with held_lock(slot.root / LOCK_NAME, busy):
        yield


def refuse_other_owner(folder: Path) -> None:
    """Refuse to write as root where another user could plant links.

    A link that takes the place of a folder between two steps is followed, and no check
    by this process can exclude that.

    Args:
        folder: Exists.

    Raises:
        InstallError: This process is root, and the folder is another user's.
    """
    owner = folder.stat().st_uid
    if os.geteuid() == 0 and owner != 0:
        name = user_name(owner)
        raise InstallError(
            f"{folder}: belongs to {name}, and this process is root.",
            why="Its owner could make root write elsewhere, with a link in it.",
            fix=f"Run the command as that user: runuser -u {name} -- graftline ...",
        )


def user_name(uid: int) -> str:
    """Return the name of a user; ``#`` and the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def switch_link(slot: SlotFolder, link: Path, sha256: str) -> None:
    """Point a link at a stored package, atomically and durably.

    Args:
        link: ``slot.current``, ``slot.previous`` or ``slot.trial``.
        sha256: A package in the store.

    Raises:
        OSError: The folder cannot be written.
    """
    temporary = _temporary(link)
    temporary.unlink(missing_ok=True)
    # Relative, so that the slot's folder can be moved.
    temporary.symlink_to(Path(slot.store.name) / sha256)
    temporary.replace(link)
    fsync_folder(slot.root)


def remove_link(slot: SlotFolder, link: Path) -> None:
    """Remove a link durably, if it exists.

    Raises:
        OSError: The folder cannot be written.
    """
    link.unlink(missing_ok=True)
    fsync_folder(slot.root)


def linked_packages(slot: SlotFolder) -> set[str]:
    """Return the SHA-256 of every package that a link names."""
    links = (slot.current, slot.previous, slot.trial)
    return {sha256 for link in links if (sha256 := slot.package_of(link))}


def clean_links(slot: SlotFolder) -> None:
    """Remove the temporary files of crashed attempts, but those of the daemon.

    Raises:
        OSError: The folder cannot be written.
    """
    for link in (slot.current, slot.previous, slot.trial):
        _temporary(link).unlink(missing_ok=True)
    for file in (slot.state, slot.proof, slot.trial_order, slot.refused):
        for left in slot.root.glob(f".{file.name}.*.tmp"):
            left.unlink()


def end_trial(slot: SlotFolder) -> None:
    """Remove the link and the files of a trial; the daemon ends it then.

    Raises:
        OSError: The folder cannot be written.
    """
    if slot.trial.is_symlink():
        remove_link(slot, slot.trial)
    for file in (slot.trial_order, slot.trial_starts):
        file.unlink(missing_ok=True)


def _temporary(link: Path) -> Path:
    return link.with_name(TEMPORARY.format(name=link.name))
