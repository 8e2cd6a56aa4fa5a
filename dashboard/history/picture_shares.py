"""Room in a full history: the oldest pictures of the station that uses the most.

What one station sends must not keep the alerts of another one out. Pictures take nearly
all the room, and an alert without its picture still states what was found.
"""

import sqlite3

PICTURES_AT_ONCE = 50  # 3 MB of usual pictures: room for thousands of alerts
_OF_STATIONS = """
FROM images JOIN streams ON stream = rtrim(rtrim(event_id, '0123456789'), ':')
"""


def remove_pictures(connection: sqlite3.Connection) -> int:
    """Remove some pictures, inside the caller's transaction, and return their number.

    Pictures whose alert has not arrived are among them only if there is another
    station: a station that is alone would send its own picture again and again.
    """
    usage = connection.execute(
        "SELECT sum(length(jpeg)) AS bytes, site, line, station"
        f"{_OF_STATIONS} GROUP BY site, line, station ORDER BY bytes DESC"
    ).fetchall()
    if not usage:
        return 0
    (stations,) = connection.execute(
        "SELECT count(*) FROM (SELECT DISTINCT site, line, station FROM streams)"
    ).fetchone()
    announced = "EXISTS (SELECT 1 FROM alerts WHERE id = event_id)"
    rows = connection.execute(
        f"SELECT event_id {_OF_STATIONS} WHERE site = ? AND line = ? AND station = ?"
        f" AND ({announced} OR ?) ORDER BY received_ms LIMIT ?",
        (*usage[0][1:], stations > 1, PICTURES_AT_ONCE),
    ).fetchall()
    connection.executemany("DELETE FROM images WHERE event_id = ?", rows)
    return len(rows)
