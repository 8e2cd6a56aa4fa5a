"""Pictures of more than 8 bits, and damaged ones, through the real commands."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.errors import DatasetError
from models.manifest import Manifest
from models.package import Package, write_manifest
from tests.command import graftline
from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.packages import make_package, part_picture
from tests.simulators.photos import as_deep, write_coco
from tests.simulators.picture_files import damaged_jpeg, noisy_png

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BIT_DEPTH = 12


def with_bit_depth(package: Package, bit_depth: int | None) -> Package:
    """Return the same package as one of a run with deep photos."""
    info = package.manifest.input.model_copy(update={"bit_depth": bit_depth})
    manifest = package.manifest.model_copy(update={"input": info})
    return write_manifest(package.folder, manifest)


def run_line(tmp_path: Path, bit_depth: int | None) -> list[dict[str, object]]:
    """Return the verdicts on a good and a defective part of 12 bits in 16."""
    folder = tmp_path / "pc"
    (folder / "parts").mkdir(parents=True)
    for name, defects in (("a-good", []), ("b-defect", [(3, 4)])):
        deep = part_picture(*defects).astype(np.uint16) << (BIT_DEPTH - 8)
        assert cv2.imwrite(str(folder / "parts" / f"{name}.png"), deep)
    package = with_bit_depth(make_package(folder / "package"), bit_depth)
    (tmp_path / "broker").mkdir()
    with (
        Broker(tmp_path / "broker") as broker,
        SimCollector(tmp_path, broker.port) as collector,
    ):
        pc = DaemonPc(folder, broker.port, package)
        code, _, stderr = pc.run(camera_table("top", "folder:parts"))
        assert code == 0, stderr
        return collector.data("verdict")


def test_daemon_reads_deep_pictures_with_the_bit_depth_of_the_package(
    tmp_path: Path,
) -> None:
    verdicts = run_line(tmp_path, BIT_DEPTH)
    assert [one["verdict"] for one in verdicts] == ["ok", "defect"]


def test_daemon_refuses_deep_pictures_where_the_package_states_no_bit_depth(
    tmp_path: Path,
) -> None:
    verdicts = run_line(tmp_path, None)
    assert [one["verdict"] for one in verdicts] == ["not-inspected"] * 2
    assert "the package states no bit depth" in str(verdicts[0]["reason"])


def test_bit_depth_of_the_photos_is_in_run_and_package(tmp_path: Path) -> None:
    data = as_deep(write_coco(tmp_path / "data", good=4), BIT_DEPTH - 8)
    options = ("--weights", "none", "--size", "64", "--epochs", "1", "--batch", "4")
    trained = graftline("train", data, "--out", "run", *options, cwd=tmp_path)
    assert trained.code == 0, trained.errors
    assert "bit depth: 12, for 14 of 14 photos" in trained.errors
    record = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert record["split"]["bit_depth"] == BIT_DEPTH
    packed = graftline("pack", "run", "--out", "package", "--no-int8", cwd=tmp_path)
    assert packed.code == 0, packed.errors
    manifest = Manifest.model_validate_json(
        (tmp_path / "package" / "manifest.json").read_bytes()
    )
    assert manifest.input.bit_depth == BIT_DEPTH
    # Dark photos of the same camera are measured with the depth of the model.
    dark = as_deep(write_coco(tmp_path / "dark", good=4), 0)
    measured = graftline("evaluate", "run", dark, "--json", cwd=tmp_path)
    assert measured.code == 0, measured.errors
    assert "bit depth: 12" in measured.errors
    bright = as_deep(write_coco(tmp_path / "bright", good=4), 8)
    refused = graftline("evaluate", "package", bright, cwd=tmp_path)
    assert refused.code == DatasetError.exit_code
    assert "12 bits end at 4095" in refused.errors


def test_no_line_of_a_decoder_is_on_stderr(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "data", good=1)
    for number in range(8):
        (root / "good" / f"noisy-{number}.png").write_bytes(noisy_png())
    assert graftline("check", root, cwd=tmp_path).errors == ""
    contents = {
        "cut.jpg": damaged_jpeg(),
        "cut.png": noisy_png()[:-50],
        "cut.tif": b"II*\0" + bytes(90),
    }
    for name, content in contents.items():
        (root / "good" / name).write_bytes(content)
    answer = graftline("check", root, cwd=tmp_path)
    assert answer.code == DatasetError.exit_code
    assert answer.errors == ""
    assert "cut.jpg: the photo cannot be used: damaged: premature end" in answer.output
    assert answer.output.count("error: ") == len(contents)
