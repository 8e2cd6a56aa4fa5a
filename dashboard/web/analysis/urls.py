"""The URL of charts: the names of the alert list, and how to draw.

The scheme is described for users in ``docs/reference/analysis-urls.md``.
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from dashboard.history.analysis import Selection
from dashboard.plant_time import MS_PER_MINUTE, PlantTime, Span
from dashboard.statistics.run_rules import Rule
from dashboard.web.alerts.urls import Query, read_list_url
from dashboard.web.analysis.groups import Step, step_for

SPAN = "today"  # without any other
RULES = (Rule.ONE_BEYOND_3, Rule.EIGHT_ON_ONE_SIDE)
LIST_NAMES = ("site", "line", "station", "camera", "class", "build", "shift")
TIME_NAMES = ("span", "from", "to")
BUILD_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class ChartUrl:
    """What the URL of a page of charts asks for.

    Attributes:
        values: The given values, by name.
        step: Length of the groups.
        rules: Run rules in use.
        compared: Two builds, the older one first; empty: the two newest ones.
        list_query: Query of the list of the same alerts.
    """

    wanted: Selection
    values: dict[str, list[str]]
    step: Step
    rules: tuple[Rule, ...]
    compared: tuple[int, ...]
    list_query: str

    def query_with(self, **changes: str | None) -> str:
        """Return the query with some values replaced; None removes one."""
        pairs: list[tuple[str, str]] = []
        for name in (*LIST_NAMES, *TIME_NAMES, "step", "rules", "compare"):
            if name not in changes:
                pairs += [(name, value) for value in self.values.get(name, [])]
            elif changes[name] is not None:
                pairs.append((name, str(changes[name])))
        return urlencode(pairs)

    @property
    def query(self) -> str:
        """The query, without names that are none of the scheme."""
        return self.query_with()


def read_chart_url(query: Query, plant: PlantTime, now_ms: int) -> ChartUrl:
    """Return what a query asks for; other names are ignored.

    Args:
        now_ms: Wall clock, UTC.

    Raises:
        HTTPException: 400 = a value does not fit.
    """
    names = (*LIST_NAMES, *TIME_NAMES)
    pairs = [(name, value) for name, value in query.multi_items() if name in names]
    given = {name for name, value in pairs if value}
    if not given & set(TIME_NAMES):
        pairs.append(("span", SPAN))
    found = read_list_url(Query(pairs), plant, now_ms)
    wanted = found.wanted
    spans = wanted.shifts
    if spans is None:
        spans = ((wanted.since_ms or 0, wanted.until_ms or now_ms),)
    if not spans:
        raise HTTPException(400, "no such shift runs in this span of time")
    selection = Selection(
        spans=tuple(_whole_minutes(Span(*each)) for each in sorted(spans)),
        sites=wanted.sites,
        lines=wanted.lines,
        stations=wanted.stations,
        cameras=wanted.cameras,
        labels=wanted.labels,
        builds=wanted.builds,
    )
    drawn = {name: query.getlist(name) for name in ("step", "rules", "compare")}
    given_drawn = {name: each for name, each in drawn.items() if name in query}
    return ChartUrl(
        wanted=selection,
        values={**found.values, **given_drawn},
        step=_step(query) or step_for(selection.spans, plant, now_ms),
        rules=_rules(query),
        compared=_compared(query),
        list_query=found.query,
    )


def _whole_minutes(span: Span) -> Span:
    """Return a span with the whole of its first and its last minute.

    The history counts by minutes; shifts and days begin and end with one.
    """
    start_ms = span.start_ms // MS_PER_MINUTE * MS_PER_MINUTE
    return Span(start_ms, -(-span.end_ms // MS_PER_MINUTE) * MS_PER_MINUTE)


def _step(query: Query) -> Step | None:
    text = query.get("step")
    if not text:
        return None
    if text not in set(Step):
        raise HTTPException(400, f"step must be one of: {', '.join(Step)}")
    return Step(text)


def _rules(query: Query) -> tuple[Rule, ...]:
    """Return the rules: ``rules=134``, ``rules=`` = none."""
    text = query.get("rules")
    if text is None:
        return RULES
    if len(text) > len(Rule) or set(text) - set(Rule):
        raise HTTPException(400, f"rules must be some of: {''.join(Rule)}")
    return tuple(Rule(each) for each in sorted(set(text)))


def _compared(query: Query) -> tuple[int, ...]:
    """Return the builds of ``compare=1&compare=2``."""
    texts = [each for each in query.getlist("compare") if each]
    fits = all(each.isascii() and each.isdigit() for each in texts)
    if not fits or any(len(each) > BUILD_MAX_DIGITS for each in texts):
        raise HTTPException(400, "compare must be the number of a build")
    builds = sorted({int(each) for each in texts})
    if len(builds) not in {0, 2}:
        raise HTTPException(400, "compare needs two different builds")
    return tuple(builds)
