"""Removes a station or a camera from the pages; its alerts stay in the history."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from dashboard.history.model_orders import unheard_stations
from dashboard.history.tables.operations import desired_models
from dashboard.history.tables.received import cameras, stations
from models.topics import StationTopics

AnySender = tuple[StationTopics, str]  # the camera; empty = the station


def forget_sender(connection: Connection, topics: StationTopics, camera: str) -> int:
    """Remove a camera, or a station with its cameras; return the removed rows.

    Its next message brings it back.

    Args:
        camera: Empty = the station.
    """
    tables = [cameras] if camera else [cameras, stations, desired_models]
    removed = 0
    for table in tables:
        c = table.c
        query = delete(table).where(
            c.site == topics.site,
            c.line == topics.line,
            c.station == topics.station,
        )
        if camera:
            query = query.where(c.camera == camera)
        removed += connection.execute(query).rowcount
    return removed


def retained_topics(
    topics: StationTopics, known: Iterable[str], camera: str
) -> list[str]:
    """Return what brokers keep of a camera, or of a station with its cameras.

    Args:
        known: The cameras of the station.
        camera: Empty = the station.
    """
    if camera:
        return [topics.camera(camera, "status")]
    leaves = [topics.camera(each, "status") for each in known]
    return [*leaves, topics.desired_model, topics.reported_model, topics.status]


def cameras_of(connection: Connection, topics: StationTopics) -> Sequence[str]:
    """Return the cameras of a station that the pages show."""
    c = cameras.c
    mine = (
        c.site == topics.site,
        c.line == topics.line,
        c.station == topics.station,
    )
    return connection.execute(select(c.camera).where(*mine)).scalars().all()


def newest_heard_ms(connection: Connection) -> int:
    """Return when any station was last heard; 0 = none ever was."""
    return connection.execute(select(func.max(stations.c.heard_ms))).scalar() or 0


def silent_senders(connection: Connection, before_ms: int) -> list[AnySender]:
    """Return the stations, and the cameras of others, that sent nothing since a time.

    Also stations that never sent anything, and for which a model was ordered before. A
    sender of which only a retained message is known counts by what that says.
    """
    s, c = stations.c, cameras.c
    found: list[AnySender] = []
    silent = set()
    for row in connection.execute(select(stations).where(s.heard_ms < before_ms)):
        if (row.heard_ms or row.said_ms) < before_ms:
            topics = StationTopics(row.site, row.line, row.station)
            silent.add(topics)
            found.append((topics, ""))
    for row in connection.execute(select(cameras).where(c.heard_ms < before_ms)):
        topics = StationTopics(row.site, row.line, row.station)
        heard_ms = row.heard_ms or _since_ms(row.status)
        if topics not in silent and heard_ms < before_ms:
            found.append((topics, row.camera))
    found.extend(
        (StationTopics(row["site"], row["line"], row["station"]), "")
        for row in unheard_stations(connection, before_ms)
    )
    return found


def _since_ms(status: str | None) -> int:
    """Return since when a camera is in the state of its last status; 0 = unknown."""
    since = json.loads(status)["since"] if status else None
    return round(datetime.fromisoformat(since).timestamp() * 1000) if since else 0
