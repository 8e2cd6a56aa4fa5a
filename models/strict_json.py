"""JSON read without what Python accepts in silence.

``json.loads`` and pydantic take the last value where a name is there twice, and accept
``NaN`` and ``Infinity``, which are not JSON. Both hide damage: a second ``"scores"``
replaces the thresholds, and every comparison with NaN is false.

Source: RFC 8259, sections 4 and 6.
"""

import json
import math
from collections import Counter
from typing import NoReturn


def parse_json(content: bytes | str) -> object:
    """Return the content of a JSON document.

    Raises:
        ValueError: It is not JSON, nested too deep, holds a name twice in one object,
            or a number that is not finite.

    >>> parse_json('{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    try:
        return json.loads(
            content,
            object_pairs_hook=_object,
            parse_float=_float,
            parse_constant=_refuse_constant,
        )
    except RecursionError as exc:
        message = "nested too deep"
        raise ValueError(message) from exc


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        message = f"the name {twice!r} is there twice"
        raise ValueError(message)
    return found


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # 1e999
        _refuse_constant(text)
    return number


def _refuse_constant(text: str) -> NoReturn:
    message = f"{text} is not a finite number"
    raise ValueError(message)
