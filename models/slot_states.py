"""The states of one installation, as ``state.json`` names them."""

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
