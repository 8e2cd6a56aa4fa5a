"""All files that the verbs of the workstation write have the mode of the umask."""

import os
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from graftline import main
from tests.simulators.photos import write_coco

SMALL = ("--size", "64", "--batch", "4", "--weights", "none")


@pytest.fixture(params=[0o022, 0o027], ids=["022", "027"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    mask = int(request.param)
    before = os.umask(mask)
    yield mask
    os.umask(before)


def test_files_and_folders_have_one_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    monkeypatch.setenv("GRAFTLINE_CACHE", str(tmp_path / "written/cache"))
    data = write_coco(tmp_path / "data", {"train": 9, "val": 5}, good=3)
    with ZipFile(tmp_path / "data.zip", "w") as archive:
        for path in sorted(data.rglob("*")):
            archive.write(path, path.relative_to(data))
    written = tmp_path / "written"
    out = {name: str(written / name) for name in ("run", "package", "copy", "line")}
    run = ("train", str(tmp_path / "data.zip"), "--out", out["run"], *SMALL)
    assert main([*run, "--epochs", "2", "--folds", "2"]) == 0
    assert main(["pack", out["run"], "--out", out["package"], "--no-int8"]) == 0
    page = str(written / "check/page.html")
    assert main(["check", str(data), "--fix", out["copy"], "--html", page]) == 0
    report = str(written / "evaluate/report.html")
    assert main(["evaluate", out["package"], str(data), "--report", report]) == 0
    few = ("--photos", "12", "--good", "2", "--parts", "2", "--size", "256")
    assert main(["synth", "--out", out["line"], *few]) == 0

    paths = sorted(written.rglob("*"))
    assert {"model.safetensors", "checkpoint.pt", "report.json", "manifest.json"} <= {
        path.name for path in paths
    }
    modes = {path: path.stat().st_mode & 0o777 for path in paths}
    wanted = {True: 0o777 & ~umask, False: 0o666 & ~umask}
    assert {p: oct(m) for p, m in modes.items() if m != wanted[p.is_dir()]} == {}
