from dashboard.messages import Message, Record, iso_utc, read_message
from models.messages import AlertDetection, DaemonState, StationStatus
from tests.simulators.station import alert_event, detection
from tests.unit.dashboard.history_file import (
    NOW_MS,
    PRESS,
    HistoryFile,
    alert_record,
)

MINUTE_MS = 60_000


def at(seq: int, minutes_ago: float, *found: AlertDetection) -> Record:
    """Return an alert of some minutes ago."""
    captured_at = iso_utc(NOW_MS - int(minutes_ago * MINUTE_MS))
    detections = found or (detection("scratch"),)
    event = alert_event(PRESS, seq, captured_at=captured_at, detections=detections)
    return alert_record(event)


def test_pages_go_back_without_gaps_or_repeats(file: HistoryFile) -> None:
    file.record(*(at(seq, 0) for seq in range(1, 8)))
    first = file.history.alerts(3)
    second = file.history.alerts(3, before=first[-1]["n"])
    third = file.history.alerts(3, before=second[-1]["n"])
    assert [each["seq"] for each in first + second + third] == [7, 6, 5, 4, 3, 2, 1]


def test_reading_on_from_a_cursor_is_oldest_first(file: HistoryFile) -> None:
    file.record(*(at(seq, 0) for seq in range(1, 6)))
    assert [each["n"] for each in file.history.alerts(2, after=2)] == [3, 4]
    assert file.history.newest() == 5


def test_cursor_is_not_used_again_after_retention(file: HistoryFile) -> None:
    file.record(at(1, 0))
    file.prune(NOW_MS + 10**12, 10**12, keep_days=1, keep_images_days=1)
    file.record(at(2, 0))
    assert [each["n"] for each in file.history.alerts(9)] == [2]


def test_pareto_counts_every_box_and_puts_the_most_frequent_first(
    file: HistoryFile,
) -> None:
    file.record(
        at(1, 1, detection("dent"), detection("scratch"), detection("scratch")),
        at(2, 2, detection("scratch")),
        at(3, 500, detection("dent")),  # too long ago
    )
    assert file.history.pareto(NOW_MS, 60) == {
        "classes": [
            {"label": "scratch", "count": 3, "share": 0.75},
            {"label": "dent", "count": 1, "share": 1.0},
        ],
        "other": 0,
        "total": 4,
    }


def test_pareto_sums_up_rare_classes(file: HistoryFile) -> None:
    found = [detection(f"class-{i:02}") for i in range(20)]
    file.record(at(1, 1, *found))
    pareto = file.history.pareto(NOW_MS, 60)
    assert len(pareto["classes"]) == 12
    assert (pareto["other"], pareto["total"]) == (8, 20)


def test_rate_puts_alerts_into_their_minutes(file: HistoryFile) -> None:
    now_ms = NOW_MS - NOW_MS % MINUTE_MS + 30_000  # in the middle of a minute
    now = (NOW_MS - now_ms) / MINUTE_MS
    ago = [now, now, 5.0, 5.0, 5.0, 70.0]
    file.record(*(at(seq, minutes) for seq, minutes in enumerate(ago, start=1)))
    rate = file.history.rate(now_ms, 60, 60)
    assert len(rate["start_s"]) == len(rate["alerts"]) == 60
    assert sum(rate["alerts"]) == 5  # the one of 70 minutes ago is outside
    assert rate["alerts"][-1] == 2
    assert rate["start_s"][-1] * 1000 <= now_ms < rate["start_s"][-1] * 1000 + MINUTE_MS
    place = next(
        i
        for i, start_s in enumerate(rate["start_s"])
        if start_s * 1000 <= NOW_MS - 5 * MINUTE_MS < start_s * 1000 + MINUTE_MS
    )
    assert rate["per_minute"][place] == 3


def test_rate_is_per_minute_for_every_length_of_a_bucket(file: HistoryFile) -> None:
    file.record(*(at(seq, 100) for seq in range(1, 9)))
    rate = file.history.rate(NOW_MS, 480, 60)  # buckets of eight minutes
    assert max(rate["alerts"]) == 8
    assert max(rate["per_minute"]) == 1.0


def test_rate_of_an_empty_history_is_zero(file: HistoryFile) -> None:
    assert set(file.history.rate(NOW_MS, 60, 60)["alerts"]) == {0}


def test_camera_counts_its_last_hour(file: HistoryFile) -> None:
    file.record(at(1, 2), at(2, 8), at(3, 30), at(4, 90))
    now_ms = NOW_MS - NOW_MS % MINUTE_MS  # its sums are of whole minutes
    ((camera,),) = (each["cameras"] for each in file.history.stations(now_ms))
    assert camera["alerts_last_hour"] == 3
    assert camera["alerts_per_minute"] == 0.2
    assert camera["last_alert"]["seq"] == 1


def test_retained_message_and_last_will_are_no_sign_of_life(file: HistoryFile) -> None:
    for state, is_retained in ((DaemonState.READY, True), (DaemonState.LOST, False)):
        status = StationStatus(state=state, boot_id="b", version="1")
        payload = status.model_dump_json().encode()
        record = read_message(
            Message(PRESS.status, payload, NOW_MS, is_retained=is_retained)
        )
        assert isinstance(record, Record)
        file.record(record)
        (station,) = file.history.stations(NOW_MS)
        assert station["heard_ms"] is None
        assert station["status"]["state"] == state
    file.record(at(1, 0))
    (station,) = file.history.stations(NOW_MS)
    assert station["heard_ms"] == NOW_MS
