"""Finds the keys folder of a workstation."""

import os
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
    base = Path(configuration) if is_usable else Path.home() / ".config"
    return base / "graftline" / "keys"


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
