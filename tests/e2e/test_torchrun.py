"""``torchrun -m graftline train``: the same run as without it, by two processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from graftline import main
from tests.command import environment
from tests.simulators.photos import write_coco
from trainer.run import open_run
from trainer.run_record import CHECKPOINT_NAME, RECORD_NAME

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1")
RATE = ("--learning-rate", "3e-3")  # the photos are known after few epochs
OPTIONS = ("--size", "64", "--epochs", "8", "--batch", "5", *RATE)
LIMIT_S = 170
FLOAT_NOISE = 1e-3  # of weights, after sixteen steps of Adam
ONE_THREAD = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(LIMIT_S * 2),
    # Sums depend on the number of threads: the runs are compared.
    pytest.mark.usefixtures("one_thread"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos") / "d"
    return write_coco(root, {"train": 12, "val": 2}, good=4)


@pytest.fixture(scope="module")
def options(
    shared: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[object, ...]:
    """The options of a training in float32, from a run that knows these photos.

    Which anchor is assigned to a defect is a choice, and noise changes it while the
    network does not yet know.
    """
    before = tmp_path_factory.mktemp("before") / "run"
    coco = shared / "weights" / "yolox_nano_coco.pth"
    first = ("--weights", coco, "--size", "64", "--epochs", "80", "--batch", "5")
    assert train(photos, before, (*first, *RATE)) == 0
    return ("--from", before, *OPTIONS)


def train(photos: Path, out: Path, options: Sequence[object]) -> int:
    """Train in this process."""
    return main(["train", str(photos), "--out", str(out), *map(str, options)])


def start(
    arguments: Sequence[object], cwd: Path, program: Sequence[str] = ("-m", "graftline")
) -> "subprocess.Popen[str]":
    """Start the command on two processes."""
    launcher = (sys.executable, *TORCHRUN, "--nproc-per-node", "2", *program)
    return subprocess.Popen(
        [*launcher, *map(str, arguments)],
        cwd=cwd,
        env=environment() | ONE_THREAD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(launched: "subprocess.Popen[str]") -> tuple[int, str, str]:
    output, errors = launched.communicate(timeout=LIMIT_S)
    return launched.returncode, output, errors


def interrupt_after_an_epoch(launched: "subprocess.Popen[str]", run: Path) -> None:
    """Send Ctrl-C once the checkpoint is not the one from before the first step."""
    last = time.monotonic() + LIMIT_S
    checkpoint = run / CHECKPOINT_NAME
    inodes: set[int] = set()
    while len(inodes) < 2:
        assert time.monotonic() < last
        assert launched.poll() is None
        if checkpoint.exists():
            inodes.add(checkpoint.stat().st_ino)
        time.sleep(0.01)
    os.kill(launched.pid, signal.SIGINT)


def test_two_processes_interrupted_and_resumed_make_the_run_of_one(
    photos: Path, options: tuple[object, ...], tmp_path: Path
) -> None:
    assert train(photos, tmp_path / "one", options) == 0
    arguments = ("train", photos, "--out", "two", *options)
    launched = start(arguments, tmp_path)
    interrupt_after_an_epoch(launched, tmp_path / "two")
    _, _, errors = finish(launched)
    assert errors.count("graftline: interrupted") == 1
    assert not (tmp_path / "two" / RECORD_NAME).exists()
    state = torch.load(tmp_path / "two" / CHECKPOINT_NAME, weights_only=True)
    assert state["step"] > 0
    code, output, errors = finish(start((*arguments, "--resume"), tmp_path))
    assert code == 0, errors
    assert output.count("mAP@.33") == 1  # only the leader prints
    assert errors.count("training yolox-nano") == 1
    one, two = open_run(tmp_path / "one"), open_run(tmp_path / "two")
    losses = [[p.loss for p in run.record.curve] for run in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=FLOAT_NOISE)
    assert one.record.metrics.map_50 == pytest.approx(
        two.record.metrics.map_50, abs=0.01
    )
    wanted, got = (
        load_file(tmp_path / r / "model.safetensors") for r in ("one", "two")
    )
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, atol=FLOAT_NOISE, rtol=FLOAT_NOISE)


def test_failure_of_all_is_reported_once_with_its_exit_code(
    photos: Path, tmp_path: Path
) -> None:
    arguments = ("train", photos, "--out", "few", "--size", "64", "--batch", "1")
    code, output, errors = finish(start(arguments, tmp_path))
    assert code == 1  # torchrun's own; that of the command is in its summary
    assert output == ""
    assert errors.count("error: 2 processes share a batch of 1 photos.") == 1
    assert "exitcode  : 9 " in errors
    assert (
        "Traceback"
        not in errors.partition("ChildFailedError")[0].partition("api.py")[0]
    )


def test_failure_of_one_stops_the_other(photos: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_coco(other, {"train": 12, "val": 2}, good=4, seed=1)
    script = tmp_path / "one_each.py"
    script.write_text(
        "import os, sys, graftline\n"
        f"data = {[str(photos), str(other)]!r}[int(os.environ['RANK'])]\n"
        "sys.exit(graftline.main(['train', data, *sys.argv[1:]]))\n"
    )
    launched = start(("--out", "apart", *OPTIONS), tmp_path, (str(script),))
    code, _, errors = finish(launched)
    assert code == 1
    assert errors.count("error: Process 1 has recipe and photos") == 1
    assert errors.count("\nerror: ") + errors.startswith("error: ") == 1
    assert "exitcode  : 9 " in errors
