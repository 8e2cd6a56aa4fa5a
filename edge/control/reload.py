"""A new configuration while the daemon runs: validate all of it, then swap.

A file with any fault changes nothing: the old configuration stays in force as a whole,
and the station reports ``degraded`` until the file is corrected. Cameras and the broker
can be swapped between two frames; settings that other parts hold since the start (the
station's name, the outbox, the model's slot) cannot: a file that changes them is
refused, with the advice to restart.
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
SWAPPABLE = ("broker", "camera")
BROKER_FIXED = ("collector_ack", "reconnect_max_s")  # the publisher keeps these
logger = logging.getLogger(__name__)


class ReloadRequest:
    """A request to reload the configuration, from SIGHUP."""

    def __init__(self) -> None:
        self._is_requested = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Catch SIGHUP inside the block.

        At a terminal the signal keeps its original meaning (the terminal was closed):
        a daemon that was started there ends with it.
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
        """Return whether a reload was requested since the last call."""
        was_requested, self._is_requested = self._is_requested, False
        return was_requested

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._is_requested = True


class Configuration:
    """The configuration in force, and the file that it came from.

    Args:
        settings: Its content at the start.

    Attributes:
        fault: Why the current content of the file is not in force; empty else.
        login: Fingerprint of the broker's credentials and the contents of their
            files.

    Raises:
        ConfigError: A file with credentials cannot be read.
    """

    def __init__(self, path: Path, settings: EdgeSettings) -> None:
        self.settings = settings
        self.fault = ""
        self.login = login_fingerprint(settings.broker)
        self._path = path

    def read(self) -> EdgeSettings:
        """Return the current content of the file, if all of it can be put in force.

        Raises:
            ConfigError: It cannot; all faults of one kind are reported together.
        """
        new = load_edge_config(self._path)
        refuse_fixed(self._path, self.settings, new)
        check_login(new.broker)
        return new

    def accept(self, new: EdgeSettings) -> bool:
        """Put settings from ``read`` in force; return whether to reconnect.

        Raises:
            ConfigError: A file with credentials has vanished since ``read``.
        """
        login = login_fingerprint(new.broker)
        reconnects = login != self.login or new.broker != self.settings.broker
        self.settings, self.login, self.fault = new, login, ""
        return reconnects

    def refuse(self, error: ConfigError) -> None:
        """Note why the file is not in force, for status and log."""
        self.fault = f"configuration not in force: {error.what}"
        # Without a traceback: the fault is in the operator's file.
        logger.error("reload_refused path=%s reason=%s", self._path, error)


def refuse_fixed(path: Path, old: EdgeSettings, new: EdgeSettings) -> None:
    """Refuse a configuration that only a restart can put in force.

    Raises:
        ConfigError: It changes what cannot be swapped; all settings are named.
    """
    fixed = [name for name in EdgeSettings.model_fields if name not in SWAPPABLE]
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

    Raises:
        ConfigError: A file is missing, or is not a password or certificate.
    """
    read_password(login)
    make_tls_context(login)
