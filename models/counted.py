"""A number and the noun that it counts: ``1 photo``, ``2 photos``."""


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun in the right form.

    Args:
        plural: None = the noun with ``s``.

    >>> counted(1, "photo"), counted(0, "photo"), counted(2, "box", "boxes")
    ('1 photo', '0 photos', '2 boxes')
    >>> counted(0.5, "minute")
    '0.5 minutes'
    """
    several = f"{noun}s" if plural is None else plural
    shown = f"{number:.10g}"  # ten digits: a count of bytes is never rounded
    return f"{shown} {noun if number == 1 else several}"


def agreeing(number: float, singular: str, plural: str) -> str:
    """Return the form of a verb or noun that agrees with a number.

    >>> agreeing(1, "is", "are"), agreeing(2, "is", "are")
    ('is', 'are')
    """
    return singular if number == 1 else plural
