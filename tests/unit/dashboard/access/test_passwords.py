"""Hashes of passwords."""

import threading

import pytest
from argon2 import PasswordHasher

from dashboard.access import passwords as passwords_module
from dashboard.access.passwords import (
    AT_ONCE,
    MEMORY_KIB,
    WAITING_MAX,
    Passwords,
    TooManyLoginsError,
    check_new_password,
)
from models.errors import ConfigError


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(time_cost=1, memory_kib=64)


def test_hash_is_argon2id_with_the_parameters_of_the_standard() -> None:
    assert (
        Passwords().hash("x" * 12).startswith(f"$argon2id$v=19$m={MEMORY_KIB},t=3,p=4$")
    )


def test_password_is_verified_in_any_unicode_form(passwords: Passwords) -> None:
    hashed = passwords.hash("Grüße aus Köln")
    assert passwords.verify(hashed, "Gru\u0308ße aus Ko\u0308ln")
    assert not passwords.verify(hashed, "Gruße aus Koln")


@pytest.mark.parametrize("hashed", [None, "", "not a hash", "$argon2id$v=19$m=1$x$y"])
def test_no_password_fits_to_what_is_no_hash(
    passwords: Passwords, hashed: str | None
) -> None:
    assert not passwords.verify(hashed, "anything")


def test_hash_of_other_parameters_is_outdated(passwords: Passwords) -> None:
    hashed = passwords.hash("a password")
    assert not passwords.is_outdated(hashed)
    assert Passwords(time_cost=2, memory_kib=64).is_outdated(hashed)


def test_passwords_beyond_the_limit_are_refused_at_once(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes 64 MiB: a flood of logins must not take the memory."""
    started = threading.Semaphore(0)
    go_on = threading.Event()

    def slow_hash(_hasher: PasswordHasher, _password: bytes) -> str:
        started.release()
        go_on.wait(10)
        return "hash"

    monkeypatch.setattr(PasswordHasher, "hash", slow_hash)
    threads = [
        threading.Thread(target=passwords.hash, args=("x",))
        for _ in range(AT_ONCE + WAITING_MAX)
    ]
    for thread in threads:
        thread.start()
    for _ in range(AT_ONCE):
        assert started.acquire(timeout=10)
    while passwords._entered._value:  # noqa: SLF001 - until the last one waits
        pass
    with pytest.raises(TooManyLoginsError):
        passwords.hash("x")
    assert not started.acquire(blocking=False), "no more than AT_ONCE at the same time"
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert passwords.hash("x") == "hash"


def test_wait_for_a_turn_is_limited(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords_module, "WAIT_LIMIT_S", 0.01)
    for _ in range(AT_ONCE):
        passwords._free.acquire()  # noqa: SLF001 - as if two were computed
    with pytest.raises(TooManyLoginsError):
        passwords.verify(None, "x")


@pytest.mark.parametrize(
    "password", ["short", "x" * 257, "ann-ann-ann", "aaaaaaaaaaaa", "ababababababab"]
)
def test_weak_password_is_not_accepted(password: str) -> None:
    with pytest.raises(ConfigError, match="not accepted") as caught:
        check_new_password("ann", password)
    assert password not in str(caught.value)


def test_long_password_is_accepted() -> None:
    check_new_password("ann", "four random words here")
