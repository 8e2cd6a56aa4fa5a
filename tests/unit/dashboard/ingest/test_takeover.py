"""When the end of a connection means that another client uses the id."""

from dashboard.ingest.takeover import SHORT_CONNECTIONS, SHORT_S, TakeoverDetector
from models.mqtt_session import CLOSED, TAKEN_OVER

REFUSED = "cannot be reached: Connection refused"


def ends(
    detector: TakeoverDetector, count: int, reason: str = CLOSED, lasted_s: float = 1
) -> list[bool]:
    """Return whether each of some connections in a row is taken for a takeover."""
    found = []
    for number in range(count):
        detector.note_open(100.0 * number)
        found.append(detector.is_taken(reason, 100.0 * number + lasted_s))
    return found


def test_reason_of_the_broker_is_believed() -> None:
    detector = TakeoverDetector()
    assert all(ends(detector, 3, TAKEN_OVER, lasted_s=50))
    assert not any(ends(detector, 20, "Server shutting down"))


def test_short_connections_in_a_row_without_a_reason_are_a_takeover() -> None:
    found = ends(TakeoverDetector(), SHORT_CONNECTIONS)
    assert found == [False] * (SHORT_CONNECTIONS - 1) + [True]


def test_connections_that_end_with_another_id_too_have_another_cause() -> None:
    assert sum(ends(TakeoverDetector(), 40)) == 1


def test_long_connections_are_no_takeover() -> None:
    assert not any(ends(TakeoverDetector(), 20, lasted_s=SHORT_S + 1))


def test_broker_that_is_away_in_between_is_no_takeover() -> None:
    detector = TakeoverDetector()
    for _ in range(20):
        assert not any(ends(detector, SHORT_CONNECTIONS - 1))
        assert not detector.is_taken(REFUSED, 0)
