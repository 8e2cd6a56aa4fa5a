import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from models.errors import ConfigError
from models.messages import (
    DIGEST_CHARS,
    REASON_MAX_CHARS,
    Acknowledgement,
    AlertEvent,
    DaemonState,
    StationStatus,
    content_digest,
    content_text,
    fit_reason,
    sent_content_text,
)
from models.topics import StationTopics, parse_topic

STATION = StationTopics("plant-1", "line-2", "s3")
ROOT = "graftline/plant-1/line-2/s3"


def alert(**changes: Any) -> dict[str, Any]:
    at = datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    data = {
        "site": "plant-1",
        "line": "line-2",
        "station": "s3",
        "boot_id": "b",
        "camera": "top",
        "frame_id": 7,
        "captured_at": at,
        "captured_ns": 1,
        "decided_ns": 2,
        "frame_age_ms": 0.5,
        "clock_synchronized": True,
        "model": {"name": "m", "build": 1, "sha256": "0"},
        "frame_width_px": 640,
        "frame_height_px": 480,
        "detections": [
            {
                "label": "scratch",
                "score": 0.9,
                "box_px": [0, 0, 64, 48],
                "box_norm": [0, 0, 0.1, 0.1],
            }
        ],
        **changes,
    }
    return {"id": "s:1", "source": ROOT, "time": at, "data": data}


def test_topics_of_a_station_start_with_its_names() -> None:
    assert STATION.root == ROOT
    assert STATION.status == f"{ROOT}/status"
    assert STATION.ack == f"{ROOT}/ack"
    assert STATION.loss == f"{ROOT}/loss"
    assert STATION.camera("top", "image/a:1") == f"{ROOT}/camera/top/image/a:1"


@pytest.mark.parametrize(
    "name", ["", "+", "#", "a/b", "Line", "a b", "é", "a" * 33, "a\n", "$SYS"]
)
def test_name_that_would_break_out_of_its_level_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be part of an MQTT topic"):
        StationTopics("plant-1", name, "s3")
    with pytest.raises(ConfigError, match="camera"):
        STATION.camera(name, "alert")


@pytest.mark.parametrize(
    ("leaf", "camera"),
    [("status", ""), ("ack", ""), ("alert", "top"), ("image/stream:1", "top")],
)
def test_own_topic_is_parsed(leaf: str, camera: str) -> None:
    topic = STATION.camera(camera, leaf) if camera else f"{ROOT}/{leaf}"
    parsed = parse_topic(topic)
    assert parsed is not None
    assert (parsed.topics, parsed.camera, parsed.leaf) == (STATION, camera, leaf)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "graftline",
        ROOT,
        "other/plant-1/line-2/s3/status",
        "graftline/plant-1/LINE/s3/status",
        "graftline//line-2/s3/status",
        f"{ROOT}/camera",
        f"{ROOT}/camera/top",
        f"{ROOT}/camera//alert",
        f"{ROOT}/camera/To p/alert",
    ],
)
def test_foreign_topic_is_not_parsed(topic: str) -> None:
    assert parse_topic(topic) is None


def test_alert_keeps_unknown_fields_when_it_is_read_and_written() -> None:
    document = {**alert(mood="calm"), "traceparent": "00-1"}
    event = AlertEvent.model_validate_json(json.dumps(document))
    again = json.loads(event.model_dump_json())
    assert again["type"] == "graftline.alert.v1"
    assert again["specversion"] == "1.0"
    assert again["traceparent"] == "00-1"
    assert again["data"]["mood"] == "calm"
    assert again["data"]["detections"][0]["box_px"] == [0, 0, 64, 48]


@pytest.mark.parametrize(
    "change",
    [
        {"detections": []},
        {"camera": "Top"},
        {"frame_id": -1},
        {"captured_at": "2026-01-01T00:00:00"},  # without a zone
        {"frame_width_px": 0},
    ],
)
def test_alert_with_impossible_values_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertEvent.model_validate(alert(**change))


def digest_of(event: dict[str, Any]) -> str:
    return content_digest(event, content_text(event["data"]))


def test_event_of_another_type_is_not_an_alert() -> None:
    with pytest.raises(ValidationError):
        AlertEvent.model_validate({**alert(), "type": "graftline.verdict.v1"})


def test_last_will_needs_no_clock() -> None:
    will = StationStatus(state=DaemonState.LOST, boot_id="b", version="1")
    assert json.loads(will.model_dump_json())["state"] == "lost"
    assert will.at is None


def test_acknowledged_ranges_are_pairs() -> None:
    text = '{"stream": "s", "high_water": 3, "ranges": [[5, 7], [9, 9]]}'
    assert Acknowledgement.model_validate_json(text).ranges == ((5, 7), (9, 9))
    with pytest.raises(ValidationError):
        Acknowledgement.model_validate_json(text.replace("[5, 7]", "[5]"))


def test_digest_is_the_same_for_every_transmission_and_order_of_keys() -> None:
    first = alert(thumbnail_sha256="ab", replayed=False, nonce="n")
    again = alert(nonce="n", replayed=True)
    again["data"]["thumbnail_sha256"] = None
    backwards = dict(reversed(again.items()))
    backwards["data"] = dict(reversed(again["data"].items()))
    assert len(digest_of(first)) == DIGEST_CHARS
    assert digest_of(first) == digest_of(again) == digest_of(backwards)


def test_digest_does_not_depend_on_the_envelope_of_a_version() -> None:
    later = {**alert(), "schema_version": 2, "traceparent": "new in version 2"}
    assert digest_of(later) == digest_of(alert())


@pytest.mark.parametrize(
    "changes",
    [{"nonce": "m"}, {"frame_id": 8}, {"detections": []}, {"field_of_later": 1}],
    ids=["nonce", "frame", "detections", "unknown field"],
)
def test_digest_covers_all_the_content(changes: dict[str, Any]) -> None:
    assert digest_of(alert(**changes)) != digest_of(alert())


def test_digest_of_any_text_is_computed() -> None:
    half_a_pair = json.loads('"\\ud800"')
    assert digest_of(alert(camera=half_a_pair)) != digest_of(alert(camera="Würth"))


@pytest.mark.parametrize("name", ["id", "type", "time"])
def test_digest_covers_the_identity(name: str) -> None:
    assert digest_of({**alert(), name: "other"}) != digest_of(alert())


@pytest.mark.parametrize("cameras", [0, 1, 12, 60, 500])
def test_reason_always_fits_and_counts_what_it_leaves_out(cameras: int) -> None:
    parts = [f"camera line-1-belt-{number} lost" for number in range(cameras)]
    reason = fit_reason(*parts)
    assert len(reason) <= REASON_MAX_CHARS
    whole, more, count = reason.partition(" ... and ")
    shown = [part for part in whole.split(", ") if part]
    assert shown == parts[: len(shown)]
    left_out = int(count.removesuffix(" more")) if more else 0
    assert len(shown) + left_out == cameras
    StationStatus(state=DaemonState.DEGRADED, reason=reason, boot_id="b", version="1")


def test_one_long_reason_is_cut() -> None:
    reason = fit_reason("x" * 2000)
    assert len(reason) == REASON_MAX_CHARS
    assert reason.endswith(" ...")


END = ',"replayed":false,"thumbnail_sha256":null}}'


def test_content_is_taken_from_the_payload_as_it_was_sent() -> None:
    sent = '{"id":"s:1","data":{"a":{"b":1}' + END
    assert sent_content_text(sent.encode()) == '{"a":{"b":1}}'
    assert sent_content_text(b'{"data":{"a":1,"replayed":true}}') == '{"a":1}'


@pytest.mark.parametrize(
    "payload",
    [
        '{"trace":{"data":{"a":1' + END,
        '{"id":"\\"data\\":{","data":{"a":1' + END,
        '{"data":{"a":1' + END + " ",
        '{"data": {"a":1' + END,
        '{"data":{"a":1,"replayed": false}}',
        '{"data":{"a":1,"replayed":false,"b":2}}',
        '{"data":1,"x":2,"replayed":false}',
        "{}",
        "",
    ],
)
def test_payload_of_another_layout_is_not_cut(payload: str) -> None:
    assert sent_content_text(payload.encode()) is None


def test_two_payloads_with_one_cut_text_have_one_content() -> None:
    # The text reaches to the end: what stands behind the first data is in it.
    twice = '{"data":{"a":1},"data":{"a":2' + END
    assert sent_content_text(twice.encode()) == '{"a":1},"data":{"a":2}'
