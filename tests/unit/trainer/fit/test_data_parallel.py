"""Two real processes do the same steps as one."""

import json
import os
import socket
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from models.errors import TrainingError
from tests.command import REPOSITORY, environment
from trainer.detectors.names import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit.distributed.data_parallel import (
    SyncedBatchNorm,
    require_share,
    synchronize_norms,
)
from trainer.fit.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from trainer.fit.distributed.torchrun import run_distributed

FLOAT_NOISE = 1e-4  # of sums in another order, through some seventy layers


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The differences that a group of two processes reports."""
    out = tmp_path_factory.mktemp("group") / "facts.json"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.group_process", str(out)],
            cwd=REPOSITORY,
            env=environment()
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    report: dict[str, Any] = json.loads(out.read_text())
    return report


@pytest.mark.parametrize(
    "name", ["yolox", "yolox_good_only", "ssdlite", "ssdlite_good_only"]
)
def test_step_of_two_processes_is_that_of_one(facts: dict[str, Any], name: str) -> None:
    assert facts[name]["loss"] < FLOAT_NOISE
    assert facts[name]["gradient"] < FLOAT_NOISE


def test_batch_norm_covers_the_photos_of_both(facts: dict[str, Any]) -> None:
    assert max(facts["norm"].values()) < 1e-5


def test_numbers_are_summed_and_the_leaders_number_wins(facts: dict[str, Any]) -> None:
    assert facts["sum"] == 3 + 4
    assert facts["leader_number"] == 0.25


def test_process_with_other_photos_than_the_leader_is_refused(
    facts: dict[str, Any],
) -> None:
    assert facts["refused"]


def test_single_process_needs_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert run_distributed(lambda group: 5 if group is SINGLE_PROCESS else 0) == 5
    assert (SINGLE_PROCESS.sum_number(7), SINGLE_PROCESS.leader_number(0.5)) == (7, 0.5)
    SINGLE_PROCESS.require_same("anything", "x")
    SINGLE_PROCESS.leave_to_leader()


def test_processes_that_torchrun_did_not_start_are_refused_with_a_fix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="did not meet") as refused:
        run_distributed(lambda _: 0)
    assert "torchrun" in refused.value.fix
    assert "WORLD_SIZE" in os.environ


def test_more_processes_than_photos_a_step_are_refused() -> None:
    require_share(2, ProcessGroup(world_size=2))
    with pytest.raises(TrainingError, match="4 processes share a batch of 3"):
        require_share(3, ProcessGroup(world_size=4))


def test_synced_norms_keep_names_and_parameters() -> None:
    model = build_detector(Architecture.YOLOX_NANO, 2)
    before = dict(model.named_parameters())
    names = list(model.state_dict())
    synchronize_norms(model, ProcessGroup(world_size=2))
    assert list(model.state_dict()) == names
    assert all(p is before[name] for name, p in model.named_parameters())
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(isinstance(norm, SyncedBatchNorm) for norm in norms)


def test_synced_norm_in_evaluation_mode_is_torchs_own() -> None:
    plain = nn.BatchNorm2d(3)
    torch.manual_seed(0)
    plain.running_mean.normal_()  # type: ignore[union-attr]
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(
        SyncedBatchNorm(plain, SINGLE_PROCESS).eval()(x), plain.eval()(x)
    )
