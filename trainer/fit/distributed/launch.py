"""One training on several processes: ``torchrun``, the same command, the same result.

::

    torchrun --nproc-per-node 2 -m graftline train PHOTOS --out RUN

Every process draws the same order of photos and takes its share of each batch; losses
are divided by what the *whole* batch holds and gradients are summed, so that a step is
the step of one process with that batch (Goyal et al., arXiv:1706.02677, remark 3, is
what goes wrong otherwise). Only the leader, rank 0, writes, prints and measures.

Whoever fails first says so in the store that all share, and is the only one to speak;
the others see it within a moment, also while they wait for a sum, and end with the
same exit code.
"""

import os
import time
from collections.abc import Callable
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from models.errors import ExitCode, GraftlineError, TrainingError
from trainer.fit.distributed.process_group import (
    LONGEST_WAIT_S,
    SINGLE_PROCESS,
    ProcessGroup,
    ProcessLostError,
    WorkerFinishedError,
    spread,
)

MEETING_S = 300.0  # until all processes are there
LINGER_S = 1.0


def run_in_team(work: Callable[[ProcessGroup], int]) -> int:
    """Run a verb in one process, or in each of those that torchrun started.

    Args:
        work: The verb; returns its exit code.

    Returns:
        Exit code; of the process that failed first where this one has nothing to say.

    Raises:
        TrainingError: The processes do not find each other, or one has vanished.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return work(SINGLE_PROCESS)
    team = _join()
    try:
        code = work(team)
    except WorkerFinishedError:
        code = ExitCode.OK
    except ProcessLostError as exc:
        said = team.code_of_failure()
        if said is None and team.claim_failure(TrainingError.exit_code):
            raise _vanished(exc) from exc
        return _follow(said or TrainingError.exit_code)
    # Whatever else went wrong here is told once, here or by whom it hit first.
    except BaseException as exc:
        code = _code_of(exc)
        if team.claim_failure(code):
            raise
        return _follow(team.code_of_failure() or code)
    dist.destroy_process_group()
    return code


def sum_gradients(model: nn.Module, loss: Tensor, team: ProcessGroup) -> float:
    """Sum gradients and loss over all processes; a team of one has them.

    Args:
        model: After ``backward``; its gradients are changed in place.
        loss: Scalar, this process's part.
        team: Who takes part.

    Returns:
        Loss of the whole batch.
    """
    if team.size == 1:
        return float(loss)
    gradients = []
    for parameter in model.parameters():
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    flat = torch.cat([loss.reshape(1), *(g.reshape(-1) for g in gradients)])
    team.sum_into(flat)
    spread(flat[1:], gradients)
    return float(flat[0])


def require_share(batch: int, team: ProcessGroup) -> None:
    """Stop where a process would have no photo in a step.

    Args:
        batch: Photos a step, over all processes.
        team: Who takes part.

    Raises:
        TrainingError: More processes than photos a step.
    """
    if batch < team.size:
        raise TrainingError(
            f"{team.size} processes share a batch of {batch} photos.",
            why="Each needs at least one photo a step.",
            fix="Start fewer processes, or train more photos a step with --batch.",
        )


def _join() -> ProcessGroup:
    """Meet the other processes that torchrun started."""
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
        meeting = rendezvous("env://", timeout=timedelta(seconds=MEETING_S))
        store, rank, size = next(meeting)
        dist.init_process_group(
            "nccl" if gpus else "gloo",
            store=store,
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=LONGEST_WAIT_S),
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
    """Let the process that failed first speak: torchrun ends all when one has ended."""
    time.sleep(LINGER_S)
    return code


def _vanished(cause: Exception) -> TrainingError:
    """Return the error of a process that went without a word."""
    return TrainingError(
        "Another process of this training is gone.",
        why=f"{cause}.",
        fix="See what its machine says (out of memory?), then go on with --resume.",
    )


def _code_of(error: BaseException) -> int:
    """Return the exit code that the command gives an error."""
    if isinstance(error, GraftlineError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    return ExitCode.BUG
