"""What more photos would bring, in a sentence that promises no more than is known."""

from typing import assert_never

from trainer.judge.outlook import FARTHEST, FEWEST_POINTS, Outlook, Verdict

MEAN_PRECISION = "mAP@.33"


def outlook_words(outlook: Outlook) -> str:
    """Return the sentence.

    Args:
        outlook: Of a class, or of all together.
    """
    series = outlook.series
    of = f" of {series.label}" if series.label is not None else ""
    figure = figure_name(outlook)
    goal, now = f"{figure} {outlook.goal:.4g}", series.values[-1]
    unknown = f"How many more photos{of} are needed for {goal} is not known"
    match outlook.verdict:
        case Verdict.REACHED:
            low, high = series.intervals[-1]
            words = (
                f"The goal{of}, {goal}, is reached: {now:.3f}, 95 % between {low:.3f} "
                f"and {high:.3f}"
            )
        case Verdict.ABOUT:
            words = f"About {outlook.more} more photos{of} for {goal}"
            words += f" (95 %: {_span(outlook)})"
        case Verdict.MORE_THAN:
            words = f"Probably more than {outlook.most_more} more photos{of} for {goal}"
            words += _expected(outlook)
        case Verdict.FLAT:
            words = f"More photos{of} will not help much: the curve is flat at "
            words += f"{figure} {now:.3f}{_expected(outlook)}"
        case Verdict.SCATTERED:
            values = ", ".join(f"{value:.3f}" for value in series.values)
            words = f"{unknown}: the points do not lie on a curve ({values})"
        case Verdict.WIDE:
            words = f"{unknown}: anything from {_span(outlook)} is possible, with "
            words += f"{series.boxes} defects on {series.shown} photos to measure on"
        case Verdict.TOO_FEW:
            words = f"{unknown}: {_few(outlook)}"
        case _:
            assert_never(outlook.verdict)
    return f"{words}."


def figure_name(outlook: Outlook) -> str:
    """Return what is measured.

    Args:
        outlook: Of a class, or of all together.
    """
    return MEAN_PRECISION if outlook.series.label is None else "recall"


def _span(outlook: Outlook) -> str:
    """Return the interval of the photos that are missing."""
    low, high = outlook.more_interval or (None, None)
    beyond = f"more than {outlook.most_more}"
    return f"{beyond if low is None else low} to {beyond if high is None else high}"


def _expected(outlook: Outlook) -> str:
    """Return what the most photos that are spoken of would bring."""
    if outlook.farthest is None:
        return ""
    value, low, high = outlook.farthest
    return (
        f"; with {FARTHEST} times as many about {value:.3f} "
        f"(95 %: {low:.3f} to {high:.3f})"
    )


def _few(outlook: Outlook) -> str:
    """Return what there is too little of."""
    series = outlook.series
    points = len({number for number in series.photos if number})
    if points < FEWEST_POINTS:
        return f"{points} different numbers of photos give no curve"
    return (
        f"{series.boxes} labelled defects on {series.shown} photos are too few to "
        "measure on"
    )
