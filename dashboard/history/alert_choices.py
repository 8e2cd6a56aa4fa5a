"""What the filters of the alert list offer: places, classes and builds."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from dashboard.history.tables.received import alerts, cameras, detections

# Classes and builds are those of the newest alerts: all rows would take too long.
LOOKED_AT = 5000
CHOICES_MAX = 200


@dataclass(frozen=True, slots=True)
class AlertChoices:
    """Values of the filters, in the order of their names."""

    sites: list[str]
    lines: list[str]
    stations: list[str]
    cameras: list[str]
    labels: list[str]
    builds: list[int]


def choices_of(connection: Connection) -> AlertChoices:
    """Return what the filters offer."""
    rows = connection.execute(
        select(cameras.c.site, cameras.c.line, cameras.c.station, cameras.c.camera)
    ).all()
    places = [
        sorted({str(row[column]) for row in rows})[:CHOICES_MAX] for column in range(4)
    ]
    newest = (
        select(detections.c.label)
        .order_by(detections.c.happened_ms.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    labels = connection.scalars(select(newest.c.label).distinct())
    return AlertChoices(
        sites=places[0],
        lines=places[1],
        stations=places[2],
        cameras=places[3],
        labels=sorted(labels)[:CHOICES_MAX],
        builds=_builds(connection),
    )


def _builds(connection: Connection) -> list[int]:
    """Return the builds of the newest alerts, the newest first."""
    builds_first = select(alerts.c.model_build).order_by(alerts.c.n.desc())
    newest = builds_first.limit(LOOKED_AT).subquery()
    builds = connection.scalars(select(newest.c.model_build).distinct())
    return sorted((each for each in builds if each is not None), reverse=True)
