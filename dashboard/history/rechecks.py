"""Parts that people checked again by hand after the line had passed them as good.

An alert shows what the line found; only a second look at good parts shows what it
missed. The share of defective parts among those that were checked again is the rate of
escapes, if they were taken at random.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from dashboard.history.analysis import Selection
from dashboard.history.tables.rechecks import rechecks
from dashboard.plant_time import Span
from dashboard.statistics.rates import Rate

CHECKED_MAX = 100_000
TEXT_MAX_CHARS = 500


@dataclass(frozen=True, slots=True)
class Recheck:
    """A second look at some parts.

    Attributes:
        found: Defective parts among the checked ones.
        line: Empty: any; so are the station and the camera.
    """

    found: Rate
    site: str = ""
    line: str = ""
    station: str = ""
    camera: str = ""
    text: str = ""


def add_recheck(
    connection: Connection, recheck: Recheck, *, author: str, at_ms: int
) -> int:
    """Add a second look, and return its number.

    Args:
        connection: For writing.
        at_ms: When the parts were checked, UTC.
    """
    number = connection.scalar(
        insert(rechecks)
        .values(
            at_ms=at_ms,
            author=author,
            site=recheck.site,
            line=recheck.line,
            station=recheck.station,
            camera=recheck.camera,
            checked=recheck.found.n,
            defective=recheck.found.count,
            text=recheck.text.replace("\0", "\ufffd"),  # PostgreSQL holds no NUL
        )
        .returning(rechecks.c.k)
    )
    return int(number or 0)


def escapes(connection: Connection, wanted: Selection) -> Rate:
    """Return the defective parts among those that were checked again.

    A recheck counts where its place is within the selection; one without a line counts
    only where no line is selected. Classes, builds and shifts are not looked at: a
    recheck is of the span from the first to the last moment of the selection.
    """
    c, span = rechecks.c, _span(wanted)
    conditions = [c.at_ms >= span.start_ms, c.at_ms < span.end_ms]
    conditions += [
        column.in_(names)
        for column, names in (
            (c.site, wanted.sites),
            (c.line, wanted.lines),
            (c.station, wanted.stations),
            (c.camera, wanted.cameras),
        )
        if names
    ]
    sums = select(
        func.coalesce(func.sum(c.defective), 0), func.coalesce(func.sum(c.checked), 0)
    )
    defective, checked = connection.execute(sums.where(*conditions)).one()
    return Rate(int(defective), int(checked))


def _span(wanted: Selection) -> Span:
    return wanted.span if wanted.spans else Span(0, 0)
