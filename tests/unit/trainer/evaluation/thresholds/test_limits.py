"""Limits on the share of errors, checked before a training."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import DatasetError
from models.manifest import ThresholdRule
from trainer.data.dataset import Photo
from trainer.evaluation.thresholds.limits import ErrorLimit


def photo(defects: int) -> Photo:
    boxes = np.tile(np.array([[0, 0, 9, 9]], np.float32), (defects, 1))
    labels = np.zeros(defects, np.int64)
    return Photo(Path("x.png"), "0" * 64, 99, 99, boxes, labels)


def test_overkill_cannot_be_limited_without_good_parts() -> None:
    limit = ErrorLimit(ThresholdRule.OVERKILL, 0.01)
    with pytest.raises(DatasetError, match=r"--max-overkill 1\.00%.*good/"):
        limit.check([photo(1), photo(2)])
    limit.check([photo(1), photo(0)])


def test_escapes_can_be_limited_without_good_parts() -> None:
    ErrorLimit(ThresholdRule.ESCAPES, 0.01).check([photo(1)])
