"""Times, durations and numbers in the language of a page and the plant's zone."""

from dashboard.plant_time import PlantTime
from dashboard.web.language import Language

S_PER_MINUTE, S_PER_HOUR, S_PER_DAY = 60, 3600, 86_400
HOURS_SHOWN = 48  # longer durations are shown in days
NOTHING = "\u2013"


class Wording:
    """Formats what a template shows.

    Args:
        now_ms: Wall clock, UTC.
    """

    def __init__(self, language: Language, plant: PlantTime, now_ms: int) -> None:
        self.now_ms = now_ms
        self._language, self._plant = language, plant

    def moment(self, ms: int | None) -> str:
        """Return a time of today as ``14:05``, others with their date."""
        if not ms:
            return NOTHING
        local = self._plant.local(ms)
        is_today = self._plant.date_of(ms) == self._plant.date_of(self.now_ms)
        return f"{local:%H:%M}" if is_today else f"{self._date(ms)} {local:%H:%M}"

    def exact(self, ms: int | None) -> str:
        """Return a time with date, seconds and zone."""
        if not ms:
            return NOTHING
        return f"{self._date(ms)} {self._plant.local(ms):%H:%M:%S %Z}"

    def _date(self, ms: int) -> str:
        written = self._language.text("alerts.date_format")
        return self._plant.local(ms).strftime(written)

    def ago(self, ms: int | None) -> str:
        """Return how long ago a time was: ``3 h 12 min ago``."""
        if not ms:
            return NOTHING
        return self._language.text("lines.ago", time=self.duration(self.now_ms - ms))

    def duration(self, ms: float) -> str:
        """Return a duration: ``8 s``, ``12 min``, ``3 h 12 min``, ``4 d``."""
        s = max(0, int(ms // 1000))
        if s < S_PER_MINUTE:
            return f"{s} s"
        if s < S_PER_HOUR:
            return f"{s // S_PER_MINUTE} min"
        if s < HOURS_SHOWN * S_PER_HOUR:
            return f"{s // S_PER_HOUR} h {s % S_PER_HOUR // S_PER_MINUTE:02} min"
        return self._language.text("lines.days", n=s // S_PER_DAY)

    def number(self, value: float | None, digits: int = 0) -> str:
        """Return a number with the language's decimal mark."""
        if value is None:
            return NOTHING
        text = f"{value:.{digits}f}"
        return text.replace(".", self._language.text("analysis.decimal_mark"))

    def percent(self, share: float | None) -> str:
        """Return a share as ``99.2 %``."""
        return NOTHING if share is None else f"{self.number(share * 100, 1)} %"
