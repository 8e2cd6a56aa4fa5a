"""Times as the pages of this area show them: by the clocks of the plant."""

from dashboard.history.database import Database
from dashboard.history.settings import read_settings
from dashboard.plant_time import PlantTime

NOTHING = "\u2013"


class ShownTimes:
    """Formats times of one page.

    Attributes:
        plant: The calendar of the plant.
    """

    def __init__(self, database: Database) -> None:
        with database.read() as connection:
            settings = read_settings(connection)
        self.plant = PlantTime(settings.zone, settings.shifts)

    def exact(self, ms: int | None) -> str:
        """Return a time with date, seconds and zone."""
        return f"{self.plant.local(ms):%Y-%m-%d %H:%M:%S %Z}" if ms else NOTHING

    def minute(self, ms: int | None) -> str:
        """Return a time with its date."""
        return f"{self.plant.local(ms):%Y-%m-%d %H:%M}" if ms else NOTHING

    def iso(self, ms: int) -> str:
        """Return a time for programs, with the offset from UTC."""
        return self.plant.local(ms).isoformat(timespec="milliseconds")
