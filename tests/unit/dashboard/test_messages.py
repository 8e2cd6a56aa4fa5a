import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.messages import (
    Alert,
    Image,
    Message,
    Rejection,
    RejectionReason,
    State,
    iso_utc,
    read_message,
)
from models.messages import THUMBNAIL_MAX_BYTES
from tests.simulators.station import alert_event
from tests.unit.dashboard.history_file import NOW_MS, PRESS, HistoryFile

ALERT_TOPIC = PRESS.camera("top", "alert")
EVENT = alert_event(PRESS, 7)


def changed(**changes: Any) -> bytes:
    """Return an alert with fields of its data changed."""
    document = json.loads(EVENT.model_dump_json())
    document["data"].update(changes)
    return json.dumps(document).encode()


def reason_of(topic: str, payload: bytes | str) -> RejectionReason | None:
    payload = payload.encode() if isinstance(payload, str) else payload
    answer = read_message(Message(topic, payload, NOW_MS))
    return answer.reason if isinstance(answer, Rejection) else None


def test_alert_that_fits_is_read() -> None:
    record = read_message(Message(ALERT_TOPIC, changed(), NOW_MS))
    assert isinstance(record, Alert)
    assert record.event.data.detections == EVENT.data.detections


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", RejectionReason.NOT_JSON),
        (b"\xff\xfe\x00", RejectionReason.NOT_JSON),
        (b"{", RejectionReason.NOT_JSON),
        (b"[" * 100_000, RejectionReason.NOT_JSON),
        (b"[]", RejectionReason.WRONG_SHAPE),
        (b"null", RejectionReason.WRONG_SHAPE),
        (b"{}", RejectionReason.WRONG_SHAPE),
        (b" " * 300_000, RejectionReason.TOO_LARGE),
        (changed(seq="seven"), RejectionReason.WRONG_SHAPE),
        (changed(seq=0), RejectionReason.WRONG_SHAPE),
        (changed(seq=2**70), RejectionReason.WRONG_SHAPE),
        (changed(frame_id=-1), RejectionReason.WRONG_SHAPE),
        (changed(detections=[]), RejectionReason.WRONG_SHAPE),
        (changed(stream=""), RejectionReason.WRONG_SHAPE),
        (changed(stream="another"), RejectionReason.WRONG_SHAPE),
        (changed(station="press-2"), RejectionReason.WRONG_STATION),
        (changed(camera="bottom"), RejectionReason.WRONG_STATION),
        (changed(part_id="x" * 501), RejectionReason.TOO_LARGE),
        (changed(extra={"deep": ["y" * 501]}), RejectionReason.TOO_LARGE),
        (changed(part_id="\ud800"), RejectionReason.NOT_JSON),
        (changed(frame_age_ms=float("nan")), RejectionReason.NOT_JSON),
        (
            changed(frame_age_ms=1.0).replace(b"1.0", b"1e999"),
            RejectionReason.WRONG_SHAPE,
        ),
        (changed(captured_at="yesterday"), RejectionReason.WRONG_SHAPE),
    ],
)
def test_alert_that_does_not_fit_is_refused(
    payload: bytes, reason: RejectionReason
) -> None:
    assert reason_of(ALERT_TOPIC, payload) is reason


def test_newer_schema_is_refused_and_named() -> None:
    document = {**json.loads(EVENT.model_dump_json()), "schema_version": 99}
    answer = read_message(Message(ALERT_TOPIC, json.dumps(document).encode(), NOW_MS))
    assert isinstance(answer, Rejection)
    assert answer.reason is RejectionReason.NEWER_SCHEMA
    assert "99" in answer.detail


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "graftline",
        "graftline/plant/line-1/press-1",
        "graftline/plant/line-1/press-1/other",
        "graftline/plant/line-1/press-1/camera/top",
        "graftline/plant/line-1/press-1/camera/top/alert/more",
        "graftline/plant/line-1/press-1/camera/../alert",
        "graftline/plant/line-1/press-1/camera/TOP/alert",
        "graftline/plant/line-1/../camera/top/alert",
        "graftline/plant/line-1/press-1/camera/top/image/",
        "graftline/plant/line-1/press-1/camera/top/image/../../etc/passwd",
        "graftline/plant/line-1/press-1/camera/top/image/a b",
        "other/plant/line-1/press-1/status",
        "graftline/" + "x" * 40 + "/line-1/press-1/status",
    ],
)
def test_topic_outside_the_schema_is_refused(topic: str) -> None:
    assert reason_of(topic, changed()) is RejectionReason.TOPIC


@pytest.mark.parametrize("leaf", ["ack", "cmd/flash", "model/desired"])
def test_message_for_another_receiver_is_ignored(leaf: str) -> None:
    assert read_message(Message(f"{PRESS.root}/{leaf}", b"{}", NOW_MS)) is None


def test_picture_is_accepted() -> None:
    topic = PRESS.camera("top", f"image/{EVENT.id}")
    record = read_message(Message(topic, b"\xff\xd8\xff\xe0", NOW_MS))
    assert isinstance(record, Image)
    assert record.event_id == EVENT.id


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"<svg onload=alert(1)>", RejectionReason.NOT_A_PICTURE),
        (b"", RejectionReason.NOT_A_PICTURE),
        (b"\xff\xd8\xff" + bytes(THUMBNAIL_MAX_BYTES), RejectionReason.TOO_LARGE),
    ],
)
def test_file_that_is_not_a_picture_is_refused(
    payload: bytes, reason: RejectionReason
) -> None:
    assert reason_of(PRESS.camera("top", f"image/{EVENT.id}"), payload) is reason


def test_state_of_a_station_is_read() -> None:
    payload = json.dumps({"state": "ready", "boot_id": "b", "version": "1"})
    record = read_message(Message(PRESS.status, payload.encode(), NOW_MS))
    assert isinstance(record, State)
    assert reason_of(PRESS.status, payload.replace("ready", "happy")) is (
        RejectionReason.WRONG_SHAPE
    )


@pytest.mark.parametrize(
    ("changes", "is_trusted"),
    [
        ({}, True),
        ({"clock_synchronized": False}, False),
        ({"captured_at": iso_utc(NOW_MS + 3_600_000)}, False),
        ({"captured_at": "1960-01-01T00:00:00Z"}, False),
    ],
)
def test_wrong_clock_of_a_line_pc_does_not_move_its_alerts(
    changes: dict[str, Any], is_trusted: bool
) -> None:
    payload = changed(**{"captured_at": iso_utc(NOW_MS - 60_000), **changes})
    record = read_message(Message(ALERT_TOPIC, payload, NOW_MS))
    assert isinstance(record, Alert)
    assert record.happened_ms == (NOW_MS - 60_000 if is_trusted else NOW_MS)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)  # the machine of a test may be busy
@given(
    field=st.sampled_from(sorted(json.loads(EVENT.model_dump_json())["data"])),
    value=JSON_VALUES,
)
def test_no_value_of_any_field_is_more_than_a_rejection(
    field: str, value: object
) -> None:
    answer = read_message(Message(ALERT_TOPIC, changed(**{field: value}), NOW_MS))
    assert isinstance(answer, Alert | Rejection)


@settings(deadline=None)
@given(topic=st.text(), payload=st.binary())
def test_no_bytes_are_more_than_a_rejection(topic: str, payload: bytes) -> None:
    assert isinstance(read_message(Message(topic, payload, NOW_MS)), Rejection)
    full = f"{PRESS.root}/{topic}"
    read_message(Message(full, payload, NOW_MS))


def test_every_accepted_message_can_be_stored(file: HistoryFile) -> None:
    payload = changed(part_id="\x00 ' \" ; DROP TABLE alerts --", extra=[1.5, {}, "𝄞"])
    record = read_message(Message(ALERT_TOPIC, payload, NOW_MS))
    assert isinstance(record, Alert)
    assert file.record(record).alerts == [1]
    (alert,) = file.history.alerts(1)
    assert alert["part_id"] == "\x00 ' \" ; DROP TABLE alerts --"


def test_added_field_cannot_replace_a_field_of_the_schema(file: HistoryFile) -> None:
    payload = changed(has_image=True, n=999, happened_ms=1, id="forged")
    record = read_message(Message(ALERT_TOPIC, payload, NOW_MS))
    assert isinstance(record, Alert)
    file.record(record)
    (alert,) = file.history.alerts(1)
    assert (alert["n"], alert["id"], alert["has_image"]) == (1, EVENT.id, False)
