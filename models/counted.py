"""A number and the noun that it counts: ``1 photo``, ``2 photos``."""


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun in the right form.

    Args:
        number: Whole numbers are grouped by thousands.
        plural: None = the noun with ``s``.

    >>> counted(1, "photo"), counted(0, "photo"), counted(2, "box", "boxes")
    ('1 photo', '0 photos', '2 boxes')
    >>> counted(1200, "photo"), counted(0.5, "minute")
    ('1,200 photos', '0.5 minutes')
    """
    several = f"{noun}s" if plural is None else plural
    shown = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{shown} {noun if number == 1 else several}"
