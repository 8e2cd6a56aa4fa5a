"""The URL of a list of alerts: a link shows the same list to everybody, and stays.

The scheme is described for users in ``docs/reference/alert-urls.md``.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException

from dashboard.history.alert_search import AlertFilter, ListKey, Shelved
from dashboard.history.reviews import OperatorVerdict
from dashboard.messages import INTEGER_MAX, TEXT_MAX_CHARS
from dashboard.plant_time import MS_PER_HOUR, PlantTime, Span
from models.topics import NAME_PATTERN, NAME_RULE

VALUES_MAX = 20  # of one name
SHIFT_DAYS = 7  # of a shift without a span
SHIFT_SPANS_MAX = 100  # each is a condition of the query
KEY = re.compile(r"(\d{1,16})\.(\d{1,19})")
BUILD_MAX_DIGITS = 18
NAMES = (
    *("site", "line", "station", "camera", "class", "build", "part", "verdict"),
    *("acknowledged", "shelved", "span", "from", "to", "shift", "group"),
)
"""All names of the scheme, in the order in which a canonical URL has them."""

Query = ImmutableMultiDict[str, str]
Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class ListUrl:
    """What the URL of a list says.

    Attributes:
        values: The given values, by name; only names of the scheme.
        is_grouped: Alerts that belong together are one group.
    """

    wanted: AlertFilter
    values: dict[str, list[str]]
    is_grouped: bool

    @property
    def query(self) -> str:
        """The query in its canonical form, without a question mark."""
        return self.query_with()

    def query_with(self, **changes: str | None) -> str:
        """Return the canonical query with some values replaced; None removes one."""
        pairs = []
        for name in NAMES:
            change = changes.get(name, "")
            given = [change] if change else self.values.get(name, [])
            if not (name in changes and not change):
                pairs += [(name, value) for value in given]
        return urlencode(pairs)


def read_list_url(query: Query, plant: PlantTime, now_ms: int) -> ListUrl:
    """Return what a query asks for; names that are not of the scheme are ignored.

    Args:
        now_ms: Wall clock, UTC: where spans such as ``8h`` end.

    Raises:
        HTTPException: 400 = a value does not fit.
    """
    values = {name: _values(query, name) for name in NAMES}
    span = _span(values, plant, now_ms)
    shifts = None
    if values["shift"]:
        span = span or plant.span_of(f"{SHIFT_DAYS}d", now_ms)
        shifts = _shifts(values["shift"], plant, span)
    wanted = AlertFilter(
        sites=_names(values, "site"),
        lines=_names(values, "line"),
        stations=_names(values, "station"),
        cameras=_names(values, "camera"),
        labels=_texts(values, "class"),
        builds=_builds(values["build"]),
        parts=_texts(values, "part"),
        verdicts=_choices(values, "verdict", OperatorVerdict),
        acknowledged=_yes_or_no(values, "acknowledged"),
        shelved=next(iter(_choices(values, "shelved", Shelved)), Shelved.NO),
        since_ms=span.start_ms if span else None,
        until_ms=span.end_ms if span else None,
        shifts=shifts,
    )
    given = {name: each for name, each in values.items() if each}
    return ListUrl(wanted, given, _yes_or_no(values, "group") is not False)


def read_key(text: str | None) -> ListKey | None:
    """Return the place in the list that ``before=`` names; None if it is not given.

    Raises:
        HTTPException: 400 = it is none.
    """
    if not text:
        return None
    found = KEY.fullmatch(text)
    if not found or int(found[2]) > INTEGER_MAX:
        raise HTTPException(400, "before must be a place in the list, such as 17.4")
    return ListKey(int(found[1]), int(found[2]))


def key_text(key: ListKey | None) -> str | None:
    """Return a place in the list as ``read_key`` reads it."""
    return f"{key.happened_ms}.{key.n}" if key else None


def _values(query: Query, name: str) -> list[str]:
    given = [value for value in query.getlist(name) if value]
    if len(given) > VALUES_MAX:
        raise HTTPException(400, f"{name}: at most {VALUES_MAX} values")
    return list(dict.fromkeys(given))


def _checked(
    values: Iterable[str], fits: Callable[[str], bool], fault: str
) -> tuple[str, ...]:
    found = tuple(values)
    if not all(map(fits, found)):
        raise HTTPException(400, fault)
    return found


def _names(values: dict[str, list[str]], name: str) -> tuple[str, ...]:
    pattern = re.compile(NAME_PATTERN.strip("^$"))
    fault = f"{name} must be {NAME_RULE}"
    return _checked(values[name], lambda text: bool(pattern.fullmatch(text)), fault)


def _texts(values: dict[str, list[str]], name: str) -> tuple[str, ...]:
    fault = f"{name} has at most {TEXT_MAX_CHARS} characters"

    def fits(text: str) -> bool:
        return len(text) <= TEXT_MAX_CHARS and "\0" not in text

    return _checked(values[name], fits, fault)


def _builds(values: Sequence[str]) -> tuple[int, ...]:
    def fits(text: str) -> bool:
        return text.isascii() and text.isdigit() and len(text) <= BUILD_MAX_DIGITS

    found = _checked(values, fits, "build must be the number of a build")
    return tuple(int(each) for each in found)


def _choices(
    values: dict[str, list[str]], name: str, choices: type[Choice]
) -> tuple[Choice, ...]:
    known = set(choices)
    fault = f"{name} must be one of: {', '.join(choices)}"
    given = _checked(values[name], lambda text: text in known, fault)
    return tuple(choices(each) for each in given)


def _yes_or_no(values: dict[str, list[str]], name: str) -> bool | None:
    given = _checked(
        values[name], lambda text: text in ("yes", "no"), f"{name} must be yes or no"
    )
    return given[0] == "yes" if given else None


def _span(values: dict[str, list[str]], plant: PlantTime, now_ms: int) -> Span | None:
    words, first, last = values["span"], values["from"], values["to"]
    if last and not first:
        raise HTTPException(400, "to needs from")
    try:
        if first:
            return plant.span_between(first[0], last[0] if last else "", now_ms)
        if not words:
            return None
        span = plant.span_of(words[0], now_ms)
    except ValueError as exc:
        raise HTTPException(400, str(exc)) from exc
    # What has just happened may have a clock that is a little ahead.
    is_open = span.end_ms == now_ms
    return Span(span.start_ms, now_ms + MS_PER_HOUR) if is_open else span


def _shifts(
    names: Sequence[str], plant: PlantTime, span: Span
) -> tuple[tuple[int, int], ...]:
    known = [shift.name for shift in plant.shifts]
    fault = f"shift must be one of: {', '.join(known)}"
    _checked(names, lambda text: text in known, fault)
    spans = [each for name in names for each in plant.spans_of_shift(name, span)]
    if len(spans) > SHIFT_SPANS_MAX:
        detail = f"at most {SHIFT_SPANS_MAX} shifts at once: choose a shorter span"
        raise HTTPException(400, detail)
    return tuple((each.start_ms, each.end_ms) for each in spans)
