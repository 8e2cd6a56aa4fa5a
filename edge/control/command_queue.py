"""Where commands from the network wait, are judged, and are answered.

The network thread only puts a payload down; the loop that inspects frames picks it up,
so no command is carried out beside a frame, and a fault in one cannot end the network
thread.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from edge.config.camera import TriggerMode
from edge.control.command_validation import AnyCommand, CommandGate, RawCommand, Refused
from edge.inspection.camera_channel import CameraChannel
from edge.rules.triggers import Trigger
from models.commands import (
    COMMAND_MAX_BYTES,
    CommandRefusal,
    CommandReply,
    CommandVerb,
    ReloadCommand,
    TriggerCommand,
)
from models.errors import ConfigError
from models.messages import fit_reason
from models.topics import StationTopics, check_name

QUEUE_COMMANDS = 4096  # 16 MiB
PER_TURN = 256  # a frame may wait for so many: 10 ms
SHOWN_CHARS = 60  # of a verb in the log: it may be any text
logger = logging.getLogger(__name__)

Answer = tuple[str, CommandReply]  # topic, reply


class CommandQueue:
    """Takes commands, judges them, and hands triggers to their cameras.

    Args:
        topics: Of this station.
        timeout_ms_of: ``trigger_timeout_ms`` of a camera, by its name.
        is_clock_synchronized: Whether the wall clock can be trusted.

    Attributes:
        accepted: Commands that were carried out, by verb.
        reloads: Reload commands that the daemon's loop has to carry out.
    """

    def __init__(
        self,
        topics: StationTopics,
        timeout_ms_of: Callable[[str], int],
        is_clock_synchronized: Callable[[], bool],
    ) -> None:
        self.accepted: Counter[CommandVerb] = Counter()
        self.reloads: deque[ReloadCommand] = deque()
        self._topics, self._timeout_ms_of = topics, timeout_ms_of
        self._is_clock_synchronized = is_clock_synchronized
        self._gate = CommandGate()
        self._queue: deque[RawCommand] = deque()
        self._overflowed = 0  # written by the network thread alone
        self._refused: Counter[CommandRefusal] = Counter()

    @property
    def refused(self) -> dict[CommandRefusal, int]:
        """Commands that were not carried out, by reason."""
        counts = dict(self._refused)
        if self._overflowed:
            full = CommandRefusal.QUEUE_FULL
            counts[full] = counts.get(full, 0) + self._overflowed
        return counts

    def receive(self, topic: str, payload: bytes, is_retained: bool) -> None:  # noqa: FBT001 (called by the publisher)
        """Put a message down; called by the network thread, returns at once.

        Args:
            topic: One of the command topics.
            payload: Any bytes; of too many only the start is kept.
            is_retained: The broker had kept it.
        """
        if len(self._queue) >= QUEUE_COMMANDS:
            self._overflowed += 1
            if self._overflowed == 1:  # the rest is counted
                logger.warning("commands_overflow queue=%d", QUEUE_COMMANDS)
            return
        verb = topic.rpartition("/")[2]
        kept = bytes(payload[: COMMAND_MAX_BYTES + 1])
        self._queue.append(RawCommand(verb, kept, is_retained, time.monotonic_ns()))

    def hear(
        self, lanes: Sequence[CameraChannel], limit: int = PER_TURN
    ) -> Iterator[Answer]:
        """Judge what has arrived; yield the answers that can be given now.

        Args:
            lanes: The cameras.
            limit: Most commands.
        """
        if not self._queue:
            return
        is_synchronized = self._is_clock_synchronized()
        for _ in range(min(limit, len(self._queue))):
            raw = self._queue.popleft()
            now = datetime.now(UTC)
            command = self._gate.admit(raw, now, clock_synchronized=is_synchronized)
            outcome: Refused | None
            match command:
                case Refused():
                    outcome = command
                case TriggerCommand():
                    outcome = self._trigger(command, raw, lanes)
                case ReloadCommand():
                    self.reloads.append(command)  # answered when it is done
                    continue
            yield from self.answer(raw.verb, command, outcome)

    def answer(
        self, verb: str, command: AnyCommand | Refused, outcome: Refused | None
    ) -> Iterator[Answer]:
        """Count an outcome, and yield its answer if somebody can be answered.

        Args:
            verb: Last level of the topic: any text.
            command: What was asked; its id is answered.
            outcome: Why it is refused; none if it is carried out.
        """
        if outcome is None:
            self.accepted[CommandVerb(verb)] += 1
        else:
            self._note_refused(verb, outcome)
        if not command.id or not _is_name(verb):
            return
        reply = CommandReply(
            id=command.id,
            verb=verb,
            accepted=outcome is None,
            refusal=outcome.refusal if outcome else None,
            reason=fit_reason(outcome.reason) if outcome else "",
            at=datetime.now(UTC),
        )
        yield self._topics.reply(verb, command.id), reply

    def _trigger(
        self, command: TriggerCommand, raw: RawCommand, lanes: Sequence[CameraChannel]
    ) -> Refused | None:
        """Hand a trigger to its camera; return why not."""
        name = command.camera
        lane = next((lane for lane in lanes if lane.camera.name == name), None)
        if lane is None or lane.triggers is None:
            fault = f"camera {name} is not triggered by commands"
            fix = f'set trigger = "{TriggerMode.COMMAND}" in its [[camera]]'
            reason = f"{fault}: {fix}" if lane else f"there is no camera {name}"
            return Refused(CommandRefusal.NOT_POSSIBLE, reason, command.id)
        age_ns = time.monotonic_ns() - raw.received_ns
        trigger = Trigger(
            part_id=command.part_id or command.id,
            arrived_ns=raw.received_ns,
            arrived_wall_ns=time.time_ns() - age_ns,
            timeout_ms=self._timeout_ms_of(name),
        )
        lane.triggers.add(trigger)
        return None

    def _note_refused(self, verb: str, outcome: Refused) -> None:
        """Count a refusal; the log names the first of each reason."""
        self._refused[outcome.refusal] += 1
        is_first = self._refused[outcome.refusal] == 1
        level = logging.WARNING if is_first else logging.DEBUG
        logger.log(
            level,
            "command_refused verb=%r id=%r refusal=%s reason=%r",
            *(verb[:SHOWN_CHARS], outcome.id, outcome.refusal, outcome.reason),
        )


def _is_name(verb: str) -> bool:
    """Return whether a verb is fit for the topic of an answer."""
    try:
        check_name("verb", verb)
    except ConfigError:
        return False
    return True
