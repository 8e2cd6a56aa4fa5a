"""Runs a command in each process that ``torchrun`` started.

::

    torchrun --nproc-per-node 2 -m graftline train PHOTOS --out RUN

Only the leader, rank 0, writes, prints and validates. The process that fails first
claims the failure in the shared store and is the only one to report it. The others
detect the failure, even while they wait for a sum, and end with the same exit code.
"""

import os
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from models.errors import ExitCode, GraftlineError, TrainingError
from trainer.fit.distributed.process_group import (
    MAX_WAIT_S,
    SINGLE_PROCESS,
    ProcessGroup,
    ProcessLostError,
    WorkerFinishedError,
)

RENDEZVOUS_S = 300.0  # machines may start minutes apart
LINGER_S = 1.0  # torchrun kills all processes when one ends: time for the report


def run_distributed(command: Callable[[ProcessGroup], int]) -> int:
    """Run a command in one process, or in each of those that torchrun started.

    Args:
        command: Returns its exit code.

    Returns:
        Exit code; if another process failed first, its exit code.

    Raises:
        TrainingError: The processes do not find each other, or one is gone.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return command(SINGLE_PROCESS)
    group = _join()
    try:
        code = command(group)
    except WorkerFinishedError:
        code = ExitCode.OK
    except ProcessLostError as exc:
        first_code = group.failure_exit_code()
        if first_code is None and group.claim_failure(TrainingError.exit_code):
            raise _vanished(exc) from exc
        return _follow(first_code or TrainingError.exit_code)
    # Any other failure is reported once: here, or by the process that failed first.
    except BaseException as exc:
        code = _exit_code_of(exc)
        if group.claim_failure(code):
            raise
        return _follow(group.failure_exit_code() or code)
    dist.destroy_process_group()
    return code


def _join() -> ProcessGroup:
    """Connect to the other processes that torchrun started."""
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ.get("LOCAL_RANK", str(rank)))
    gpus = torch.cuda.device_count()
    if gpus:
        if local_rank >= gpus:
            raise TrainingError(
                f"Process {local_rank} of this machine has no GPU.",
                why=f"There are {gpus}; each process needs its own.",
                fix=f"torchrun --nproc-per-node {gpus} -m graftline train ...",
            )
        torch.cuda.set_device(local_rank)
    try:
        meeting = rendezvous("env://", timeout=timedelta(seconds=RENDEZVOUS_S))
        store, rank, size = next(meeting)
        dist.init_process_group(
            "nccl" if gpus else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=MAX_WAIT_S),
        )
    except (ValueError, RuntimeError) as exc:
        raise TrainingError(
            f"Process {rank} of {size} did not meet the others.",
            why=str(exc).splitlines()[0],
            fix="Start all with torchrun, and let the machines reach each other on "
            "--master-port (GLOO_SOCKET_IFNAME names the network to use).",
        ) from exc
    return ProcessGroup(rank, size, local_rank, store)


def _follow(code: int) -> int:
    """Wait for the process that failed first to report."""
    time.sleep(LINGER_S)
    return code


def _vanished(cause: Exception) -> TrainingError:
    """Return the error of a process that ended without claiming its failure."""
    return TrainingError(
        "Another process of this training is gone.",
        why=f"{cause}.",
        fix="Read the log of its machine (out of memory?), then use --resume.",
    )


def _exit_code_of(error: BaseException) -> int:
    """Return the exit code of the command for an error."""
    if isinstance(error, GraftlineError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    return ExitCode.BUG
