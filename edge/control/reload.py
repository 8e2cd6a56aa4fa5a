"""A new configuration while the daemon runs: validate all of it, then swap.

A file with any fault changes nothing: the old configuration stays in force as a whole,
and the station says that it is degraded until the file is mended. Cameras and the
broker can be swapped between two frames; what others rely on (the station's name, the
outbox, the model's slot) cannot, and a file that changes it is refused with the way
out: a restart.
"""

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from edge.config.station import EdgeSettings, load_edge_config
from models.broker import (
    BrokerLogin,
    login_fingerprint,
    make_tls_context,
    read_password,
)
from models.errors import ConfigError

STDIN = 0
SWAPPED = ("broker", "camera")
BROKER_FIXED = ("collector_ack", "reconnect_max_s")
logger = logging.getLogger(__name__)


class ReloadRequest:
    """A request to read the configuration anew, from SIGHUP."""

    def __init__(self) -> None:
        self._is_wanted = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Catch SIGHUP inside the block.

        At a terminal the signal keeps its first meaning, that the terminal is gone:
        a daemon that a person started there ends with it.
        """
        if os.isatty(STDIN):
            yield
            return
        before = signal.signal(signal.SIGHUP, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, before)

    def take(self) -> bool:
        """Return whether there was one, once."""
        was_wanted, self._is_wanted = self._is_wanted, False
        return was_wanted

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._is_wanted = True


class Configuration:
    """The configuration in force, and the file that it came from.

    Args:
        path: The file.
        settings: As it was read at the start.

    Attributes:
        settings: In force.
        fault: Why the file that lies there now is not in force; empty else.
        login: Fingerprint of the broker's credentials, with the files' contents.

    Raises:
        ConfigError: A file with credentials cannot be read.
    """

    def __init__(self, path: Path, settings: EdgeSettings) -> None:
        self.settings = settings
        self.fault = ""
        self.login = login_fingerprint(settings.broker)
        self._path = path

    def read(self) -> EdgeSettings:
        """Return what the file says now, if all of it can be put in force.

        Raises:
            ConfigError: It cannot; all faults of one kind are told together.
        """
        fresh = load_edge_config(self._path)
        refuse_fixed(self._path, self.settings, fresh)
        check_login(fresh.broker)
        return fresh

    def accept(self, fresh: EdgeSettings) -> bool:
        """Note what is in force from now on; return whether to connect anew.

        Args:
            fresh: From ``read``.

        Raises:
            ConfigError: A file with credentials vanished this very moment.
        """
        login = login_fingerprint(fresh.broker)
        is_other = login != self.login or fresh.broker != self.settings.broker
        self.settings, self.login, self.fault = fresh, login, ""
        return is_other

    def refuse(self, error: ConfigError) -> None:
        """Note that the file is not in force, for status and log.

        Args:
            error: Why not.
        """
        self.fault = f"configuration not in force: {error.what}"
        # Without a traceback: the operator's file, told in full.
        logger.error("reload_refused path=%s reason=%s", self._path, error)


def refuse_fixed(path: Path, old: EdgeSettings, new: EdgeSettings) -> None:
    """Refuse a configuration that only a restart can put in force.

    Args:
        path: The file, for the message.
        old: In force.
        new: Wanted.

    Raises:
        ConfigError: It changes what cannot be swapped; all places are named.
    """
    fixed = [name for name in EdgeSettings.model_fields if name not in SWAPPED]
    changed = [
        f"[{name}]" for name in fixed if getattr(old, name) != getattr(new, name)
    ]
    changed += [
        f"broker.{name}"
        for name in BROKER_FIXED
        if getattr(old.broker, name) != getattr(new.broker, name)
    ]
    if changed:
        raise ConfigError(
            f"{path}: {', '.join(changed)} cannot change while the daemon runs.",
            why="Cameras and the broker can; the rest holds what others rely on.",
            fix="Restart the daemon, or set it back.",
        )


def check_login(login: BrokerLogin) -> None:
    """Refuse credentials that cannot be used.

    Args:
        login: Of the broker.

    Raises:
        ConfigError: A file is missing, or is not what it should be.
    """
    read_password(login)
    make_tls_context(login)
