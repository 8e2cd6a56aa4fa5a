"""Finds the keys folder of a workstation."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

from deploy.trust.key_repository import KeyRepository
from deploy.trust.private_keys import KeyFiles

VARIABLE = "GRAFTLINE_KEYS"


def default_keys_folder() -> Path:
    """Return ``$GRAFTLINE_KEYS``, else ``graftline/keys`` in the configuration folder.

    Source:
        XDG Base Directory Specification 0.8.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given)
    configuration = os.environ.get("XDG_CONFIG_HOME", "")
    # The specification ignores a relative path.
    is_usable = Path(configuration).is_absolute()
    base = Path(configuration) if is_usable else _home() / ".config"
    return base / "graftline" / "keys"


def _home() -> Path:
    """Return the home folder of the user of this process.

    ``runuser -u NAME`` leaves the caller's in ``$HOME``, where NAME may not write.
    """
    home = Path.home()
    if os.access(home, os.W_OK):
        return home
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:  # a user without a name, as in a container
        return home


def open_keys(
    folder: Path | None,
    passphrase: Callable[[], bytes],
    offline: tuple[Path, ...] = (),
) -> KeyRepository:
    """Return the keys of a workshop.

    Args:
        folder: None = the default one.
        passphrase: Called when the first encrypted key is read.
        offline: Folders with further keys, such as sticks.

    Raises:
        ConfigError: The folder is not one that ``graftline keys init`` made.
    """
    place = folder or default_keys_folder()
    repository = KeyRepository(place, KeyFiles((place, *offline), passphrase))
    repository.roots()
    return repository
