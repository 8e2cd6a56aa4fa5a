"""Whether a payload from the network is a command to carry out. Pure.

Whoever can reach the broker can send anything, so the cheap questions come first: size
and nesting are bounded before the JSON is parsed, and what is kept from one command to
the next is bounded too. A command is carried out once and only in its time; by which
clock that was judged is said in the refusal, because a station whose clock is wrong
refuses good commands, and its owner must be able to see why.
"""

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
    ID_PATTERN,
    LAYOUTS,
    CommandRefusal,
    CommandVerb,
    ReloadCommand,
    TriggerCommand,
)

IDS_KEPT = 20_000  # unexpired ones; ten minutes at 33 commands a second
ASCII_RULE = "1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'"
AnyCommand = TriggerCommand | ReloadCommand


@dataclass(frozen=True, slots=True)
class RawCommand:
    """A message on a command topic.

    Attributes:
        verb: Last level of the topic: any text.
        payload: Any bytes.
        is_retained: The broker had kept it from before the subscription.
        received_ns: Monotonic clock.
    """

    verb: str
    payload: bytes
    is_retained: bool
    received_ns: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that is not carried out.

    Attributes:
        refusal: The rule.
        reason: For a person.
        id: Who is answered; empty where none could be read.
    """

    refusal: CommandRefusal
    reason: str
    id: str = ""


class CommandGate:
    """Lets each command through once, within its time."""

    def __init__(self) -> None:
        self._taken: dict[str, datetime] = {}  # id: when it may be forgotten

    def admit(
        self, raw: RawCommand, now: datetime, *, clock_synchronized: bool
    ) -> AnyCommand | Refused:
        """Return the command, or why it is refused.

        Args:
            raw: As received.
            now: Wall clock of the station, aware.
            clock_synchronized: It can be trusted.
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
        return self._once(command, now)

    def _once(self, command: AnyCommand, now: datetime) -> AnyCommand | Refused:
        """Let an id through that was not taken before."""
        if command.id in self._taken:
            reason = "this id was taken before; it is not carried out again"
            return Refused(CommandRefusal.REPLAYED, reason, command.id)
        if len(self._taken) >= IDS_KEPT:
            self._taken = {i: end for i, end in self._taken.items() if end > now}
        if len(self._taken) >= IDS_KEPT:
            reason = f"{IDS_KEPT} commands have not expired yet"
            return Refused(CommandRefusal.QUEUE_FULL, reason, command.id)
        self._taken[command.id] = command.expires_at
        return command


def read_command(raw: RawCommand) -> AnyCommand | Refused:
    """Return what a payload says, whatever it is; no clock is asked.

    Args:
        raw: As received.
    """
    try:
        document = _document(raw.payload)
        return _understood(raw, document, _id_of(document))
    except _RefusedError as error:
        return error.refused


class _RefusedError(Exception):
    """Ends the reading of a command."""

    def __init__(
        self, refusal: CommandRefusal, reason: str, command_id: str = ""
    ) -> None:
        super().__init__(reason)
        self.refused = Refused(refusal, reason, command_id)


def _document(payload: bytes) -> dict[str, object]:
    """Return the JSON object in a payload of any bytes."""
    if len(payload) > COMMAND_MAX_BYTES:
        reason = f"more than {COMMAND_MAX_BYTES} bytes"
        raise _RefusedError(CommandRefusal.OVERSIZED, reason)
    if payload.count(b"{") + payload.count(b"[") > COMMAND_MAX_NESTING:
        reason = f"more than {COMMAND_MAX_NESTING} brackets"
        raise _RefusedError(CommandRefusal.MALFORMED, reason)
    try:
        document = json.loads(payload)
    except ValueError as exc:  # also: not UTF-8, an endless number
        raise _RefusedError(CommandRefusal.MALFORMED, f"not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise _RefusedError(CommandRefusal.MALFORMED, "not a JSON object")
    return document


def _understood(
    raw: RawCommand, document: dict[str, object], command_id: str
) -> AnyCommand:
    """Return the command in a JSON object."""
    if raw.is_retained:
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
        reason = _told(exc)
        raise _RefusedError(CommandRefusal.MALFORMED, reason, command_id) from exc


def _id_of(document: Mapping[str, object]) -> str:
    """Return the id if it is one that can be answered."""
    value = document.get("id")
    is_one = isinstance(value, str) and re.fullmatch(ID_PATTERN.strip("^$"), value)
    return value if is_one and isinstance(value, str) else ""


def _told(error: ValidationError) -> str:
    """Return what is wrong with a command, in the sender's words."""
    faults = []
    for fault in error.errors(include_url=False, include_input=False):
        place = ".".join(str(step) for step in fault["loc"])
        told = f"expected {ASCII_RULE}" if place == "id" else fault["msg"]
        faults.append(f"{place}: {told}")
    return "; ".join(faults)
