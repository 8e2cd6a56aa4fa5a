"""The processor's name on machines that name it and on those that do not."""

from dataclasses import replace
from pathlib import Path

import pytest

from models import machine
from models.machine import Platform, machine_name, processor_name, this_platform


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


@pytest.mark.parametrize(
    ("line", "instructions"),
    [
        ("flags\t\t: fpu smep sse2 avx2 aes amx_int8", "amx_int8 avx2 sse2"),
        ("Features\t: fp asimd crc32 asimddp sve i8mm", "asimd asimddp i8mm sve"),
        ("bogomips\t: 4000", ""),
    ],
)
def test_instruction_set_is_what_computes_vectors(
    line: str, instructions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name\t: x\n{line}\n")
    monkeypatch.setattr(machine, "CPU_INFO", tmp_path / "cpuinfo")
    assert this_platform().instruction_set == instructions
    assert "openvino 20" in this_platform().runtimes


def test_differences_are_phrases_and_what_is_not_known_is_none() -> None:
    here = Platform("Xeon", "avx2 avx512f", "openvino 2026.4")
    assert here.differences(here) == ()
    other = Platform("Atom", "avx2 avx_vnni", "openvino 2026.5")
    assert here.differences(other) == (
        "processor Atom, not Xeon",
        "an instruction set without avx512f and with avx_vnni",
        "openvino 2026.5, not openvino 2026.4",
    )
    assert Platform("Xeon", "", "").differences(replace(other, processor="Xeon")) == ()
