"""A step takes as many photos as fit in memory, and at least one."""

from pathlib import Path

import pytest
import torch

from models.errors import ConfigError
from trainer.detectors.names import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit import memory
from trainer.fit.memory import FIXED_BYTES, OVERHEAD, fitting_batch, kept_bytes

NANO = build_detector(Architecture.YOLOX_NANO, 2)
SIZE = (320, 640)
PHOTO = OVERHEAD * kept_bytes(NANO) * SIZE[0] * SIZE[1]


def fitting(available: float, max_batch: int = 8) -> int:
    return fitting_batch(NANO, SIZE, max_batch, FIXED_BYTES + available)


def test_batch_is_the_largest_that_fits_up_to_the_usual_one() -> None:
    assert [fitting(PHOTO * n) for n in (1.5, 3.5, 99)] == [1, 3, 8]
    assert fitting(float("inf")) == 8


def test_memory_too_small_for_one_photo_is_refused_with_a_fix() -> None:
    with pytest.raises(ConfigError, match="640 x 320 px") as caught:
        fitting(PHOTO * 0.9)
    assert "--size" in str(caught.value.fix)


def test_kept_bytes_are_those_of_autograd() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Sigmoid())
    kept = kept_bytes(model)  # type: ignore[arg-type]  # any network will do
    assert kept == 4 * (3 + 4)  # float32: the conv's input and the sigmoid's output


def test_counting_does_not_change_the_network() -> None:
    before = {name: value.clone() for name, value in NANO.state_dict().items()}
    NANO.train()
    kept_bytes(NANO)
    assert NANO.training
    for name, value in NANO.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_limit_of_a_container_counts_where_it_is_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, group = tmp_path / "meminfo", tmp_path / "memory.max"
    machine.write_text("MemTotal:        8000 kB\nMemFree:  1 kB\n")
    monkeypatch.setattr(memory, "MEMORY_INFO", machine)
    monkeypatch.setattr(memory, "CONTROL_GROUP", group)

    def available() -> float:
        return memory.memory_for_training(torch.device("cpu")) / memory.MEMORY_SHARE

    assert available() == pytest.approx(8000 * 1024)
    group.write_text("max\n")
    assert available() == pytest.approx(8000 * 1024)
    group.write_text("4096000\n")
    assert available() == pytest.approx(4096000)
    machine.unlink()
    group.unlink()
    assert available() == float("inf")
