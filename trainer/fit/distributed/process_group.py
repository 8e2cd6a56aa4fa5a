"""The processes of one training, seen by one of them: sums, agreements, farewells.

Nobody waits for what never comes: while a sum is outstanding, each process looks
whether another one has failed, and Python keeps seeing Ctrl-C.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn

from models.errors import TrainingError

LONGEST_WAIT_S = 1800.0  # the leader may be measuring on many photos
POLL_S = 5e-5
LOOK_EVERY_S = 0.2  # whether another process has failed
CODE_WAIT_S = 5.0  # a process that failed has said its code by then
FAILURES, EXIT_CODE = "graftline/failures", "graftline/exit_code"


class KeyValueStore(Protocol):
    """What all processes read and write: torch's store, whose type is private."""

    def add(self, key: str, amount: int, /) -> int:
        """Add to a number; return the sum."""

    def check(self, keys: list[str], /) -> bool:
        """Return whether all keys are there."""

    def get(self, key: str, /) -> bytes:
        """Return what is under a key."""

    def set(self, key: str, value: str, /) -> None:
        """Write a key."""

    def wait(self, keys: list[str], timeout: timedelta, /) -> None:
        """Wait until all keys are there."""


class WorkerFinishedError(Exception):
    """This process has done its part; what is left is the leader's."""


class ProcessLostError(Exception):
    """Another process of the training has failed, is gone, or does not answer."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """The processes of one training, seen by one of them.

    Attributes:
        rank: Of this process; 0 leads.
        size: Number of processes.
        local_rank: Of this process on its machine.
        store: What all of them can write into; None for a team of one.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    store: KeyValueStore | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this process writes, prints and measures."""
        return self.rank == 0

    def sum_into(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes.

        Args:
            tensor: Contiguous, of the same shape everywhere; changed in place.

        Raises:
            TeammateLostError: Another process does not come.
        """
        if self.store is not None:
            self._finish(dist.all_reduce(tensor, async_op=True), tensor.device)

    def count(self, number: int) -> int:
        """Return a number summed over all processes.

        Args:
            number: This process's part.
        """
        if self.store is None:
            return number
        total = torch.tensor(number, device=_device())
        self.sum_into(total)
        return int(total)

    def of_leader(self, value: float) -> float:
        """Return the leader's value: for what a clock or a measurement decides.

        Args:
            value: Counts only where this process leads.
        """
        if self.store is None:
            return value
        said = torch.tensor(value, dtype=torch.float64, device=_device())
        self._finish(dist.broadcast(said, 0, async_op=True), said.device)
        return float(said)

    def text_of_leader(self, name: str, text: str) -> str:
        """Return the leader's text.

        Args:
            name: What it is; asked for once.
            text: Counts only where this process leads.
        """
        if self.store is None:
            return text
        key = f"graftline/text/{name}"
        if self.is_leader:
            self.store.set(key, text)
            return text
        return self._read(key)

    def copy_leader(self, module: nn.Module) -> None:
        """Give every process the leader's weights and statistics.

        Args:
            module: The same network everywhere; changed in place.
        """
        if self.store is None:
            return
        values = list(module.state_dict().values())
        for exact in (True, False):
            chosen = [v for v in values if v.is_floating_point() == exact]
            if chosen:
                flat = torch.cat([value.reshape(-1) for value in chosen])
                self._finish(dist.broadcast(flat, 0, async_op=True), flat.device)
                spread(flat, chosen)

    def require_same(self, name: str, value: str) -> None:
        """Stop where a process has something else than the leader.

        Args:
            name: What it is, for people; asked for once.
            value: What this process has.

        Raises:
            TrainingError: It differs.
        """
        if self.store is None:
            return
        key = f"graftline/same/{name}"
        if self.is_leader:
            self.store.set(key, value)
            return
        wanted = self._read(key)
        if wanted != value:
            raise TrainingError(
                f"Process {self.rank} has {name} = {value}.",
                why=f"Process 0 has {name} = {wanted}.",
                fix="Give all machines the same photos, files and options.",
            )

    @contextmanager
    def first_on_machine(self) -> Iterator[None]:
        """Let one process of each machine go first, for example to download."""
        if self.local_rank != 0:
            self.count(0)
        yield
        if self.local_rank == 0:
            self.count(0)

    def dismiss_others(self) -> None:
        """Go on in the leader only.

        Raises:
            DismissedError: In all others, which end with exit code 0.
        """
        if not self.is_leader:
            raise WorkerFinishedError

    def claim_failure(self, code: int) -> bool:
        """Return whether this process failed first and is to say why.

        Args:
            code: Exit code that all processes end with.
        """
        if self.store is None:
            return True
        try:
            if self.store.add(FAILURES, 1) > 1:
                return False
            self.store.set(EXIT_CODE, str(code))
        except RuntimeError:  # the store is gone: nobody is left to say it
            return True
        return True

    def code_of_failure(self) -> int | None:
        """Return the exit code of the process that failed first; None = none said."""
        if self.store is None:
            return None
        try:
            self.store.wait([EXIT_CODE], timedelta(seconds=CODE_WAIT_S))
            return int(self.store.get(EXIT_CODE))
        except RuntimeError:  # it was killed, or the store is gone
            return None

    def _finish(self, work: dist.Work | None, device: torch.device) -> None:
        """Wait for a collective, and for nothing that will never come."""
        if work is None:
            return
        longest = timedelta(seconds=LONGEST_WAIT_S)
        if device.type == "cuda":  # orders the stream; NCCL itself watches the time
            work.wait(longest)
            return
        watch = _Watch(self)
        while not work.is_completed():
            watch.pause()
        try:
            work.wait(longest)
        except RuntimeError as exc:
            raise ProcessLostError(str(exc).splitlines()[0]) from exc

    def _read(self, key: str) -> str:
        """Return what the leader writes under a key."""
        if self.store is None:
            return ""
        watch = _Watch(self)
        while not self.store.check([key]):
            watch.pause()
        return self.store.get(key).decode()


SINGLE_PROCESS = ProcessGroup()


class _Watch:
    """Waits in small pauses: for as long as the others live, and not for ever."""

    def __init__(self, team: ProcessGroup) -> None:
        self._store = team.store
        self._looked = time.monotonic()
        self._last = self._looked + LONGEST_WAIT_S

    def pause(self) -> None:
        """Sleep a little.

        Raises:
            TeammateLostError: Another process failed, or the time is over.
        """
        time.sleep(POLL_S)  # Python sees Ctrl-C here
        now = time.monotonic()
        if now > self._last:
            raise ProcessLostError(f"no answer for {LONGEST_WAIT_S:.0f} s")
        if self._store is None or now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        try:
            failed = self._store.check([EXIT_CODE])
        except RuntimeError as exc:
            raise ProcessLostError("the process that leads is gone") from exc
        if failed:
            raise ProcessLostError("another process failed")


def _device() -> torch.device:
    """Return where this process's backend wants its tensors."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def spread(flat: Tensor, into: list[Tensor]) -> None:
    """Copy a flat buffer back into the tensors that it was made of.

    Args:
        flat: ``[M]``, the sum of their numbers of values.
        into: Changed in place.
    """
    start = 0
    for tensor in into:
        part = flat[start : start + tensor.numel()]
        tensor.copy_(part.reshape(tensor.shape))
        start += tensor.numel()
