"""A step takes as many photos as find room, and no fewer than one."""

from pathlib import Path

import pytest
import torch

from models.errors import ConfigError
from trainer.detectors.base import Architecture
from trainer.detectors.zoo import build_detector
from trainer.fit import memory
from trainer.fit.memory import BESIDES_BYTES, ON_TOP, fitting_batch, kept_bytes

NANO = build_detector(Architecture.YOLOX_NANO, 2)
SIZE = (320, 640)
PHOTO = ON_TOP * kept_bytes(NANO) * SIZE[0] * SIZE[1]


def fitting(room: float, most: int = 8) -> int:
    return fitting_batch(NANO, SIZE, most, BESIDES_BYTES + room)


def test_batch_is_as_large_as_finds_room_up_to_what_is_enough() -> None:
    assert [fitting(PHOTO * n) for n in (1.5, 3.5, 99)] == [1, 3, 8]
    assert fitting(float("inf")) == 8


def test_no_room_for_one_photo_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="640 x 320 px") as caught:
        fitting(PHOTO * 0.9)
    assert "--size" in str(caught.value.fix)


def test_what_is_kept_is_what_autograd_keeps() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.Sigmoid())
    kept = kept_bytes(model)  # type: ignore[arg-type]  # any network will do
    assert kept == 4 * (3 + 4)  # float32: the conv's input and the sigmoid's output


def test_counting_leaves_the_network_as_it_was() -> None:
    before = {name: value.clone() for name, value in NANO.state_dict().items()}
    NANO.train()
    kept_bytes(NANO)
    assert NANO.training
    for name, value in NANO.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_container_limits_what_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, group = tmp_path / "meminfo", tmp_path / "memory.max"
    machine.write_text("MemTotal:        8000 kB\nMemFree:  1 kB\n")
    monkeypatch.setattr(memory, "MEMORY_INFO", machine)
    monkeypatch.setattr(memory, "CONTROL_GROUP", group)

    def room() -> float:
        return memory.room_in_memory(torch.device("cpu")) / memory.ROOM_SHARE

    assert room() == pytest.approx(8000 * 1024)
    group.write_text("max\n")
    assert room() == pytest.approx(8000 * 1024)
    group.write_text("4096000\n")
    assert room() == pytest.approx(4096000)
    machine.unlink()
    group.unlink()
    assert room() == float("inf")
