"""Whether a payload from the network is a command to execute. Pure.

A client of the broker can send anything, so the cheap checks come first: size and
nesting are bounded before the JSON is parsed, and the state that is kept from one
command to the next is bounded too. A command is executed once and only in its time. The
refusal states the station's clock, because a station whose clock is wrong refuses valid
commands, and its owner must be able to see why.
"""

import heapq
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from models.commands import (
    COMMAND_MAX_BYTES,
    COMMAND_MAX_LIFE_S,
    COMMAND_MAX_NESTING,
    COMMAND_SCHEMA_VERSION,
    EVIDENCE_PATTERN,
    ID_PATTERN,
    LAYOUTS,
    PART_PATTERN,
    CommandRefusal,
    CommandVerb,
    EvidenceCommand,
    ReloadCommand,
    SnapshotCommand,
    TriggerCommand,
)
from models.topics import NAME_PATTERN, NAME_RULE

# Ids of unexpired commands, 32 MB: all that the rate of the queue admits within the
# longest life, so that a flood leaves no command refused after its end.
IDS_KEPT = 125_000
RULES = {
    ID_PATTERN: "1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'",
    NAME_PATTERN: NAME_RULE,
    EVIDENCE_PATTERN: "the evidence of an alert",
    PART_PATTERN: "1 to 100 characters, none of them a control character",
}
AnyCommand = TriggerCommand | ReloadCommand | SnapshotCommand | EvidenceCommand


@dataclass(frozen=True, slots=True)
class RawCommand:
    """A message on a command topic."""

    verb: str  # last level of the topic: any text
    payload: bytes  # any bytes
    is_retained: bool  # the broker had retained it from before the subscription
    received_ns: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that is not executed."""

    refusal: CommandRefusal
    reason: str
    # id of the command; empty where it could not be read: there is no reply
    id: str = ""


class CommandGate:
    """Admits each command once, within its time.

    Args:
        ids_kept: Most ids of commands that have not expired.
    """

    def __init__(self, ids_kept: int = IDS_KEPT) -> None:
        self._ids_kept = ids_kept
        self._admitted: set[str] = set()  # ids of commands that have not expired
        self._ends: list[tuple[datetime, str]] = []  # a heap, by their end

    def admit(
        self, raw: RawCommand, now: datetime, *, clock_synchronized: bool
    ) -> AnyCommand | Refused:
        """Return the command, or why it is refused.

        Args:
            now: Wall clock of the station, aware.
        """
        command = read_command(raw)
        if isinstance(command, Refused):
            return command
        clock = f"by this station's clock it is {now:%Y-%m-%d %H:%M:%S} UTC"
        if not clock_synchronized:
            clock += ", and that clock is NOT SYNCHRONIZED: set up NTP or PTP"
        if command.expires_at <= now:
            late_s = (now - command.expires_at).total_seconds()
            reason = f"expired {late_s:.0f} s ago; {clock}"
            return Refused(CommandRefusal.EXPIRED, reason, command.id)
        if command.expires_at > now + timedelta(seconds=COMMAND_MAX_LIFE_S):
            reason = f"expires_at is more than {COMMAND_MAX_LIFE_S} s away; {clock}"
            return Refused(CommandRefusal.TOO_FAR, reason, command.id)
        return self._admit_once(command, now)

    def _admit_once(self, command: AnyCommand, now: datetime) -> AnyCommand | Refused:
        # An id leaves once: a flood of commands must not cost a search through all.
        while self._ends and self._ends[0][0] <= now:
            self._admitted.discard(heapq.heappop(self._ends)[1])
        if command.id in self._admitted:
            reason = "this id was taken before; it is not carried out again"
            return Refused(CommandRefusal.REPLAYED, reason, command.id)
        if len(self._admitted) >= self._ids_kept:
            # Dropping the oldest id would let its command be executed twice.
            reason = f"{self._ids_kept} commands have not expired yet"
            return Refused(CommandRefusal.QUEUE_FULL, reason, command.id)
        self._admitted.add(command.id)
        heapq.heappush(self._ends, (command.expires_at, command.id))
        return command


def read_command(raw: RawCommand) -> AnyCommand | Refused:
    """Return the command in a payload of any bytes, or why it is refused.

    Expiry is not checked here.
    """
    try:
        document = _parse_json(raw.payload)
        return _parse_command(raw, document, _id_of(document))
    except _RefusedError as error:
        return error.refused


class _RefusedError(Exception):
    """Ends the parsing of a command."""

    def __init__(
        self, refusal: CommandRefusal, reason: str, command_id: str = ""
    ) -> None:
        super().__init__(reason)
        self.refused = Refused(refusal, reason, command_id)


def _parse_json(payload: bytes) -> dict[str, object]:
    if len(payload) > COMMAND_MAX_BYTES:
        reason = f"more than {COMMAND_MAX_BYTES} bytes"
        raise _RefusedError(CommandRefusal.OVERSIZED, reason)
    # Counted before parsing: deep nesting exhausts the parser's stack.
    if payload.count(b"{") + payload.count(b"[") > COMMAND_MAX_NESTING:
        reason = f"more than {COMMAND_MAX_NESTING} brackets"
        raise _RefusedError(CommandRefusal.MALFORMED, reason)
    try:
        document = json.loads(payload)
    except ValueError as exc:  # also: not UTF-8, a number with too many digits
        raise _RefusedError(CommandRefusal.MALFORMED, f"not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise _RefusedError(CommandRefusal.MALFORMED, "not a JSON object")
    return document


def _parse_command(
    raw: RawCommand, document: dict[str, object], command_id: str
) -> AnyCommand:
    if raw.is_retained:  # the broker delivers it again at each reconnect
        reason = "it is retained: a command is an event; send it without retain"
        raise _RefusedError(CommandRefusal.RETAINED, reason, command_id)
    if raw.verb not in set(CommandVerb):
        reason = f"unknown verb; known: {', '.join(CommandVerb)}"
        raise _RefusedError(CommandRefusal.UNKNOWN_VERB, reason, command_id)
    version = document.get("schema_version", COMMAND_SCHEMA_VERSION)
    if isinstance(version, int) and version > COMMAND_SCHEMA_VERSION:
        reason = f"schema {version} is newer than {COMMAND_SCHEMA_VERSION}"
        raise _RefusedError(CommandRefusal.NEWER_SCHEMA, reason, command_id)
    try:
        return LAYOUTS[CommandVerb(raw.verb)].model_validate(document)
    except ValidationError as exc:
        reason = _explain(exc)
        raise _RefusedError(CommandRefusal.MALFORMED, reason, command_id) from exc


def _id_of(document: Mapping[str, object]) -> str:
    """Return the id if it may be a level of a reply's topic; empty else."""
    value = document.get("id")
    if isinstance(value, str) and re.fullmatch(ID_PATTERN.strip("^$"), value):
        return value
    return ""


def _explain(error: ValidationError) -> str:
    """Return the faults of a command by field, for its sender."""
    faults = []
    for fault in error.errors(include_url=False, include_input=False):
        field = ".".join(str(step) for step in fault["loc"])
        text = fault["msg"]
        if fault["type"] == "string_pattern_mismatch":
            text = f"expected {RULES.get(fault['ctx']['pattern'], text)}"
        faults.append(f"{field}: {text}")
    return "; ".join(faults)
