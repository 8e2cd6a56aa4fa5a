"""Whether a station can be asked for something now, by its last state."""

import json

from sqlalchemy import Connection, and_, select

from dashboard.history.tables.received import stations
from models.messages import DaemonState
from models.topics import StationTopics


def why_away(connection: Connection, topics: StationTopics) -> str:
    """Return why a station cannot answer now; empty = as far as is known it can."""
    names = (topics.site, topics.line, topics.station)
    columns = (stations.c.site, stations.c.line, stations.c.station)
    is_it = and_(*(c == name for c, name in zip(columns, names, strict=True)))
    text = connection.scalar(select(stations.c.status).where(is_it))
    if not text:
        return ""
    match json.loads(text).get("state"):
        case DaemonState.LOST:
            return "the station is not connected: check its power and network"
        case DaemonState.DISCONNECTED:
            return "the station was stopped"
    return ""
