"""How long a login waits after wrong passwords."""

import pytest

from dashboard.access.backoff import (
    FORGOTTEN_AFTER_S,
    FREE_BY_ADDRESS,
    FREE_BY_NAME,
    KEYS_MAX,
    LONGEST_WAIT_S,
    LoginAttempt,
    LoginBackoff,
)
from tests.unit.dashboard.sim_site import SimClock

ANN = LoginAttempt("ann", "192.0.2.1")


@pytest.fixture
def clock() -> SimClock:
    return SimClock()


@pytest.fixture
def backoff(clock: SimClock) -> LoginBackoff:
    return LoginBackoff(clock.s)


def failures(backoff: LoginBackoff, clock: SimClock, count: int) -> list[float]:
    """Fail as soon as it is allowed; return the waits."""
    waits: list[float] = []
    for _ in range(count):
        if wait := backoff.begin(ANN):
            clock.pass_s(wait + 0.01)
            assert backoff.begin(ANN) == 0
        waits.append(round(wait))
    return waits


def test_wait_doubles_up_to_the_longest(backoff: LoginBackoff, clock: SimClock) -> None:
    waits = failures(backoff, clock, FREE_BY_NAME + 10)
    assert waits[: FREE_BY_NAME + 4] == [0] * FREE_BY_NAME + [2, 4, 8, 16]
    assert max(waits) == LONGEST_WAIT_S


def test_another_address_waits_for_the_same_name(
    backoff: LoginBackoff, clock: SimClock
) -> None:
    failures(backoff, clock, FREE_BY_NAME)
    assert backoff.begin(LoginAttempt("ann", "192.0.2.2")) > 0
    assert backoff.begin(LoginAttempt("bob", "192.0.2.2")) == 0


def test_one_address_waits_for_every_name(backoff: LoginBackoff) -> None:
    for number in range(FREE_BY_ADDRESS):
        assert backoff.begin(LoginAttempt(f"name-{number}", "192.0.2.1")) == 0
    assert backoff.begin(LoginAttempt("ann", "192.0.2.1")) > 0
    assert backoff.begin(LoginAttempt("ann", "192.0.2.2")) == 0


def test_right_password_forgets_those_of_the_name_only(backoff: LoginBackoff) -> None:
    """Who has a password of his own cannot guess those of others without end."""
    for number in range(FREE_BY_ADDRESS):
        assert backoff.begin(LoginAttempt(f"name-{number}", "192.0.2.1")) == 0
        own = LoginAttempt("bob", "192.0.2.1")
        if backoff.begin(own) == 0:
            backoff.succeed(own)
    assert backoff.begin(LoginAttempt("ann", "192.0.2.1")) > 0


def test_attempts_at_the_same_time_are_counted(backoff: LoginBackoff) -> None:
    """None of them has been answered yet."""
    begun = [backoff.begin(ANN) for _ in range(50)]
    assert begun.count(0) == FREE_BY_NAME


def test_attempt_that_was_not_checked_is_taken_back(backoff: LoginBackoff) -> None:
    for _ in range(20):
        assert backoff.begin(ANN) == 0
        backoff.cancel(ANN)


def test_failures_are_forgotten(backoff: LoginBackoff, clock: SimClock) -> None:
    failures(backoff, clock, FREE_BY_NAME + 5)
    clock.pass_s(FORGOTTEN_AFTER_S + 1)
    assert failures(backoff, clock, FREE_BY_NAME) == [0] * FREE_BY_NAME


def test_flood_of_names_takes_bounded_memory(backoff: LoginBackoff) -> None:
    for number in range(KEYS_MAX + 500):
        backoff.begin(LoginAttempt(f"name-{number}", ""))
    assert len(backoff._failures) == KEYS_MAX  # noqa: SLF001 - its memory is the fact
