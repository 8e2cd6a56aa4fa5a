"""How many examples a property test tries."""

from hypothesis import settings

FUZZ_PROFILE = "fuzz"
FUZZ_FACTOR = 20


def example_count(count: int) -> int:
    """Return ``count``, and 20 times as many in ``make fuzz``."""
    if settings.get_current_profile_name() == FUZZ_PROFILE:
        return count * FUZZ_FACTOR
    return count
