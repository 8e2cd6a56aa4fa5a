"""All tables of the history, as SQLAlchemy knows them: one module for each subject.

``metadata`` holds the tables of the modules that are imported here.
"""

from dashboard.history.tables import (
    accounts,
    alarms,
    audit,
    full_pictures,
    learning,
    line_clocks,
    notes,
    notifications,
    operations,
    received,
    rechecks,
    reviews,
    rollups,
    settings,
)
from dashboard.history.tables.base import metadata

__all__ = [
    "accounts",
    "alarms",
    "audit",
    "full_pictures",
    "learning",
    "line_clocks",
    "metadata",
    "notes",
    "notifications",
    "operations",
    "received",
    "rechecks",
    "reviews",
    "rollups",
    "settings",
]
