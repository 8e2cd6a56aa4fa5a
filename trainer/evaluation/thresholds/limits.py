"""The share of errors that thresholds may cause: as requested, or by default.

Loads no training library, because every verb of the command line imports it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.counted import counted
from models.errors import DatasetError
from models.manifest import ThresholdRule
from trainer.data.dataset import Photo

OVERKILL_TARGET = 0.02
# Fewer good parts can promise no share of 10 % or less. With 5 of them the best F1
# alarms as rarely and finds 5 to 12 points more (bench/results/thresholds.json).
LEAST_GOOD = 9


@dataclass(frozen=True, slots=True)
class ErrorLimit:
    """A share of errors that must not be exceeded, on average over new parts."""

    rule: ThresholdRule  # `OVERKILL` or `ESCAPES`
    share: float  # good parts alarmed, or defective parts escaped; above 0, at most 1

    def check(self, photos: Sequence[Photo]) -> None:
        """Refuse, before a training, a limit that cannot be measured after it.

        Raises:
            DatasetError: The rule needs good parts, and there is none.
        """
        if self.rule is ThresholdRule.OVERKILL and not any(p.is_good for p in photos):
            raise DatasetError(
                f"--max-overkill {self.share:.2%}: no good part to count alarms on.",
                why=f"None of the {counted(len(photos), 'photo')} to measure on is "
                "of a good "
                "part.",
                fix="Put photos of good parts into the folder good/ of the dataset.",
            )
