"""The states of one installation, as ``state.json`` names them.

It is separate from ``models.slot_files``, which reads files: ``deploy.slots`` is pure.
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
