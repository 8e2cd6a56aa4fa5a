"""Commands from the network: their queue, their execution, and their replies.

The network thread only enqueues a payload; the loop that inspects frames polls it, so
no command is executed beside a frame, and a fault in one cannot end the network thread.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from edge.config.camera import TriggerMode
from edge.control.command_validation import AnyCommand, CommandGate, RawCommand, Refused
from edge.control.evidence_pieces import EvidencePieces
from edge.control.snapshots import SnapshotQueue
from edge.inspection.camera_channel import CameraChannel
from edge.rules.triggers import Trigger
from models.commands import (
    COMMAND_MAX_BYTES,
    CommandRefusal,
    CommandReply,
    CommandVerb,
    EvidenceCommand,
    ReloadCommand,
    SnapshotCommand,
    TriggerCommand,
)
from models.errors import ConfigError
from models.messages import fit_reason
from models.token_bucket import TokenBucket
from models.topics import StationTopics, check_name

QUEUE_COMMANDS = 4096  # 16 MiB at the largest payload
PER_POLL = 256  # a frame waits at most for so many: 10 ms
PER_S = 200  # more than four cameras at 50 parts per second; a flood is refused
LOGGED_CHARS = 60  # of a verb: it may be any text
logger = logging.getLogger(__name__)

TopicReply = tuple[str, CommandReply]


class CommandQueue:
    """Validates commands, and hands triggers to their cameras.

    Args:
        timeout_ms_of: Returns ``trigger_timeout_ms`` of a camera by its name.
        evidence: Folder of the full pictures; None = none are sent.

    Attributes:
        accepted: Number of executed commands, by verb.
        reloads: Reload commands that the daemon's loop has to execute and answer.
    """

    def __init__(
        self,
        topics: StationTopics,
        timeout_ms_of: Callable[[str], int],
        is_clock_synchronized: Callable[[], bool],
        evidence: Path | None = None,
    ) -> None:
        self.accepted: Counter[CommandVerb] = Counter()
        self.reloads: deque[ReloadCommand] = deque()
        self._topics, self._timeout_ms_of = topics, timeout_ms_of
        self._is_clock_synchronized = is_clock_synchronized
        self._gate = CommandGate()
        self._snapshots = SnapshotQueue()
        self._pieces = EvidencePieces(evidence)
        self._queue: deque[RawCommand] = deque()
        self._bucket = TokenBucket(PER_S, QUEUE_COMMANDS)  # of the network thread
        self._overflowed = 0  # written by the network thread alone
        self._refused: Counter[CommandRefusal] = Counter()

    @property
    def refused(self) -> dict[CommandRefusal, int]:
        """Number of commands that were not executed, by reason."""
        counts = dict(self._refused)
        if self._overflowed:
            full = CommandRefusal.QUEUE_FULL
            counts[full] = counts.get(full, 0) + self._overflowed
        return counts

    def enqueue(self, topic: str, payload: bytes, is_retained: bool) -> None:  # noqa: FBT001 (called by the publisher)
        """Add a message of any bytes; called by the network thread, returns at once."""
        now_ns = time.monotonic_ns()
        is_full = len(self._queue) >= QUEUE_COMMANDS
        if is_full or not self._bucket.take(1, now_ns):
            self._overflowed += 1
            if self._overflowed == 1:  # the rest is counted, not logged
                logger.warning(
                    "commands_overflow queue=%d per_s=%d", QUEUE_COMMANDS, PER_S
                )
            return
        verb = topic.rpartition("/")[2]
        # One byte more than allowed shows that the payload is oversized.
        kept = bytes(payload[: COMMAND_MAX_BYTES + 1])
        self._queue.append(RawCommand(verb, kept, is_retained, now_ns))

    def poll(
        self, channels: Sequence[CameraChannel], limit: int = PER_POLL
    ) -> Iterator[TopicReply]:
        """Validate and execute what has arrived; yield the replies.

        A reload is not executed here: it is added to ``reloads``. A snapshot is
        answered when its frame has come, a request for evidence when it is read.
        """
        if not self._snapshots.is_idle:
            yield from self._snapshot_replies(channels)
        if not self._pieces.is_idle:
            yield from self._evidence_replies()
        if not self._queue:
            return
        is_synchronized = self._is_clock_synchronized()
        for _ in range(min(limit, len(self._queue))):
            raw = self._queue.popleft()
            now = datetime.now(UTC)
            command = self._gate.admit(raw, now, clock_synchronized=is_synchronized)
            refused, is_answered_later = self._execute(command, raw, channels)
            if not is_answered_later:
                yield from self.reply(raw.verb, command, refused)

    def _execute(
        self,
        command: AnyCommand | Refused,
        raw: RawCommand,
        channels: Sequence[CameraChannel],
    ) -> tuple[Refused | None, bool]:
        """Return why a command is refused, and whether its reply comes later."""
        refused: Refused | None
        match command:
            case Refused():
                return command, False
            case TriggerCommand():
                return self._trigger(command, raw, channels), False
            case ReloadCommand():
                self.reloads.append(command)
                return None, True
            case SnapshotCommand():
                now_ns = time.monotonic_ns()
                refused = self._snapshots.add(command, channels, now_ns)
            case EvidenceCommand():
                refused = self._pieces.add(command, time.monotonic_ns())
            case _:
                assert_never(command)
        return refused, refused is None

    def _evidence_replies(self) -> Iterator[TopicReply]:
        verb = CommandVerb.EVIDENCE.value
        for answer in self._pieces.poll():
            for topic, reply in self.reply(verb, answer.command, answer.refused):
                yield topic, reply.model_copy(update={"evidence": answer.piece})

    def _snapshot_replies(
        self, channels: Sequence[CameraChannel]
    ) -> Iterator[TopicReply]:
        for answer in self._snapshots.poll(channels, time.monotonic_ns()):
            verb, command = CommandVerb.SNAPSHOT.value, answer.command
            for topic, reply in self.reply(verb, command, answer.refused):
                yield topic, reply.model_copy(update={"picture": answer.picture})

    def reply(
        self, verb: str, command: AnyCommand | Refused, refused: Refused | None
    ) -> Iterator[TopicReply]:
        """Count a command, and yield its reply if it has an id to reply to.

        Args:
            verb: Last level of the topic: any text.
            command: The command; its id goes into the reply.
            refused: Why it is refused; None = it was executed.
        """
        if refused is None:
            self.accepted[CommandVerb(verb)] += 1
        else:
            self._count_refused(verb, refused)
        if not command.id or not _is_topic_level(verb):
            return
        reply = CommandReply(
            id=command.id,
            verb=verb,
            accepted=refused is None,
            refusal=refused.refusal if refused else None,
            reason=fit_reason(refused.reason) if refused else "",
            at=datetime.now(UTC),
        )
        yield self._topics.reply(verb, command.id), reply

    def _trigger(
        self,
        command: TriggerCommand,
        raw: RawCommand,
        channels: Sequence[CameraChannel],
    ) -> Refused | None:
        name = command.camera
        channel = next((each for each in channels if each.camera.name == name), None)
        if channel is None or channel.command_triggers is None:
            fault = f"camera {name} is not triggered by commands"
            fix = f'set trigger = "{TriggerMode.COMMAND}" in its [[camera]]'
            reason = f"{fault}: {fix}" if channel else f"there is no camera {name}"
            return Refused(CommandRefusal.NOT_POSSIBLE, reason, command.id)
        age_ns = time.monotonic_ns() - raw.received_ns
        trigger = Trigger(
            part_id=command.part_id or command.id,
            arrived_ns=raw.received_ns,
            arrived_wall_ns=time.time_ns() - age_ns,
            timeout_ms=self._timeout_ms_of(name),
        )
        channel.command_triggers.add(trigger)
        return None

    def _count_refused(self, verb: str, refused: Refused) -> None:
        """Count a refusal; only the first of each reason is a warning in the log."""
        self._refused[refused.refusal] += 1
        is_first = self._refused[refused.refusal] == 1
        level = logging.WARNING if is_first else logging.DEBUG
        logger.log(
            level,
            "command_refused verb=%r id=%r refusal=%s reason=%r",
            *(verb[:LOGGED_CHARS], refused.id, refused.refusal, refused.reason),
        )


def _is_topic_level(verb: str) -> bool:
    """Return whether a verb may be a level of the reply's topic."""
    try:
        check_name("verb", verb)
    except ConfigError:
        return False
    return True
