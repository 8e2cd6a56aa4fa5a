from dataclasses import fields

import pytest
from pydantic import TypeAdapter, ValidationError

from edge.cameras.settings import CameraHealthSettings, ControlSettings

LAYOUTS = [ControlSettings, CameraHealthSettings]


def test_resolution_is_written_before_the_frame_rate_and_trigger_mode_last() -> None:
    names = [field.name for field in fields(ControlSettings)]
    assert names.index("width_px") < names.index("fps")
    assert names.index("auto_exposure") < names.index("exposure_time_us")
    assert names[-1] == "trigger_mode"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_defaults_are_within_their_bounds(layout: type) -> None:
    adapter = TypeAdapter(layout)
    defaults = {field.name: field.default for field in fields(layout)}
    assert adapter.validate_python(defaults) == layout()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bounds_are_those_that_pydantic_checks(layout: type) -> None:
    adapter = TypeAdapter(layout)
    for field in fields(layout):
        too_large = field.metadata.get("le")
        if too_large is not None:
            with pytest.raises(ValidationError, match="less than or equal"):
                adapter.validate_python({field.name: too_large + 1})
