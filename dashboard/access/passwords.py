"""Hashes of passwords: argon2id, with a bound on how many are computed at once.

Source: RFC 9106, section 4, the second recommended option (64 MiB, three passes).
"""

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dashboard.access.secrets import new_secret
from models.errors import ConfigError

PASSWORD_MIN_CHARS: Final = 10
PASSWORD_MAX_CHARS: Final = 256
TIME_COST: Final = 3
MEMORY_KIB: Final = 64 * 1024
LANES: Final = 4
AT_ONCE: Final = 2  # each takes MEMORY_KIB and a core
WAITING_MAX: Final = 8
WAIT_LIMIT_S: Final = 10.0


class TooManyLoginsError(Exception):
    """So many passwords are being checked that this one would wait for long."""


def check_new_password(name: str, password: str) -> None:
    """Refuse a password that is too short or easily guessed.

    Args:
        name: The user whose password it is.

    Raises:
        ConfigError: It is not accepted.
    """
    why = ""
    if not PASSWORD_MIN_CHARS <= len(password) <= PASSWORD_MAX_CHARS:
        why = f"It must have {PASSWORD_MIN_CHARS} to {PASSWORD_MAX_CHARS} characters."
    elif name and name in password.lower():
        why = "It contains the name of the user."
    elif len(set(password)) < PASSWORD_MIN_CHARS // 2:
        why = "It repeats a few characters."
    if why:
        raise ConfigError(
            "The password is not accepted.",
            why=why,
            fix="Give a longer one, for example four random words.",
        )


class Passwords:
    """Hashes and verifies passwords; from any thread.

    Args:
        time_cost: Passes over the memory.
        memory_kib: Memory of one hash.
    """

    def __init__(
        self, time_cost: int = TIME_COST, memory_kib: int = MEMORY_KIB
    ) -> None:
        self._hasher = PasswordHasher(time_cost, memory_kib, LANES)
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._entered = threading.BoundedSemaphore(AT_ONCE + WAITING_MAX)
        self._of_no_user: str | None = None

    def hash(self, password: str) -> str:
        """Return the hash of a password, with its parameters and a new salt.

        Raises:
            TooManyLoginsError: Too many are being computed.
        """
        with self._turn():
            return self._hasher.hash(_same_form(password))

    def verify(self, hashed: str | None, password: str) -> bool:
        """Return whether a password belongs to a hash.

        The same work is done where there is no such user, so that the time shows
        nothing.

        Args:
            hashed: None = there is no such user; the answer is then False.

        Raises:
            TooManyLoginsError: Too many are being computed.
        """
        with self._turn():
            if self._of_no_user is None:
                self._of_no_user = self._hasher.hash(new_secret())
            try:
                compared = self._of_no_user if hashed is None else hashed
                self._hasher.verify(compared, _same_form(password))
            except (VerificationError, InvalidHashError):
                return False
            return hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Return whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._entered.acquire(blocking=False):
            raise TooManyLoginsError
        try:
            if not self._free.acquire(timeout=WAIT_LIMIT_S):
                raise TooManyLoginsError
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._entered.release()


def _same_form(password: str) -> bytes:
    """Return the bytes of a password: two keyboards may send one letter in two ways."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
