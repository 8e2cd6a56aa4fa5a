"""The roles of people and programs, each with the rights of those before it."""

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What somebody may do; a higher role may do all that a lower one may."""

    VIEWER = 1
    """Look at all pages."""
    OPERATOR = 2
    """Also acknowledge, comment and judge alerts."""
    ENGINEER = 3
    """Also export, set desired models, limits, shifts and names."""
    ADMIN = 4
    """Also manage users and tokens."""


@dataclass(frozen=True, slots=True)
class User:
    """Who sent a request.

    Attributes:
        name: Shown beside what was done.
    """

    name: str
    role: Role
