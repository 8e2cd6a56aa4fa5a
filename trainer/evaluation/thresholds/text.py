"""States in a few sentences how thresholds were chosen, and what they promise."""

from collections.abc import Iterator
from typing import assert_never

from models.counted import agreeing, counted
from models.manifest import Promise, PromiseBasis, ThresholdRule, Thresholds
from trainer.evaluation.thresholds.limits import LEAST_GOOD, OVERKILL_TARGET
from trainer.evaluation.thresholds.order_statistics import parts_needed

ROUNDING = 1e-9  # error of shares that are calculated from counts


def thresholds_text(thresholds: Thresholds) -> str:
    """Return how thresholds were chosen, and what they promise."""
    if thresholds.promise:
        return " ".join(_promise(thresholds, thresholds.promise))
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
                f"{_subject(thresholds)} the best balance of defects found and false "
                "alarms (F1). Nothing is promised of new parts: that takes at least "
                f"{LEAST_GOOD} good parts to measure on, and "
                f"{parts_needed(OVERKILL_TARGET)} for at most "
                f"{_percent(OVERKILL_TARGET)} of good parts alarmed."
            )
        case _:
            assert_never(thresholds.rule)


def _subject(thresholds: Thresholds) -> str:
    if len(set(thresholds.scores.values())) == 1:
        return "One score threshold for all classes gives"
    return "The score thresholds give each class"


def _promise(thresholds: Thresholds, promise: Promise) -> Iterator[str]:
    """Yield the promise, what was counted, what is missing, and what is assumed."""
    is_overkill = thresholds.rule is ThresholdRule.OVERKILL
    kind = "good" if is_overkill else "defective"
    happen = "are alarmed" if is_overkill else "escape"
    happened = "alarmed" if is_overkill else "escaped"
    parts = promise.parts
    like = "like these"
    if promise.groups is not None:
        like = f"of {agreeing(promise.groups, 'this group', 'these groups')}"
    yield (
        "One score threshold for all classes: on average at most "
        f"{_percent(promise.share)} of {kind} parts {like} {happen}, by "
        f"{counted(parts, f'{kind} part')} that nothing else was chosen on."
    )
    if promise.basis is PromiseBasis.FOLDS:
        yield (
            "They were scored by the detectors of the folds, which were not trained on "
            "them: about the share holds in practice. Of the final detector nothing is "
            "guaranteed."
        )
    if thresholds.reached is not None and thresholds.at_most is not None:
        hits = round(thresholds.reached * parts)
        yield (
            f"{hits} of {parts} {happened}: with 95 % confidence at most "
            f"{_percent(thresholds.at_most)}."
        )
    target = thresholds.target or promise.share
    needed = parts_needed(target)
    if parts < needed:
        missing = counted(needed - parts, f"more {kind} part")
        yield (
            f"{_percent(target)} takes {counted(needed, f'{kind} part')} to measure "
            f"on: {missing}, not counting those that are trained on."
        )
    yield from _assumption(promise, target)


def _assumption(promise: Promise, target: float) -> Iterator[str]:
    """Yield what parts the promise is for."""
    if promise.groups is None or promise.unseen_group is None:
        yield "This is for parts like these only: same product, camera and light."
        return
    groups = counted(promise.groups, "group")
    yield (
        f"The parts are of {groups} that {agreeing(promise.groups, 'was', 'were')} not "
        f"trained on; at most {_percent(target)} in their mean, each with the same "
        "weight. Of a group that was not seen expect more: at most "
        f"{_percent(promise.unseen_group)} on average is guaranteed, and with "
        f"{groups} nothing below {_percent(1 / (promise.groups + 1))} can be."
    )


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
    if thresholds.reached > target + ROUNDING:
        sentences.append(f"No thresholds reach {_percent(target)} on these photos.")
    return " ".join(sentences)


def _percent(share: float) -> str:
    """Return a share in percent with two significant digits.

    >>> _percent(0.0722), _percent(0.005), _percent(0.3)
    ('7.2 %', '0.5 %', '30 %')
    """
    return f"{100 * share:.2g} %"
