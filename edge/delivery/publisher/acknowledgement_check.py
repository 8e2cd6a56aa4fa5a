"""Checks what a collector acknowledges against what was sent.

An acknowledgement is untrusted: any client of a broker without an access list can send
one. It counts only for events whose digest it states: a client that has not read an
event does not know the digest, because the content holds a random nonce. The digests of
the last events that were sent are kept in memory. An acknowledgement of another event
is ignored: that event is sent again, and acknowledged again.
"""

import json
import logging
from enum import StrEnum

from edge.delivery.publisher.delivery_faults import DeliveryFaults
from models.counted import counted
from models.messages import SCHEMA_VERSION, Acknowledgement
from models.token_bucket import TokenBucket

ACK_MAX_BYTES = 16 * 1024  # a dashboard sends at most 12 kB
# A dashboard sends 45 bytes per event: enough for 10,000 events per second, three times
# the fastest backlog (bench/results/outbox.json). Reading so much takes 0.5 % of a
# core, measured with 100 events in each.
ACK_BYTES_PER_S, ACK_BURST_BYTES = 512 * 1024, 1024 * 1024
ACK_COST_BYTES = 512  # of each, added to its size
DIGESTS_KEPT = 20_000  # 4 MB; more events are never on the way through a broker
ALARM_NS = 600 * 1_000_000_000  # an alarm ends when none came for this long
logger = logging.getLogger(__name__)


class AcknowledgementFault(StrEnum):
    """A fault that only a person can fix; the text of its alarm."""

    NO_DIGESTS = (
        "acknowledgements without digests of the events arrive, and delete nothing: a "
        "dashboard of version 0.1 or another client sends them. Fix: update the "
        "dashboard, and let only the dashboard write to the ack topic "
        "(graftline broker-config)"
    )
    WRONG_DIGEST = (
        "acknowledgements of events with other content than this station sent arrive, "
        "and delete nothing: another client sends them, or sends events under this "
        "station's name. Fix: give the broker an access list (graftline broker-config)"
    )
    BEYOND = (
        "acknowledgements of events that this station never sent arrive, and delete "
        "nothing: another client sends them, or sends events under this station's "
        "name. Fix: give the broker an access list (graftline broker-config)"
    )


class AcknowledgementCheck:
    """Reads acknowledgements of one stream. All times are of the monotonic clock.

    Args:
        alarms: Receives the faults that only a person can fix.

    Attributes:
        refused: Acknowledgements that could not be read, came too often, or name
            events that were not sent.
    """

    def __init__(self, alarms: DeliveryFaults) -> None:
        self.refused = 0
        self._alarms = alarms
        self._digests: dict[int, str] = {}  # by position, in order of transmission
        self._bucket = TokenBucket(ACK_BYTES_PER_S, ACK_BURST_BYTES)
        self._seen_ns: dict[AcknowledgementFault, int] = {}

    def new_stream(self) -> None:
        """Discard the events of the previous stream."""
        self._digests.clear()

    def sent(self, seq: int, digest: str) -> None:
        """Note the content of an event that is sent now."""
        self._digests.pop(seq, None)
        self._digests[seq] = digest
        if len(self._digests) > DIGESTS_KEPT:
            del self._digests[next(iter(self._digests))]

    def tick(self, now_ns: int) -> None:
        """End the alarms whose cause was not seen for a while."""
        for fault, seen_ns in list(self._seen_ns.items()):
            if now_ns - seen_ns >= ALARM_NS:
                del self._seen_ns[fault]
                self._alarms.clear(_key(fault))

    def read(
        self, payload: bytes, stream: str, last_seq: int, now_ns: int
    ) -> frozenset[int]:
        """Return the positions of sent events that a payload acknowledges.

        Args:
            payload: As received: any bytes.
            stream: The station's; acknowledgements of another one are ignored.
            last_seq: Highest position ever given.
        """
        message = self._parse(payload, now_ns)
        if message is None or message.stream != stream:
            return frozenset()
        faults = set()
        highest = max(message.high_water, *(last for _, last in message.ranges), 0)
        if highest > last_seq or any(seq > last_seq for seq, _ in message.digests):
            faults.add(AcknowledgementFault.BEYOND)
        if not message.digests and (message.high_water or message.ranges):
            faults.add(AcknowledgementFault.NO_DIGESTS)
        acknowledged = set()
        for seq, digest in message.digests:
            known = self._digests.get(seq)
            if known == digest:
                acknowledged.add(seq)
            elif known is not None:
                faults.add(AcknowledgementFault.WRONG_DIGEST)
        for seq in acknowledged:
            del self._digests[seq]
        if faults:
            self._refuse(f"faults {', '.join(sorted(each.name for each in faults))}")
        for fault in faults:
            self._seen_ns[fault] = now_ns
            self._alarms.raise_alarm(_key(fault), fault.value)
        return frozenset(acknowledged)

    def _parse(self, payload: bytes, now_ns: int) -> Acknowledgement | None:
        size_bytes = len(payload)
        if size_bytes > ACK_MAX_BYTES:
            self._refuse(f"{counted(size_bytes, 'byte')} are more than {ACK_MAX_BYTES}")
            return None
        if not self._bucket.take(size_bytes + ACK_COST_BYTES, now_ns):
            self._refuse("too many")
            return None
        try:
            document = json.loads(payload)
            if document.get("schema_version", SCHEMA_VERSION) > SCHEMA_VERSION:
                self._refuse(f"its schema is newer than {SCHEMA_VERSION}")
                return None
            return Acknowledgement.model_validate(document)
        except (ValueError, AttributeError, TypeError, RecursionError) as exc:
            self._refuse(str(exc)[:200])
            return None

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        if self.refused == 1:  # the rest is counted
            logger.warning("acknowledgement_refused reason=%r", reason)


def _key(fault: AcknowledgementFault) -> str:
    return f"acknowledgements {fault.name.lower()}"
