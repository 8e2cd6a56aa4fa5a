from datetime import UTC, datetime

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
