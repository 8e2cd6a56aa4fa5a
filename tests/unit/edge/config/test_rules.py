import pytest
from pydantic import ValidationError

from edge.config.rules import PartsSettings, RegionSettings, duplicate_names

TRIANGLE = ((0, 0), (1, 0), (1, 1))


def test_names_of_more_than_one_region_are_found() -> None:
    names = ["rim", "hub", "rim", "bolt", "hub"]
    regions = tuple(RegionSettings(name=name, polygon=TRIANGLE) for name in names)
    assert duplicate_names(regions) == ["hub", "rim"]


def test_region_has_the_rules_of_its_settings() -> None:
    settings = RegionSettings(
        name="rim", polygon=TRIANGLE, thresholds={"dent": 0.3}, min_size_px=4
    )
    assert settings.region.corners.tolist() == [[0, 0], [1, 0], [1, 1]]


def test_part_must_leave_below_the_share_at_which_it_enters() -> None:
    with pytest.raises(ValidationError, match="must be less than enter_share"):
        PartsSettings(empty="empty.png", enter_share=0.1, leave_share=0.1)  # type: ignore[arg-type]
