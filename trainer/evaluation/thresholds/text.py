"""States in a few sentences how thresholds were chosen, and what the photos prove."""

from typing import assert_never

from models.manifest import ThresholdRule, Thresholds
from trainer.evaluation.thresholds.limits import ENOUGH_GOOD, allowed_errors


def thresholds_text(thresholds: Thresholds) -> str:
    """Return how thresholds were chosen, and what the photos prove."""
    target = thresholds.target or 0
    good, bad = thresholds.good_images, thresholds.images - thresholds.good_images
    match thresholds.rule:
        case ThresholdRule.OVERKILL:
            aim = (
                "Thresholds find as many defects as possible while at most "
                f"{_percent(target)} of good parts are alarmed."
            )
            return _proof(aim, thresholds, good, "good parts", "alarmed", "an alarm")
        case ThresholdRule.ESCAPES:
            aim = (
                "Thresholds alarm as few good parts as possible while at most "
                f"{_percent(target)} of defective parts escape."
            )
            return _proof(
                aim, thresholds, bad, "defective parts", "escaped", "an escape"
            )
        case ThresholdRule.BEST_F1:
            return (
                "Thresholds give each class its best balance of defects found and "
                f"false alarms (F1). With at least {ENOUGH_GOOD} good parts they would "
                "limit false alarms instead."
            )
        case _:
            assert_never(thresholds.rule)


def _proof(
    aim: str, thresholds: Thresholds, total: int, parts: str, happened: str, event: str
) -> str:
    """Return the aim, the share that was reached, and what it proves."""
    target, at_most = thresholds.target, thresholds.at_most
    if target is None or at_most is None or thresholds.reached is None:
        return aim  # of an older version
    hits = round(thresholds.reached * total)
    sentences = [aim, f"{hits} of {total} {happened}"]
    if thresholds.cross_checked is not None:
        crossed = round(thresholds.cross_checked * total)
        sentences[-1] += f" ({crossed} when the thresholds are chosen without them)"
    sentences[-1] += f": with 95 % confidence at most {_percent(at_most)}."
    if at_most > target:
        sentences.append(
            f"To show {_percent(target)}, {thresholds.photos_to_show} {parts} without "
            f"{event} are needed."
        )
    if hits > allowed_errors(target, total):
        sentences.append(f"No thresholds reach {_percent(target)} on these photos.")
    return " ".join(sentences)


def _percent(share: float) -> str:
    """Return a share in percent with two significant digits.

    >>> _percent(0.0722), _percent(0.005), _percent(0.3)
    ('7.2 %', '0.5 %', '30 %')
    """
    return f"{100 * share:.2g} %"
