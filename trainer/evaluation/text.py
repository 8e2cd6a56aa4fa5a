"""States figures as text; a figure that was not measured is never shown as a number."""

from models.manifest import Interval

NOT_MEASURED = "not measured"


def precision_text(value: float | None) -> str:
    """Return a mean average precision as text.

    >>> precision_text(0.5812), precision_text(None)
    ('0.581', 'not measured')
    """
    return NOT_MEASURED if value is None else f"{value:.3f}"


def share_text(value: float | None, interval: Interval | None) -> str:
    """Return a share and its 95 % interval as text.

    >>> share_text(0.5, (0.25, 0.75))
    '50.0% (25.0% to 75.0%)'
    >>> share_text(None, None)
    'not measured'
    """
    if value is None or interval is None:
        return NOT_MEASURED
    return f"{value:.1%} ({interval[0]:.1%} to {interval[1]:.1%})"


def area_text(value: float | None, interval: Interval | None) -> str:
    """Return an area under a curve and its 95 % interval as text.

    >>> area_text(0.5, (0.25, 0.75))
    '0.500 (0.250 to 0.750)'
    >>> area_text(None, None)
    'not measured'
    """
    if value is None or interval is None:
        return NOT_MEASURED
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
