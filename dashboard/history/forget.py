"""Removes a station or a camera from the pages; its alerts stay in the history."""

from sqlalchemy import Connection, delete

from dashboard.history.tables.operations import desired_models
from dashboard.history.tables.received import cameras, stations
from models.topics import StationTopics


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
