"""Numbers and times as text."""

from datetime import date, datetime

import pytest

from dashboard.plant_time import PlantTime, Span
from dashboard.statistics.rates import Rate, RateInterval
from dashboard.web.analysis.wording import ChartWording
from dashboard.web.language import languages

PLANT = PlantTime("Europe/Berlin", [])
EN, DE = (ChartWording(languages()[code], PLANT) for code in ("en", "de"))


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def plain(text: str) -> str:
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{EN DASH}", "-")


@pytest.mark.parametrize(
    ("share", "english", "german"),
    [
        (0, "0.0 %", "0,0 %"),
        (1, "100.0 %", "100,0 %"),
        (0.1234, "12.3 %", "12,3 %"),
        (0.01234, "1.2 %", "1,2 %"),
        (0.001234, "0.12 %", "0,12 %"),
        (0.0001234, "0.012 %", "0,012 %"),
    ],
)
def test_small_share_has_more_digits(share: float, english: str, german: str) -> None:
    assert plain(EN.percent(share)) == english
    assert plain(DE.percent(share)) == german


def test_number_that_is_not_there_is_not_zero() -> None:
    assert EN.rate(Rate(0, 0)) == "no parts counted"
    assert DE.rate(Rate(0, 0)) == "keine Teile gezählt"
    assert plain(EN.percent(None)) == "-"
    assert plain(EN.interval(None)) == "-"


def test_counts_are_grouped() -> None:
    assert EN.count(1_234_567) == "1,234,567"
    assert DE.count(1_234_567) == "1.234.567"


def test_ends_of_an_interval_have_the_same_digits() -> None:
    assert plain(DE.interval(RateInterval(0.0001, 0.034))) == "0,0-3,4 %"
    assert plain(EN.interval(RateInterval(0.00011, 0.0009))) == "0.011-0.090 %"


def test_differences_have_a_sign() -> None:
    assert EN.points(0.021) == "+2.1"
    assert EN.points(-0.021) == "\N{MINUS SIGN}2.1"
    assert EN.points(0) == "0.0"


def test_times_are_by_the_clocks_of_the_plant() -> None:
    at = ms("2026-11-30T12:05+00:00")
    assert EN.moment(at) == "30 Nov 2026 13:05"
    assert DE.moment(at) == "30. Nov. 2026 13:05"
    assert DE.day(date(2026, 3, 1)) == "1. März 2026"
    assert DE.short_day(at) == "30. Nov."
    assert plain(EN.span(Span(at, ms("2026-11-30T14:00+00:00")))) == (
        "30 Nov 2026 13:05-15:00"
    )
    assert plain(EN.span(Span(at, ms("2026-12-01T23:00+00:00")))) == (
        "30 Nov 2026 13:05 - 2 Dec 2026 00:00"
    )


@pytest.mark.parametrize(
    ("length", "text"),
    [(0, "0 s"), (42_900, "42 s"), (60_000, "1 min"), (11_100_000, "3 h 05 min")],
)
def test_lengths_are_short(length: int, text: str) -> None:
    assert EN.length(length) == text
