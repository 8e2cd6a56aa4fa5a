"""The processes of one training, as one of them uses them: sums and broadcasts.

No wait is endless: while a collective is outstanding, each process checks whether
another one has failed, and Python keeps handling Ctrl-C.
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

MAX_WAIT_S = 1800.0  # the leader may be validating on many photos meanwhile
POLL_S = 5e-5
FAILURE_CHECK_S = 0.2  # a check asks the store over TCP: not at every poll
EXIT_CODE_WAIT_S = 5.0  # between counting a failure and writing its exit code
FAILURES, EXIT_CODE = "graftline/failures", "graftline/exit_code"


class KeyValueStore(Protocol):
    """The store that all processes read and write: torch's, whose type is private."""

    def add(self, key: str, amount: int, /) -> int:
        """Add to a number; return the sum."""

    def check(self, keys: list[str], /) -> bool:
        """Return whether all keys exist."""

    def get(self, key: str, /) -> bytes:
        """Return the value of a key."""

    def set(self, key: str, value: str, /) -> None:
        """Write a key."""

    def wait(self, keys: list[str], timeout: timedelta, /) -> None:
        """Wait until all keys exist."""


class WorkerFinishedError(Exception):
    """This process is done; only the leader continues."""


class ProcessLostError(Exception):
    """Another process of the training has failed, is gone, or does not answer."""


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """The processes of one training, as one of them uses them.

    Attributes:
        rank: 0 is the leader.
        local_rank: Rank among the processes of the same machine.
        store: Shared by all processes; None for a single process.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    store: KeyValueStore | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this process writes, prints and validates."""
        return self.rank == 0

    def all_reduce(self, tensor: Tensor) -> None:
        """Replace a tensor by its sum over all processes.

        Args:
            tensor: Contiguous, of the same shape everywhere; changed in place.

        Raises:
            ProcessLostError: Another process does not take part.
        """
        if self.store is not None:
            self._finish(dist.all_reduce(tensor, async_op=True), tensor.device)

    def sum_number(self, number: int) -> int:
        """Return a number summed over all processes."""
        if self.store is None:
            return number
        total = torch.tensor(number, device=_device())
        self.all_reduce(total)
        return int(total)

    def leader_number(self, value: float) -> float:
        """Return the leader's value, for decisions that depend on a clock.

        Args:
            value: Ignored where this process is not the leader.
        """
        if self.store is None:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=_device())
        self._finish(dist.broadcast(shared, 0, async_op=True), shared.device)
        return float(shared)

    def leader_text(self, name: str, text: str) -> str:
        """Return the leader's text.

        Args:
            name: Key of the text; used once in a training.
            text: Ignored where this process is not the leader.
        """
        if self.store is None:
            return text
        key = f"graftline/text/{name}"
        if self.is_leader:
            self.store.set(key, text)
            return text
        return self._read(key)

    def broadcast_weights(self, module: nn.Module) -> None:
        """Copy the leader's weights and statistics to every process.

        Args:
            module: The same network everywhere; changed in place.
        """
        if self.store is None:
            return
        values = list(module.state_dict().values())
        # One buffer per type: a broadcast cannot mix integer counters and floats.
        for is_float in (True, False):
            chosen = [v for v in values if v.is_floating_point() == is_float]
            if chosen:
                flat = torch.cat([value.reshape(-1) for value in chosen])
                self._finish(dist.broadcast(flat, 0, async_op=True), flat.device)
                unflatten(flat, chosen)

    def require_same(self, name: str, value: str) -> None:
        """Refuse a value that differs from the leader's.

        Args:
            name: Shown in the error; used once in a training.
            value: This process's value.

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
        """Run the block in one process of each machine first, such as a download."""
        # A sum is the barrier: it returns when every process has reached it.
        if self.local_rank != 0:
            self.sum_number(0)
        yield
        if self.local_rank == 0:
            self.sum_number(0)

    def leave_to_leader(self) -> None:
        """Return in the leader only.

        Raises:
            WorkerFinishedError: In all others, which end with exit code 0.
        """
        if not self.is_leader:
            raise WorkerFinishedError

    def claim_failure(self, exit_code: int) -> bool:
        """Return whether this process failed first and must report the reason.

        Args:
            exit_code: Exit code of the other processes too.
        """
        if self.store is None:
            return True
        try:
            if self.store.add(FAILURES, 1) > 1:
                return False
            self.store.set(EXIT_CODE, str(exit_code))
        except RuntimeError:  # the store is gone: no other process can report it
            return True
        return True

    def failure_exit_code(self) -> int | None:
        """Return the exit code of the process that failed first; None = unknown."""
        if self.store is None:
            return None
        try:
            self.store.wait([EXIT_CODE], timedelta(seconds=EXIT_CODE_WAIT_S))
            return int(self.store.get(EXIT_CODE))
        except RuntimeError:  # that process was killed, or the store is gone
            return None

    def _finish(self, work: dist.Work | None, device: torch.device) -> None:
        """Wait for a collective while all processes live."""
        if work is None:
            return
        timeout = timedelta(seconds=MAX_WAIT_S)
        if device.type == "cuda":  # orders the stream; NCCL has its own time limit
            work.wait(timeout)
            return
        wait = _BoundedWait(self)
        while not work.is_completed():
            wait.pause()
        try:
            work.wait(timeout)
        except RuntimeError as exc:
            raise ProcessLostError(str(exc).splitlines()[0]) from exc

    def _read(self, key: str) -> str:
        """Return the value that the leader writes under a key."""
        if self.store is None:
            return ""
        wait = _BoundedWait(self)
        while not self.store.check([key]):
            wait.pause()
        return self.store.get(key).decode()


SINGLE_PROCESS = ProcessGroup()


class _BoundedWait:
    """Pauses between polls, until another process fails or the time is over."""

    def __init__(self, group: ProcessGroup) -> None:
        self._store = group.store
        self._checked_s = time.monotonic()
        self._deadline_s = self._checked_s + MAX_WAIT_S

    def pause(self) -> None:
        time.sleep(POLL_S)  # Python handles Ctrl-C here
        now_s = time.monotonic()
        if now_s > self._deadline_s:
            raise ProcessLostError(f"no answer for {MAX_WAIT_S:.0f} s")
        if self._store is None or now_s - self._checked_s < FAILURE_CHECK_S:
            return
        self._checked_s = now_s
        try:
            failed = self._store.check([EXIT_CODE])
        except RuntimeError as exc:
            raise ProcessLostError("the leading process is gone") from exc
        if failed:
            raise ProcessLostError("another process failed")


def _device() -> torch.device:
    """Return the device on which the backend of this process expects its tensors."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def unflatten(flat: Tensor, into: list[Tensor]) -> None:
    """Copy a flat buffer back into the tensors that it was built from.

    Args:
        flat: ``[M]``, the sum of their numbers of values.
        into: Changed in place.
    """
    start = 0
    for tensor in into:
        part = flat[start : start + tensor.numel()]
        tensor.copy_(part.reshape(tensor.shape))
        start += tensor.numel()
