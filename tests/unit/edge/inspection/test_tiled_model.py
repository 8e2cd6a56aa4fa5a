"""The daemon inspects a frame tile by tile, as the trainer does."""

from pathlib import Path

import numpy as np
import pytest

from edge.inspection.model import load_model
from models.backends import open_detector
from models.detector import detect
from models.errors import PackageError
from models.manifest import VariantName
from models.package import read_manifest
from models.preprocess import Frame, letterbox_into
from tests.simulators.packages import (
    CELL_PX,
    install_package,
    make_package,
    make_tiled_package,
)

FP32 = VariantName.OPENVINO_FP32


def frame_with(*corners: tuple[int, int]) -> Frame:
    """Return a frame of twice the picture's size with bright cells."""
    frame = np.full((1152, 1664, 3), 60, np.uint8)
    for x, y in corners:
        frame[2 * y : 2 * (y + CELL_PX), 2 * x : 2 * (x + CELL_PX)] = 250
    return frame


@pytest.mark.parametrize("threads", [1, 2])
def test_daemon_finds_small_defects_where_detect_finds_them(
    tmp_path: Path, threads: int
) -> None:
    package = make_tiled_package(tmp_path / "package")
    tiles = package.manifest.tiling()
    assert tiles is not None
    assert tiles.count == 6
    model = load_model(install_package(tmp_path / "slot", package), threads, threads)
    # in the second tile alone; in the overlap of all four on the right
    corners = [(256 + 64, 32), (512 + 32, 256 + 32)]
    for _ in range(2):  # the second frame finds the first one's picture
        frame = frame_with(*corners)
        request = model.requests[0]
        box = letterbox_into(request.image, frame)
        request.start(lambda: None)
        got = model.decode(request.result(), box, model.score_thresholds)
        assert request.is_idle
        expected = [[2 * x, 2 * y, 2 * (x + 32), 2 * (y + 32)] for x, y in corners]
        np.testing.assert_allclose(sorted(got.boxes.tolist()), sorted(expected))
        same = detect(
            open_detector(package, FP32, threads=1),
            frame,
            package.manifest.score_thresholds(),
        )
        np.testing.assert_array_equal(got.boxes, same.boxes)
        np.testing.assert_array_equal(got.scores, same.scores)


def test_tiles_that_older_daemons_would_ignore_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="tiles need schema 2"):
        make_tiled_package(tmp_path / "package", schema_version=1)


def test_package_without_tiles_keeps_the_schema_of_older_daemons(
    tmp_path: Path,
) -> None:
    folder = make_package(tmp_path / "package").folder
    manifest = read_manifest(folder / "manifest.json")
    assert manifest.tiling() is None
