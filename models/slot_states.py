"""The states of one installation, as ``state.json`` names them.

Not in ``models.slot_files``: that module reads files, and ``deploy.slots`` is pure.
"""

from enum import StrEnum


class SlotState(StrEnum):
    """Where an installation stands."""

    IDLE = "idle"
    DOWNLOADED = "downloaded"
    VERIFIED = "verified"
    SELFTEST = "selftest"
    TRIAL = "trial"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled-back"
