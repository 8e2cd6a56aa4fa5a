"""Which model each station is to run, who ordered it, and what its agent answered."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from dashboard.history.queries import Json
from dashboard.history.tables.base import STATION
from dashboard.history.tables.operations import desired_models, model_answers
from dashboard.history.tables.received import stations
from models.messages import (
    REASON_MAX_CHARS,
    DesiredModel,
    PullState,
    ReportedModel,
)
from models.topics import StationTopics

ANSWERS_SHOWN = 20
ANSWERS_PER_HOUR = 240  # of one station; beyond, an answer replaces the last one
MS_PER_HOUR = 3_600_000
INSTALLING_MAX_MS = MS_PER_HOUR  # then its agent has died
UNKNOWN_USER = ""  # ordered by another program


def note_order(
    connection: Connection,
    topics: StationTopics,
    at_ms: int,
    user: str,
    desired: DesiredModel | None,
) -> None:
    """Store the last order of a station.

    Args:
        user: Who ordered it; empty = another program.
        desired: None = the order was taken back.
    """
    t = desired_models
    mine = _of(t, (topics.site, topics.line, topics.station))
    connection.execute(delete(t).where(*mine))
    connection.execute(
        insert(t).values(
            site=topics.site,
            line=topics.line,
            station=topics.station,
            at_ms=at_ms,
            user=user,
            name=desired.name if desired else "",
            build=desired.build if desired else 0,
            sha256=desired.sha256 if desired else "",
            url=desired.url if desired else "",
        )
    )


def note_foreign_order(
    connection: Connection,
    topics: StationTopics,
    at_ms: int,
    desired: DesiredModel | None,
) -> bool:
    """Store an order that the broker delivered, unless it is the stored one.

    Returns:
        False if the pages do not show the station: nothing is stored.
    """
    if not _is_shown(connection, topics):
        return False
    known = order_of(connection, (topics.site, topics.line, topics.station))
    stored = (known["sha256"], known["url"]) if known else ("", "")
    wanted = (desired.sha256, desired.url) if desired else ("", "")
    if stored != wanted:
        note_order(connection, topics, at_ms, UNKNOWN_USER, desired)
    return True


def note_answer(
    connection: Connection, topics: StationTopics, at_ms: int, answer: ReportedModel
) -> bool:
    """Store an answer, unless it says what the last one of the station says.

    Returns:
        False if the pages do not show the station: nothing is stored.
    """
    if not _is_shown(connection, topics):
        return False
    model = answer.model
    row = {
        "state": answer.state.value,
        "desired_sha256": answer.desired_sha256,
        "model": f"{model.name} {model.build} {model.sha256}" if model else "",
        "reason": _storable(answer.reason),
        "refusal": _storable(answer.refusal),
    }
    where = (topics.site, topics.line, topics.station)
    last = answers_of(connection, where, 1)
    if last and all(last[0][name] == value for name, value in row.items()):
        return True
    c = model_answers.c
    lately = select(func.count()).where(
        *_of(model_answers, where), c.at_ms > at_ms - MS_PER_HOUR
    )
    if last and connection.execute(lately).scalar_one() >= ANSWERS_PER_HOUR:
        connection.execute(delete(model_answers).where(c.n == last[0]["n"]))
    site, line, station = where
    connection.execute(
        insert(model_answers).values(
            site=site, line=line, station=station, at_ms=at_ms, **row
        )
    )
    return True


def order_of(connection: Connection, station: Sequence[str]) -> Json | None:
    """Return the last order of a station; None = there was none."""
    rows = connection.execute(
        select(desired_models).where(*_of(desired_models, station))
    )
    found = rows.mappings().first()
    return dict(found) if found else None


def answers_of(
    connection: Connection, station: Sequence[str], limit: int = ANSWERS_SHOWN
) -> list[Json]:
    """Return the answers of a station, newest first."""
    t = model_answers
    query = select(t).where(*_of(t, station)).order_by(t.c.n.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def unheard_stations(
    connection: Connection, before_ms: int | None = None
) -> list[Json]:
    """Return stations that have an order and never sent a message.

    Args:
        before_ms: Only those whose order is older; None = all.

    Returns:
        Rows as of ``History.stations``, without cameras.
    """
    d, s = desired_models.c, stations.c
    mine = [d[name] == s[name] for name in STATION]
    unheard = ~select(s.site).where(*mine).correlate(desired_models).exists()
    query = select(d.site, d.line, d.station).where(unheard)
    if before_ms is not None:
        query = query.where(d.at_ms < before_ms)
    else:
        query = query.where(d.sha256 != "")
    unknown = {"heard_ms": None, "said_ms": None, "status": None}
    return [
        {**row, **unknown, "missing": 0, "cameras": []}
        for row in connection.execute(query).mappings()
    ]


def installing(connection: Connection, now_ms: int) -> dict[tuple[str, ...], str]:
    """Return the stations whose agent installs a package now, and what it says."""
    a, s = model_answers.c, stations.c
    mine = [a[name] == s[name] for name in STATION]
    last = select(a.n).where(*mine).order_by(a.at_ms.desc(), a.n.desc()).limit(1)
    numbers = select(last.correlate(stations).scalar_subquery()).select_from(stations)
    found = [n for n in connection.execute(numbers).scalars() if n is not None]
    rows = connection.execute(
        select(model_answers)
        .where(a.n.in_(found), a.state == PullState.INSTALLING.value)
        .where(a.at_ms > now_ms - INSTALLING_MAX_MS)
    )
    return {(row.site, row.line, row.station): row.reason for row in rows}


def _is_shown(connection: Connection, topics: StationTopics) -> bool:
    mine = _of(stations, (topics.site, topics.line, topics.station))
    return connection.execute(select(stations.c.site).where(*mine)).first() is not None


def _storable(text: str) -> str:
    """Return a text of a message without what PostgreSQL cannot hold."""
    return text[:REASON_MAX_CHARS].replace("\0", "\ufffd")


def _of(table: Any, station: Sequence[str]) -> list[Any]:  # noqa: ANN401 - conditions
    c = table.c
    site, line, name = station
    return [c.site == site, c.line == line, c.station == name]
