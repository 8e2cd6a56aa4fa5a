"""How many examples a property test tries."""

from hypothesis import settings

FUZZ_PROFILE = "fuzz"
NO_LIMIT = 100_000_000
"""More examples than any run has time for: in ``make fuzz`` the time is the limit."""


def example_count(count: int) -> int:
    """Return ``count``, and in ``make fuzz`` as many as there is time for."""
    if settings.get_current_profile_name() == FUZZ_PROFILE:
        return NO_LIMIT
    return count
