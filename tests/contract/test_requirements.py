"""What is installed is locked by hash, and a line PC gets no training library."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

TRAINING_LIBRARIES = {"torch", "torchvision", "nncf", "onnx", "triton", "scipy"}
LOCK_FILES = (
    *("all.txt", "ansible.txt", "audit.txt", "line-pc.txt"),
    *("model-api.txt", "pip.txt", "uv.txt", "wheel.txt"),
)


def read_lock(file: Path) -> dict[str, set[str]]:
    """Return the pinned requirements (with markers) and the hashes of each."""
    locked: dict[str, set[str]] = {}
    name = ""
    for line in file.read_text("utf-8").splitlines():
        if line.strip().startswith("--hash=sha256:"):
            locked[name].add(line.strip().rstrip(" \\"))
        elif line and not line.lstrip().startswith("#"):
            name = line.rstrip(" \\")
            locked[name] = set()
    return locked


def project_names(locked: dict[str, set[str]]) -> set[str]:
    return {requirement.partition("==")[0] for requirement in locked}


@pytest.mark.parametrize("name", LOCK_FILES)
def test_every_requirement_is_pinned_with_hashes(repository: Path, name: str) -> None:
    locked = read_lock(repository / "requirements" / name)
    assert locked
    loose = [r for r, hashes in locked.items() if "==" not in r or not hashes]
    assert not loose


@pytest.mark.parametrize("name", LOCK_FILES)
def test_no_lock_file_names_an_index(repository: Path, name: str) -> None:
    text = (repository / "requirements" / name).read_text("utf-8")
    assert not re.search(r"--(extra-)?index-url|--find-links|https?://", text)


def test_line_pc_gets_no_training_library(repository: Path) -> None:
    locked = read_lock(repository / "requirements" / "line-pc.txt")
    names = project_names(locked)
    assert not names & TRAINING_LIBRARIES
    assert not {name for name in names if name.startswith("nvidia")}
    assert {"openvino", "onnxruntime", "paho-mqtt"} <= names


def test_wheelhouse_takes_the_same_files_for_every_python(repository: Path) -> None:
    # pip compares markers with the Python of the packing PC, not of the line PC.
    for name in ("line-pc.txt", "pip.txt"):
        locked = read_lock(repository / "requirements" / name)
        assert not [name for name in locked if re.search("python_(full_)?v", name)]
        shipped = repository / "deploy" / "templates" / "provision" / name
        assert read_lock(shipped) == locked


def test_line_pc_gets_the_versions_that_were_tested(repository: Path) -> None:
    everything = read_lock(repository / "requirements" / "all.txt")
    line_pc = read_lock(repository / "requirements" / "line-pc.txt")
    tested = {requirement.partition(" ;")[0] for requirement in everything}
    assert {requirement.partition(" ;")[0] for requirement in line_pc} <= tested


def test_every_dependency_of_the_project_is_locked(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    wanted = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.match(r"[A-Za-z0-9-]+", w)[0].lower() for w in wanted}  # type: ignore[index]
    locked = read_lock(repository / "requirements" / "all.txt")
    assert names <= project_names(locked)


def test_environment_without_cuda_leaves_out_what_only_torch_needs(
    repository: Path,
) -> None:
    script = (repository / "requirements" / "make_env.sh").read_text("utf-8")
    pattern = re.search(r"keep = \$0 !~ /\^\((.+)\)==/", script)
    assert pattern is not None
    left_out = re.compile(rf"(?:{pattern[1]})==")
    needed_by: dict[str, set[str]] = {}
    name = ""
    for line in (repository / "requirements/all.txt").read_text("utf-8").splitlines():
        if re.match("[a-z0-9]", line):
            name = line.partition("==")[0]
            needed_by[name] = set()
        elif found := re.match(r"    #(?: via)?( +[a-z0-9-]+)$", line):
            needed_by[name] |= {found[1].strip()} - {"via"}
    gone = {name for name in needed_by if left_out.match(f"{name}==")}
    assert {"torch", "torchvision", "triton", "cuda-toolkit"} <= gone
    assert {name for name in gone if name.startswith("nvidia-")}
    cuda = gone - {"torch", "torchvision"}
    needed = {name: needed_by[name] - gone for name in cuda}
    assert not any(needed.values()), needed


@pytest.mark.parametrize("choice", ["nonsense", "/no/such/folder"])
def test_unknown_build_of_torch_is_refused(
    repository: Path, tmp_path: Path, choice: str
) -> None:
    result = subprocess.run(
        [repository / "requirements" / "make_env.sh", tmp_path / "venv"],
        env={**os.environ, "TORCH": choice},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 3
    assert f"TORCH={choice} is neither cpu, cuda nor a folder" in result.stderr
    assert not (tmp_path / "venv").exists()
