"""What a package knows about its defects, from the manifest or the golden frames."""

from pathlib import Path

import pytest

from edge.config.station import load_edge_config
from edge.inspection.known_defects import (
    configured_silent_rules,
    known_defects,
    known_in_slot,
)
from models.errors import PackageError
from models.manifest import LabelledBoxes
from models.package import Package, write_manifest
from models.slot_files import SlotFolder
from tests.simulators.edge_config import MINIMAL
from tests.simulators.packages import CELL_PX, install_package, make_package

BOXES = LabelledBoxes(
    count=30,
    smallest_px=8,
    median_px=20,
    largest_px=60,
    smallest_share=0.025,
    largest_share=0.1875,
    photo_size_px=(320, 320),
    centres=(0.1, 0.2, 0.9, 0.8),
    highest_score=0.95,
)
REGION = """
[[camera.region]]
name = "body"
polygon = [[0, 0], [1, 0], [1, 1], [0, 1]]
"""


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return make_package(tmp_path / "package")


def test_labelled_boxes_of_the_manifest_are_used(package: Package) -> None:
    update = {"labelled_boxes": {"red": BOXES}}
    newer = write_manifest(package.folder, package.manifest.model_copy(update=update))
    bright, red = known_defects(newer)
    assert (bright.label, bright.count, bright.highest_score) == ("bright", 0, None)
    assert (red.label, red.count, red.largest_px) == ("red", 30, 60)
    assert (red.highest_score, red.score_threshold) == (0.95, 0.5)
    assert red.centres == (0.1, 0.2, 0.9, 0.8)
    assert red.photo_size_px == (320, 320)
    assert not red.is_sample


def test_golden_frames_of_an_earlier_package_are_used(package: Package) -> None:
    bright, red = known_defects(package)
    assert bright.is_sample
    assert red.is_sample
    assert bright.largest_px == red.largest_px == CELL_PX
    assert bright.largest_share == pytest.approx(0.1)
    assert bright.photo_size_px == (320, 320)
    assert bright.count + red.count == 10
    assert bright.highest_score == pytest.approx(0.98, abs=0.01)


def test_golden_frame_without_a_size_is_named(package: Package) -> None:
    (package.folder / "golden" / "07.png").write_bytes(b"no")
    with pytest.raises(PackageError, match=r"07\.png: golden frame cannot be read"):
        known_defects(package)


def test_slot_without_a_package_knows_nothing(tmp_path: Path) -> None:
    assert known_in_slot(SlotFolder(tmp_path / "slot")) == ()


def test_rules_of_a_configuration_are_compared_with_the_installed_package(
    tmp_path: Path, package: Package
) -> None:
    install_package(tmp_path / "slot", package)
    path = tmp_path / "edge.toml"
    path.write_text(MINIMAL + REGION + "min_size_px = 500", "utf-8")
    (rule,) = configured_silent_rules(load_edge_config(path))
    assert str(rule) == (
        "camera top: region body has min_size_px = 500, which hides every known "
        "bright (at most 32 px), red (at most 32 px)"
    )
    path.write_text(MINIMAL + REGION + "min_size_px = 12", "utf-8")
    assert configured_silent_rules(load_edge_config(path)) == []
