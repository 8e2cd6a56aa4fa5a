from datetime import UTC, datetime
from typing import cast

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from models.manifest import Manifest, RelativePath, Tolerance, build_number
from models.package import Package

PATH: TypeAdapter[str] = TypeAdapter(RelativePath)


@pytest.mark.parametrize("path", ["a", "a/b.png", "openvino/fp32.xml", "..a/b", "a..b"])
def test_path_inside_the_package_is_accepted(path: str) -> None:
    assert PATH.validate_python(path) == path


@pytest.mark.parametrize(
    "path", ["", ".", "/etc/passwd", "..", "../a", "a/../../b", "a/..", "a\\..\\b"]
)
def test_path_that_leaves_the_package_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="would leave the package"):
        PATH.validate_python(path)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1])
def test_tolerance_is_a_share(score: float) -> None:
    with pytest.raises(ValidationError):
        Tolerance(score=score, iou=0.9)


def test_thresholds_are_in_the_order_of_the_labels(sealed: Package) -> None:
    thresholds = sealed.manifest.thresholds.model_copy(
        update={"scores": {"red": 0.75, "bright": 0.25}}
    )
    manifest = sealed.manifest.model_copy(update={"thresholds": thresholds})
    assert manifest.labels == ("bright", "red")
    assert manifest.score_thresholds().tolist() == [0.25, 0.75]
    assert manifest.score_thresholds().dtype == np.float32


def test_unknown_fields_survive_reading_and_writing(sealed: Package) -> None:
    document = sealed.manifest.model_dump(mode="json")
    document["color_of_the_box"] = "blue"
    document["input"]["bits"] = 12
    again = Manifest.model_validate(document).model_dump(mode="json")
    assert again["color_of_the_box"] == "blue"
    assert again["input"]["bits"] == 12


def test_manifest_cannot_be_changed(sealed: Package) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        sealed.manifest.build = 7  # type: ignore[misc]


def test_build_number_is_the_second_of_packing() -> None:
    assert build_number(datetime(1970, 1, 2, 0, 0, 1, 900_000, UTC)) == 86401


@pytest.mark.parametrize("path", ["a" * 300, "a/" * 600 + "b", "a\nb", "a\x1b[2Jb"])
def test_path_that_no_disk_or_terminal_takes_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match=r"too long|cannot be printed"):
        PATH.validate_python(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("build",), 10**400),
        (("input", "height_px"), 10**6),
        (("input", "width_px"), 10**6),
        (("output", "anchors"), 10**12),
        (("labels",), ["x" * 10_000]),
        (("labels",), [str(number) for number in range(5000)]),
        (("tiles",), {"picture_height_px": 10**7, "picture_width_px": 64}),
        (("tiles",), {"picture_height_px": 4000, "picture_width_px": 4000}),
        (("tiles",), {"picture_height_px": 60_000, "picture_width_px": 60_000}),
        (("files",), {"a" * 300: {"sha256": "0" * 64, "size_bytes": 1}}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_manifest_has_upper_bounds(
    sealed: Package, place: tuple[str, ...], value: object
) -> None:
    document = sealed.manifest.model_dump(mode="json", exclude_none=True)
    document["schema_version"] = 2
    if place == ("tiles",):
        overlap_px = document["input"]["height_px"] - 1
        value = {**cast("dict[str, int]", value), "overlap_px": overlap_px}
    inside = document
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    with pytest.raises(ValidationError):
        Manifest.model_validate(document)
