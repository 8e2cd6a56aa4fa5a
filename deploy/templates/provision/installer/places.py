"""Parts of the installer: where everything is, and which version is in force."""

import shutil
from pathlib import Path

from .files import replace_link

STAMP = "installed.json"  # the last file of an environment: it is whole


class Places:
    """Where everything goes.

    Args:
        root: ``/``, or another folder: then neither users nor services are made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.is_system = root == Path("/")
        self.prefix = root / "opt/graftline"
        self.current = self.prefix / "current"  # link to the environment in force
        self.previous = self.prefix / "previous"  # link to the one before
        self.python = self.current / "bin/python"
        self.etc = root / "etc/graftline"
        self.config = self.etc / "edge.toml"
        self.agent_config = self.etc / "agent.toml"
        self.dashboard_config = self.etc / "dashboard.toml"
        self.tls = self.etc / "tls"  # as `graftline broker-config` makes it
        self.units = root / "etc/systemd/system"
        self.sysusers = root / "etc/sysusers.d"
        self.data = root / "var/lib/graftline"
        self.dashboard_data = root / "var/lib/graftline-dashboard"


def switch(places: Places, version: str) -> None:
    """Put an environment in force; the one before stays as ``previous``."""
    target = Path("versions") / version
    if places.current.is_symlink() and places.current.readlink() != target:
        replace_link(places.previous, places.current.readlink())
    replace_link(places.current, target)
    command = places.prefix / "bin" / "graftline"
    command.parent.mkdir(exist_ok=True)
    replace_link(command, Path("../current/bin/graftline"))
    shown = places.root / "usr/local/bin/graftline"
    if not shown.exists() or shown.is_symlink():
        shown.parent.mkdir(parents=True, exist_ok=True)
        replace_link(shown, command)


def remove_old(places: Places) -> None:
    """Remove the environments that no link names."""
    kept = {
        link.readlink().name
        for link in (places.current, places.previous)
        if link.is_symlink()
    }
    for environment in (places.prefix / "versions").iterdir():
        if environment.name not in kept:
            (environment / STAMP).unlink(missing_ok=True)
            shutil.rmtree(environment)
