"""The line PC that the TARGET of the command line names."""

import re
from dataclasses import dataclass
from pathlib import Path

from models.errors import ConfigError
from models.slot_files import SlotFolder

LATER_SCHEMES = ("ssh", "usb")  # planned


@dataclass(frozen=True, slots=True)
class FlashTarget:
    """One line PC.

    Attributes:
        name: As the operator wrote it.
        slot: Its slot folder, on this machine.
    """

    name: str
    slot: SlotFolder


def parse_target(text: str) -> FlashTarget:
    """Return the line PC that ``local:DIR``, or just ``DIR``, names.

    Raises:
        ConfigError: It is empty, or its kind is not supported by this version.
    """
    scheme, colon, rest = text.partition(":")
    is_scheme = colon and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme)
    folder = text
    if is_scheme:
        if scheme in LATER_SCHEMES:
            raise ConfigError(
                f"target {text!r}: {scheme} is not in this version.",
                why="This version flashes into a folder of this machine only.",
                fix="Copy the package to the line PC and flash local:DIR there.",
            )
        if scheme != "local":
            raise ConfigError(
                f"target {text!r}: there is no kind of target {scheme!r}.",
                why="Expected local:DIR.",
                fix=f"For a folder with a colon in its name write local:{text}.",
            )
        folder = rest
    if not folder.strip() or "\0" in folder:
        raise ConfigError(
            f"target {text!r} names no folder.",
            why="Expected local:DIR, for example local:/var/lib/graftline.",
            fix="Give the folder of the line PC.",
        )
    return FlashTarget(text, SlotFolder(Path(folder).expanduser().absolute()))
