"""Numbers and times as text, in the language of the page and the zone of the plant."""

from datetime import date

from dashboard.plant_time import MS_PER_HOUR, MS_PER_MINUTE, PlantTime, Span
from dashboard.statistics.rates import Rate, RateInterval
from dashboard.web.language import Language

NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
EN_DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


class ChartWording:
    """Writes numbers and times.

    Args:
        plant: Its clocks give all times.
    """

    def __init__(self, language: Language, plant: PlantTime) -> None:
        self._plant = plant
        self.text = language.text
        self._decimal = language.text("analysis.decimal_mark")
        self._thousands = language.text("analysis.thousands_mark")

    def count(self, number: float) -> str:
        """Return a whole number: 12,345."""
        return f"{round(number):,}".replace(",", self._thousands)

    def decimal(self, number: float, digits: int) -> str:
        """Return a number with digits after its decimal mark: 0.12."""
        text = f"{number:.{digits}f}"
        return text.replace("-", MINUS).replace(".", self._decimal)

    def percent(self, share: float | None) -> str:
        """Return a share 0..1 as percent, with more digits for small ones: 0.04 %."""
        if share is None:
            return self.text("analysis.no_value")
        return f"{self.decimal(share * 100, _digits(share))}{NARROW_SPACE}%"

    def points(self, difference: float) -> str:
        """Return a difference of shares in percentage points, with its sign."""
        text = self.decimal(difference * 100, _digits(abs(difference)))
        sign = "+" if difference > 0 else ""
        return f"{sign}{text}"

    def interval(self, interval: RateInterval | None) -> str:
        """Return the ends of an interval: 2.1-3.4 %."""
        if interval is None:
            return self.text("analysis.no_value")
        digits = _digits(interval.high)
        low = self.decimal(interval.low * 100, digits)
        high = self.decimal(interval.high * 100, digits)
        return f"{low}{EN_DASH}{high}{NARROW_SPACE}%"

    def rate(self, rate: Rate) -> str:
        """Return a rate, or that no parts were counted."""
        return self.percent(rate.value) if rate.n else self.text("analysis.no_parts")

    def moment(self, ms: int) -> str:
        """Return date and time: 30 Nov 2026 14:00."""
        local = self._plant.local(ms)
        return f"{self.day(local.date())} {local:%H:%M}"

    def time(self, ms: int) -> str:
        """Return the time of day: 14:00."""
        return f"{self._plant.local(ms):%H:%M}"

    def day(self, day: date) -> str:
        """Return a date: 30 Nov 2026, 30.11.2026."""
        month = self._month(day)
        return self.text("analysis.date", day=day.day, month=month, year=day.year)

    def short_day(self, ms: int) -> str:
        """Return the day of a moment without its year: 30 Nov."""
        day = self._plant.date_of(ms)
        return self.text("analysis.short_date", day=day.day, month=self._month(day))

    def span(self, span: Span) -> str:
        """Return start and end; the date once where it is the same."""
        first, last = self._plant.local(span.start_ms), self._plant.local(span.end_ms)
        start = self.moment(span.start_ms)
        if first.date() == last.date():
            return f"{start}{EN_DASH}{last:%H:%M}"
        return f"{start} {EN_DASH} {self.moment(span.end_ms)}"

    def length(self, ms: int) -> str:
        """Return how long something lasts: 3 h 05 min, 42 s."""
        if ms < MS_PER_MINUTE:
            return f"{ms // 1000} s"
        hours, rest = divmod(ms, MS_PER_HOUR)
        minutes = rest // MS_PER_MINUTE
        return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"

    def _month(self, day: date) -> str:
        return self.text("analysis.months").split()[day.month - 1]


def _digits(share: float) -> int:
    """Return digits after the decimal mark of a percentage: about two that count."""
    for limit, digits in ((0.1, 1), (0.01, 1), (0.001, 2)):
        if share >= limit:
            return digits
    return 3 if share > 0 else 1
