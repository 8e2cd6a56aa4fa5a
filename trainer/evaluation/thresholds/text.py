"""What thresholds promise, in words that say no more than the photos prove."""

from models.manifest import ThresholdRule, Thresholds


def threshold_words(thresholds: Thresholds) -> str:
    """Return how the thresholds were chosen and what that proves.

    Args:
        thresholds: Of a run or a package.
    """
    target = thresholds.target or 0
    good, bad = thresholds.good_images, thresholds.images - thresholds.good_images
    match thresholds.rule:
        case ThresholdRule.OVERKILL:
            aim = (
                f"Thresholds find as much as possible while at most {_percent(target)} "
                "of good parts are alarmed."
            )
            return _promise(aim, thresholds, good, "good parts", "alarmed", "an alarm")
        case ThresholdRule.ESCAPES:
            aim = (
                "Thresholds alarm as little as possible while at most "
                f"{_percent(target)} of defective parts escape."
            )
            return _promise(
                aim, thresholds, bad, "defective parts", "escaped", "an escape"
            )
        case ThresholdRule.BEST_F1:
            return (
                "Thresholds give each kind its best balance of found and false (F1). "
                "With at least 30 good parts they would limit false alarms instead."
            )


def _promise(
    aim: str, thresholds: Thresholds, total: int, parts: str, happened: str, event: str
) -> str:
    """Return the aim, what was reached, and what it proves."""
    target, at_most = thresholds.target, thresholds.at_most
    if target is None or at_most is None or thresholds.reached is None:
        return aim
    hits = round(thresholds.reached * total)
    words = [aim, f"{hits} of {total} {happened}"]
    if thresholds.cross_checked is not None:
        crossed = round(thresholds.cross_checked * total)
        words[-1] += f" ({crossed} when the thresholds are chosen without them)"
    words[-1] += f": with 95 % confidence at most {_percent(at_most)}."
    if at_most > target:
        words.append(
            f"To show {_percent(target)}, {thresholds.photos_to_show} {parts} without "
            f"{event} are needed."
        )
    if hits > target * total + 1e-9:
        words.append(f"No thresholds reach {_percent(target)} on these photos.")
    return " ".join(words)


def _percent(share: float) -> str:
    """Return a share in percent, two digits that count.

    >>> _percent(0.0722), _percent(0.005), _percent(0.3)
    ('7.2 %', '0.5 %', '30 %')
    """
    return f"{100 * share:.2g} %"
