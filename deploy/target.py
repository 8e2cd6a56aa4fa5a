"""The line PC that the TARGET of the command line names."""

import re
from dataclasses import dataclass
from pathlib import Path

from models.errors import ConfigError
from models.slot_files import SlotFolder

KINDS = "local:DIR, ssh://[user@]host[:port][/slot], or usb:DIR"
DEFAULT_SLOT = "/var/lib/graftline/slot"  # as in the how-to of the line PC
# Not "-" first: OpenSSH would take it for an option.
USER = r"[A-Za-z0-9_][A-Za-z0-9_.\\-]{0,63}"
HOST = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}"
IPV6 = r"\[[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,32})?\]"
SSH_TARGET = re.compile(
    rf"(?:(?P<user>{USER})@)?(?P<host>{HOST}|{IPV6})(?::(?P<port>\d{{1,5}}))?"
    r"(?P<slot>/.*)?"
)
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class FlashTarget:
    """A slot folder of this machine.

    Attributes:
        name: As the operator wrote it.
        slot: Its slot folder.
    """

    name: str
    slot: SlotFolder


@dataclass(frozen=True, slots=True)
class SshTarget:
    """A line PC that OpenSSH reaches.

    Attributes:
        name: As the operator wrote it.
        user: Empty: OpenSSH's own configuration decides.
        host: Name or address, or an alias of the user's ``~/.ssh/config``.
        port: None: OpenSSH's own configuration decides.
        slot: Slot folder on the line PC; a relative one is below the home folder.
    """

    name: str
    user: str
    host: str
    port: int | None
    slot: str

    @property
    def login(self) -> str:
        """``user@host``, or the host alone."""
        return f"{self.user}@{self.host}" if self.user else self.host


@dataclass(frozen=True, slots=True)
class UsbTarget:
    """A stick, or another folder that is carried to the line PC.

    Attributes:
        name: As the operator wrote it.
        folder: Where the stick is mounted.
    """

    name: str
    folder: Path


Target = FlashTarget | SshTarget | UsbTarget


def parse_target(text: str) -> Target:
    """Return the line PC, or the stick, that a TARGET names.

    Args:
        text: ``local:DIR`` or just ``DIR``, ``ssh://[user@]host[:port][/slot]``, or
            ``usb:DIR``. A slot ``/~/DIR`` is below the home folder of the user.

    Raises:
        ConfigError: It is empty, or of an unknown kind, or not well formed.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or not SCHEME.fullmatch(scheme):
        return FlashTarget(text, SlotFolder(_folder(text, text)))
    match scheme:
        case "local":
            return FlashTarget(text, SlotFolder(_folder(text, rest)))
        case "usb":
            return UsbTarget(text, _folder(text, rest))
        case "ssh":
            return _ssh_target(text, rest)
    raise ConfigError(
        f"target {text!r}: there is no kind of target {scheme!r}.",
        why=f"Expected {KINDS}.",
        fix=f"For a folder with a colon in its name write local:{text}.",
    )


def not_a_line_pc(target: UsbTarget) -> ConfigError:
    """Return the error of a verb that needs a line PC."""
    return ConfigError(
        f"target {target.name!r} is a stick, not a line PC.",
        why="This verb reads or changes a slot.",
        fix="Give local:DIR or ssh://host.",
    )


def _folder(text: str, folder: str) -> Path:
    if not folder.strip() or "\0" in folder:
        raise ConfigError(
            f"target {text!r} names no folder.",
            why="Expected local:DIR, for example local:/var/lib/graftline/slot.",
            fix="Give the folder of the line PC.",
        )
    return Path(folder).expanduser().absolute()


def _ssh_target(text: str, rest: str) -> SshTarget:
    found = SSH_TARGET.fullmatch(rest.removeprefix("//"))
    slot = (found["slot"] or "").rstrip("/") if found else ""
    is_valid = found is not None and rest.startswith("//") and slot.isprintable()
    port = int(found["port"]) if found and found["port"] else None
    if not is_valid or found is None or not (port is None or 0 < port <= PORT_MAX):
        raise ConfigError(
            f"target {text!r} is not well formed.",
            why="Expected ssh://[user@]host[:port][/slot], for example "
            "ssh://graftline@line-3, without a password.",
            fix="Keep keys and jump hosts in ~/.ssh/config; OpenSSH reads it.",
        )
    home = slot.startswith("/~/")
    return SshTarget(
        name=text,
        user=found["user"] or "",
        host=found["host"].strip("[]"),
        port=port,
        slot=slot.removeprefix("/~/") if home else slot or DEFAULT_SLOT,
    )
