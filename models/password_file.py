"""A password in a file of its own: a configuration holds its path only."""

from pathlib import Path

from models.errors import ConfigError
from models.files import read_regular

PASSWORD_MAX_BYTES = 4096


def read_password_file(field: str, path: Path) -> str:
    """Return the first line of a file.

    Args:
        field: Name of the setting, for messages.

    Raises:
        ConfigError: The file cannot be read, or is empty.
    """
    try:
        content = read_regular(path, PASSWORD_MAX_BYTES)
        password = (content.decode().splitlines() or [""])[0]
    except FileNotFoundError:
        # Its last part may be the password itself, written there by mistake.
        where = f" in {path.parent}" if path.parent.is_dir() else ""
        raise ConfigError(
            f"{field}: there is no such file{where}.",
            why="It is the path of a file; the password does not stand in the "
            "configuration. (Its name is not shown.)",
            fix="Write the password into a file, and give its path.",
        ) from None
    except UnicodeDecodeError:
        # The error would hold the content.
        reason = ValueError("It is not UTF-8 text.")
        raise unusable_file(field, path, reason) from None
    except OSError as exc:
        raise unusable_file(field, path, exc) from exc
    if not password:
        raise unusable_file(field, path, ValueError("Its first line is empty."))
    return password


def unusable_file(field: str, path: Path, error: Exception) -> ConfigError:
    """Return the error for a file of a setting that cannot be used."""
    reason = error.strerror if isinstance(error, OSError) else None
    return ConfigError(
        f"{field} = {path} cannot be used.",
        why=reason or str(error),
        fix="Give a file that this program may read.",
    )
