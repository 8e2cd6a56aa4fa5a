"""Who may read a key: each belongs to the user of the program that uses it."""

import os
import pwd
import stat
import tomllib
from pathlib import Path

from models.files import read_regular

BROKER_USER = "mosquitto"
DAEMON_USER, DASHBOARD_USER = "graftline", "graftline-dashboard"
EDGE_CONFIG = Path("/etc/graftline/edge.toml")
EDGE_CONFIG_MAX_BYTES = 1 << 20
PUBLIC_FILE, PUBLIC_FOLDER = 0o644, 0o755
READ_BITS = (stat.S_IRUSR, stat.S_IRGRP, stat.S_IROTH)


def make_public_folder(folder: Path) -> None:
    """Make a folder, with its parents, that all users may enter.

    Raises:
        OSError: It cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        each.chmod(PUBLIC_FOLDER)  # whatever the umask


def give_to(path: Path, user: str) -> str:
    """Give a file to the user of a program, if this process is root.

    Returns:
        What is missing for that; empty if nothing.

    Raises:
        OSError: The owner cannot be changed.
    """
    if os.geteuid() != 0:
        return ""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return f"{path} belongs to root: there is no user {user} yet"
    os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    return ""


def unreadable(path: Path, user: str) -> str:
    """Return why the user of a program cannot read a file; empty if it can.

    Without such a user on this machine nothing is known.
    """
    try:
        account, status = pwd.getpwnam(user), path.stat()
    except (KeyError, OSError):
        return ""
    groups = os.getgrouplist(user, account.pw_gid)
    which = 0 if status.st_uid == account.pw_uid else 2 - (status.st_gid in groups)
    if status.st_mode & READ_BITS[which]:
        return ""
    return f"{path}: the user {user} cannot read it. Fix: chown {user} {path}"


def station_of_this_machine(config: Path = EDGE_CONFIG) -> str:
    """Return ``SITE/LINE/STATION`` of the daemon that is set up here; empty if none."""
    try:
        text = read_regular(config, EDGE_CONFIG_MAX_BYTES).decode()
        station = tomllib.loads(text)["station"]
        return "/".join(str(station[name]) for name in ("site", "line", "station"))
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # the daemon itself reports what is wrong there
