"""The processor's name on machines that name it and on those that do not."""

from pathlib import Path

import pytest

from models import machine
from models.machine import machine_name, processor_name


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (
            "model name\t: Intel(R) N100\nmodel name\t: other\n",
            "Intel(R) N100",
        ),
        (
            "model name\t:\nModel\t\t: Raspberry Pi 5\n",
            "Raspberry Pi 5",
        ),
    ],
)
def test_processor_has_the_name_in_cpuinfo(
    content: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(content)
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    assert processor_name() == name
    assert machine_name().startswith(f"{name}, ")
    assert machine_name().endswith(" cores")


def test_processor_without_a_name_is_its_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "missing")
    assert processor_name()
