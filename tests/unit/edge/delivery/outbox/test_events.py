"""Events of the outbox as CloudEvents."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge.delivery.outbox.events import (
    EventKind,
    NewEvent,
    QueuedEvent,
    render,
)
from edge.delivery.outbox.eviction import Eviction
from models.messages import (
    AlertData,
    AlertEvent,
    LossEvent,
    VerdictData,
    VerdictEvent,
    content_digest,
    content_text,
    sent_content_text,
)
from tests.simulators.alerts import (
    ALERT_TOPIC,
    CAPTURED_AT,
    TOPICS,
    VERDICT_TOPIC,
    alert,
    jpeg,
    verdict,
)

FILLED_IN = {"seq", "stream", "replayed"}
STREAM = "station-1-ab"


def content_of(data: AlertData | VerdictData) -> bytes:
    return data.model_dump_json(exclude=FILLED_IN).encode()


def an_alert(frame_id: int, image: bytes | None = None) -> NewEvent:
    content = content_of(alert(frame_id, image))
    time = CAPTURED_AT.isoformat()
    return NewEvent(EventKind.ALERT, ALERT_TOPIC, time, content, image)


def wire(event: NewEvent, *, replayed: bool = False, with_image: bool = True) -> bytes:
    queued = QueuedEvent(5, event, was_sent=False)
    return render(queued, STREAM, replayed=replayed, with_image=with_image).payload


def test_alert_on_the_wire_is_a_cloud_event_with_position_and_id() -> None:
    image = jpeg(1)
    event = AlertEvent.model_validate_json(wire(an_alert(3, image)))
    assert event.id == "station-1-ab:5"
    assert event.source == TOPICS.root
    assert event.subject == "camera/top"
    assert (event.data.seq, event.data.stream) == (5, STREAM)
    assert not event.data.replayed
    assert event.time == event.data.captured_at
    expected = alert(3, image).model_dump(exclude=FILLED_IN)
    assert event.data.model_dump(exclude=FILLED_IN) == expected


def test_alert_whose_image_was_evicted_announces_no_image() -> None:
    event = AlertEvent.model_validate_json(wire(an_alert(3, jpeg(1)), with_image=False))
    assert event.data.thumbnail_sha256 is None


def test_repetition_is_marked_and_keeps_its_id() -> None:
    first = AlertEvent.model_validate_json(wire(an_alert(3)))
    again = AlertEvent.model_validate_json(wire(an_alert(3), replayed=True))
    assert again.data.replayed
    assert first.id == again.id


def test_verdicts_and_losses_have_their_own_types() -> None:
    time = CAPTURED_AT.isoformat()
    part = NewEvent(EventKind.VERDICT, VERDICT_TOPIC, time, content_of(verdict(1)))
    assert VerdictEvent.model_validate_json(wire(part)).data.part_id == "part-1"
    loss = Eviction("alert", 2, 9, 7, part.data).record(datetime.now(UTC))
    event = LossEvent.model_validate_json(wire(loss))
    assert (event.data.first_seq, event.data.last_seq, event.data.count) == (2, 9, 7)
    assert event.subject is None
    assert loss.topic == TOPICS.loss


def test_image_has_the_topic_of_its_event() -> None:
    queued = QueuedEvent(5, an_alert(3, jpeg()), was_sent=False)
    topic = TOPICS.camera("top", f"image/{STREAM}:5")
    assert queued.image_topic(STREAM) == topic


def test_size_counts_content_image_and_topic() -> None:
    event = NewEvent(EventKind.ALERT, "topic", "", b"1234", b"123")
    assert event.size_bytes == 12


@pytest.mark.parametrize("with_image", [True, False])
@pytest.mark.parametrize("replayed", [True, False])
def test_digest_is_that_of_the_payload_in_every_transmission(
    *, with_image: bool, replayed: bool
) -> None:
    event = an_alert(3, jpeg(1))
    label = 'Würth \N{SNOWMAN} \\ "'
    box = alert(3).detections[0].model_copy(update={"label": label, "score": 1e-05})
    data = alert(3, jpeg(1)).model_copy(update={"detections": (box,), "nonce": "ab"})
    queued = QueuedEvent(5, replace(event, data=content_of(data)), was_sent=False)
    first = render(queued, STREAM, replayed=False, with_image=True)
    sent = render(queued, STREAM, replayed=replayed, with_image=with_image)
    received = json.loads(sent.payload)
    assert received["data"]["detections"][0]["label"] == label
    assert sent.digest == first.digest
    text = content_text(received["data"])
    assert sent.digest == content_digest(received, text)
    assert sent_content_text(sent.payload) == text  # as the dashboard computes it
