"""For which line PCs a wheelhouse is packed: Python, processor, C library. Pure.

Source:
    PEP 600 (manylinux_X_Y), PEP 513, 571 and 599 (its older names).
"""

import re
from dataclasses import dataclass

from models.errors import ConfigError

MACHINES = ("x86_64", "aarch64")
GLIBC_OF_DEBIAN_12 = 36  # 2.36
OLDEST_GLIBC = 5  # manylinux1
OLDER_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
OLDEST_PYTHON = (3, 11)
PLATFORM = re.compile(
    r"(?:linux_|manylinux_2_(?P<glibc>\d{1,3})_)?(?P<machine>[a-z0-9_]+)"
)


@dataclass(frozen=True, slots=True)
class LinePcPlatform:
    """What the wheels must fit.

    Attributes:
        python: Version without its last number, such as ``3.11``.
        machine: Processor, as ``uname -m`` prints it.
        glibc: The Y of glibc 2.Y: that of the PC, or an older one.
    """

    python: str
    machine: str
    glibc: int = GLIBC_OF_DEBIAN_12

    @property
    def tags(self) -> tuple[str, ...]:
        """Platform tags of the wheels that fit, the newest first."""
        tags = []
        for glibc in range(self.glibc, OLDEST_GLIBC - 1, -1):
            tags.append(f"manylinux_2_{glibc}_{self.machine}")
            if glibc in OLDER_NAMES:
                tags.append(f"{OLDER_NAMES[glibc]}_{self.machine}")
        return (*tags, f"linux_{self.machine}")

    def __str__(self) -> str:
        """Return the platform as one text."""
        return f"Python {self.python}, {self.machine}, glibc 2.{self.glibc} or newer"


def parse_platform(text: str) -> LinePcPlatform:
    """Return the platform that ``--for PYTHON,PLATFORM`` names.

    >>> str(parse_platform("3.11,x86_64"))
    'Python 3.11, x86_64, glibc 2.36 or newer'

    Raises:
        ConfigError: It names none.
    """
    python, comma, platform = (part.strip() for part in text.partition(","))
    version = re.fullmatch(r"(\d)\.(\d{1,2})", python)
    parts = PLATFORM.fullmatch(platform)
    if not comma or version is None or parts is None:
        raise _wrong(text, "Expected PYTHON,PLATFORM, for example 3.11,x86_64.")
    if (int(version[1]), int(version[2])) < OLDEST_PYTHON:
        raise _wrong(
            text, f"Graftline needs Python {'.'.join(map(str, OLDEST_PYTHON))}."
        )
    if parts["machine"] not in MACHINES:
        raise _wrong(text, f"Expected one of {', '.join(MACHINES)}.")
    glibc = int(parts["glibc"] or GLIBC_OF_DEBIAN_12)
    if glibc < OLDEST_GLIBC:
        raise _wrong(text, f"Expected glibc 2.{OLDEST_GLIBC} or newer.")
    return LinePcPlatform(python, parts["machine"], glibc)


def _wrong(text: str, why: str) -> ConfigError:
    return ConfigError(
        f"--for {text}: is no platform of a line PC.",
        why=why,
        fix="Read them there: python3 --version; uname -m",
    )
