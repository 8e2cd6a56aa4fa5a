"""Keys for a line PC in a folder of this machine: made and enrolled in the same step.

The first ten minutes and the demo ask for no keys: any user who can write the slot can
put any model there. Line PCs elsewhere are enrolled by a person.
"""

from collections.abc import Callable
from pathlib import Path

from deploy.trust.enrolment import enroll_slot
from deploy.trust.key_changes import NewKeys, make_keys
from deploy.trust.key_folder import VARIABLE, default_keys_folder, open_keys
from deploy.trust.key_repository import KeyRepository
from deploy.trust.release import root_to_carry
from models.errors import ConfigError
from models.slot_files import SlotFolder


def has_default_keys() -> bool:
    """Return whether there are keys in the default folder.

    Raises:
        ConfigError: This user may not look there.
    """
    folder = default_keys_folder()
    try:
        return (folder / "repository").is_dir()
    except OSError as exc:
        raise ConfigError(
            f"{folder}: this user cannot read the keys.",
            why=exc.strerror or str(exc),
            fix=f"Set {VARIABLE} to a folder of this user, or give --keys DIR.",
        ) from exc


def prepare_local(
    slot: SlotFolder,
    target_name: str,
    on_step: Callable[[str], None],
    folder: Path | None = None,
    passphrase: Callable[[], bytes] = lambda: b"",
) -> KeyRepository:
    """Return the keys to sign with, after the slot was enrolled with them.

    Args:
        slot: A slot on this machine.
        target_name: As the operator writes it.
        on_step: Called with a sentence where something was made.
        folder: The keys folder; None = the default one, in which keys without a
            passphrase are made where it has none.
        passphrase: Called when an encrypted key is read.

    Raises:
        ConfigError: The keys cannot be read.
        InstallError: The slot trusts other keys.
        OSError: A folder cannot be written.
    """
    place = folder or default_keys_folder()
    if folder is None and not has_default_keys():
        make_keys(NewKeys(place, secret=b""))
        on_step(f"keys: made in {place}, without a passphrase")
    keys = open_keys(place, passphrase)
    report = enroll_slot(slot, root_to_carry(keys), target_name=target_name)
    if report.outcome == "enrolled":
        on_step(f"enrolled: {target_name} trusts the keys in {keys.folder}")
    return keys
