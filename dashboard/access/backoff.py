"""How long a login waits after wrong passwords, for each name and each address.

The first failures cost nothing; each further one doubles the wait. They are kept in
memory: a restart forgets them.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FREE_BY_NAME: Final = 4
FREE_BY_ADDRESS: Final = 20  # several people may share one address
FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 300.0
DOUBLINGS_MAX: Final = 20  # beyond any longest wait
FORGOTTEN_AFTER_S: Final = 3600.0  # without a failure
KEYS_MAX: Final = 10_000  # a flood of names pushes the oldest out


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """Whose password is tried, and from where.

    Attributes:
        name: The user who is meant, whether there is one or not.
        address: The client; empty = not counted, as for a reverse proxy on this
            machine, from which all clients come.
    """

    name: str
    address: str

    @property
    def keys(self) -> tuple[str, ...]:
        """What failures are counted by."""
        by_name = f"name {self.name}"
        return (by_name, f"address {self.address}") if self.address else (by_name,)


@dataclass(slots=True)
class _Failures:
    count: int
    last_s: float


class LoginBackoff:
    """Counts wrong passwords; from any thread.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, attempt: LoginAttempt) -> float:
        """Count an attempt as a failure, unless it has to wait.

        It is counted before the password is checked, so that attempts at the same time
        are counted too; see ``succeed`` and ``cancel``.

        Returns:
            Seconds to wait; 0 = the password may be checked.
        """
        now = self._clock()
        with self._lock:
            wait = max(self._wait_of(key, now) for key in attempt.keys)
            if not wait:
                for key in attempt.keys:
                    self._count(key, now)
            return wait

    def succeed(self, attempt: LoginAttempt) -> None:
        """Forget the failures of the name: the password was right.

        Those of the address stay: a person with a password could guess those of others.
        """
        self.cancel(attempt)
        with self._lock:
            self._failures.pop(attempt.keys[0], None)

    def cancel(self, attempt: LoginAttempt) -> None:
        """Take an attempt back whose password was not checked."""
        with self._lock:
            for key in attempt.keys:
                if found := self._failures.get(key):
                    found.count = max(0, found.count - 1)

    def _wait_of(self, key: str, now: float) -> float:
        found = self._failures.get(key)
        free = FREE_BY_NAME if key.startswith("name ") else FREE_BY_ADDRESS
        if found is None or found.count < free:
            return 0.0
        doubled = min(found.count - free, DOUBLINGS_MAX)
        wait = min(FIRST_WAIT_S * 2.0**doubled, LONGEST_WAIT_S)
        return max(0.0, found.last_s + wait - now)

    def _count(self, key: str, now: float) -> None:
        found = self._failures.pop(key, None)
        if found is None or now - found.last_s > FORGOTTEN_AFTER_S:
            found = _Failures(0, now)
        found.count, found.last_s = found.count + 1, now
        self._failures[key] = found  # at the end: the oldest is the first
        while len(self._failures) > KEYS_MAX:
            self._failures.popitem(last=False)
