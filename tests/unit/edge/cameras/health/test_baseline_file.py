import json
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.health.appearance import Measurer
from edge.cameras.health.baseline import Baseline, BaselineLearner
from edge.cameras.health.baseline_file import read_baseline
from models.errors import ConfigError
from tests.simulators import scenes

LEARN = 20


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    learner, measurer = BaselineLearner(LEARN), Measurer()
    results = [learner.add(measurer.measure(scenes.scene(at))) for at in range(LEARN)]
    learned = results[-1]
    assert learned is not None
    return learned


def test_baseline_is_read_as_it_was_written(baseline: Baseline, tmp_path: Path) -> None:
    path = tmp_path / "cam.json"
    path.write_text(json.dumps(baseline.as_document()))
    after = read_baseline(path)
    assert after is not None
    assert after.as_document() == baseline.as_document()
    np.testing.assert_array_equal(after.still, baseline.still)
    assert json.loads(path.read_text())["schema_version"] == 1


def test_missing_file_is_no_baseline(tmp_path: Path) -> None:
    assert read_baseline(tmp_path / "cam.json") is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"background_size_px": [3, 3]}, "pictures do not have 3 x 3 pixels"),
        ({"background_size_px": [-3, -3]}, "pictures do not have -3 x -3 pixels"),
        ({"background": "*"}, "not Base64"),
        ({"mean_low": None}, "mean_low"),
    ],
)
def test_file_that_is_no_baseline_is_refused_with_the_reason(
    baseline: Baseline, tmp_path: Path, change: dict[str, object], why: str
) -> None:
    path = tmp_path / "cam.json"
    path.write_text(json.dumps(baseline.as_document() | change))
    with pytest.raises(ConfigError, match=why) as caught:
        read_baseline(path)
    assert "Delete it" in str(caught.value)
    path.write_bytes(b"\x00\xff")
    with pytest.raises(ConfigError, match="not a camera's baseline"):
        read_baseline(path)
