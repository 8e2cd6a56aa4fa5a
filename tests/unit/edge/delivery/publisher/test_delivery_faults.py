"""Faults between outbox and broker."""

import logging

import pytest

from edge.delivery.publisher.delivery_faults import FLAPS, DeliveryFaults, FlapDetector


def test_alarm_is_logged_when_it_is_raised_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    alarms = DeliveryFaults()
    for _ in range(3):
        alarms.raise_alarm("topic", "denied")
    for _ in range(3):
        alarms.clear("topic")
    assert [r.levelno for r in caplog.records] == [logging.ERROR, logging.INFO]
    assert alarms.text == ""


def test_alarms_are_listed_together() -> None:
    alarms = DeliveryFaults()
    alarms.raise_alarm("a", "first")
    alarms.raise_alarm("b", "second")
    alarms.raise_alarm("a", "other first")
    assert alarms.text == "other first; second"
    alarms.clear("a")
    assert alarms.text == "second"


def test_five_connections_in_a_minute_are_a_flap() -> None:
    detector = FlapDetector()
    for number in range(FLAPS - 1):
        detector.opened(number * 14.0)
    assert not detector.is_flapping
    detector.opened(59.0)
    assert detector.is_flapping


def test_connections_that_held_are_no_flap() -> None:
    detector = FlapDetector()
    for number in range(20):
        detector.opened(number * 20.0)
        detector.holds(number * 20.0 + 19)
    assert not detector.is_flapping


def test_flap_is_over_when_a_connection_has_held_for_a_minute() -> None:
    detector = FlapDetector()
    for number in range(FLAPS):
        detector.opened(float(number))
    detector.opened(40.0)  # the pauses have grown, which alone does not end it
    detector.holds(99.0)
    assert detector.is_flapping
    detector.holds(101.0)
    assert not detector.is_flapping
    detector.opened(102.0)
    assert not detector.is_flapping, "it starts to count again"
