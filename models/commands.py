"""The MQTT commands to a station and its replies.

=============================== ============ ===================================
topic                           QoS          payload
=============================== ============ ===================================
``cmd/trigger``                 1            ``TriggerCommand``
``cmd/reload``                  1            ``ReloadCommand``
``cmd/snapshot``                1            ``SnapshotCommand``
``cmd/evidence``                1            ``EvidenceCommand``
``cmd/<verb>/reply/<id>``       1            ``CommandReply``, from the station
=============================== ============ ===================================

The topics are below the station's root, see ``models.topics``. A command is an event,
not a state: a retained one is refused. An ``id`` is accepted once, and ``expires_at``
is compared with the station's clock: a command that was delayed or recorded is not
carried out later. Readers keep unknown fields and refuse a newer ``schema_version``.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.messages import THUMBNAIL_MAX_BYTES, Reason
from models.topics import Name

COMMAND_SCHEMA_VERSION = 1
COMMAND_MAX_BYTES = 4096
COMMAND_MAX_NESTING = 32  # opening brackets; a command has one
COMMAND_MAX_LIFE_S = 600  # from now to ``expires_at``: accepted ids are kept as long
ID_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"
PICTURE_MAX_CHARS = (THUMBNAIL_MAX_BYTES + 2) // 3 * 4  # in base64
# The full picture of an alert travels in pieces, each in the reply to a command of its
# own: no piece is larger than the thumbnail of an alert, and the reader sets the pace.
PIECE_MAX_BYTES = 48 * 1024
PIECE_MAX_CHARS = PIECE_MAX_BYTES // 3 * 4  # in base64
EVIDENCE_MAX_BYTES = 32 << 20  # a frame of 50 megapixels has 20 MB
_LEVEL = "[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}"
EVIDENCE_PATTERN = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(/{_LEVEL}){{1,8}}$"
PART_PATTERN = r"^[^\x00-\x1f\x7f]{1,100}$"

CommandId = Annotated[str, Field(pattern=ID_PATTERN)]
PartId = Annotated[str, Field(pattern=PART_PATTERN)]


class CommandVerb(StrEnum):
    """The commands that a station accepts."""

    TRIGGER = "trigger"
    RELOAD = "reload"
    SNAPSHOT = "snapshot"
    EVIDENCE = "evidence"


class CommandRefusal(StrEnum):
    """Why a command is not carried out; also the key of the counter."""

    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    UNKNOWN_VERB = "unknown-verb"
    NEWER_SCHEMA = "newer-schema"
    RETAINED = "retained"
    EXPIRED = "expired"
    TOO_FAR = "too-far-in-the-future"
    REPLAYED = "replayed"
    QUEUE_FULL = "queue-full"
    NOT_POSSIBLE = "not-possible"  # understood, and refused by the station


class _Message(BaseModel):
    """Immutable; keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Command(_Message):
    """What every command carries."""

    schema_version: int = COMMAND_SCHEMA_VERSION
    id: CommandId = Field(description="New for each command; the reply names it.")
    expires_at: AwareDatetime = Field(
        description="Not carried out later; at most 10 minutes from now."
    )


class TriggerCommand(Command):
    """``cmd/trigger``: the next frame of a camera is a part; one verdict follows."""

    camera: Name
    part_id: PartId | None = Field(
        default=None, description="Name of the part; else the command's id."
    )


class ReloadCommand(Command):
    """``cmd/reload``: read the configuration anew, as SIGHUP does."""


class SnapshotCommand(Command):
    """``cmd/snapshot``: reply with the next frame of a camera, as a small picture."""

    camera: Name


class EvidenceCommand(Command):
    """``cmd/evidence``: reply with one piece of a picture of an alert."""

    path: str = Field(
        pattern=EVIDENCE_PATTERN,
        max_length=300,
        description="``evidence`` or ``heat_map`` of the alert: relative path on the "
        "line PC.",
    )
    offset: int = Field(
        ge=0, le=EVIDENCE_MAX_BYTES, description="First byte of the piece."
    )


class EvidencePiece(_Message):
    """One piece of a full picture, or of a heat map."""

    offset: int = Field(ge=0, le=EVIDENCE_MAX_BYTES, description="Its first byte.")
    size_bytes: int = Field(
        ge=1, le=EVIDENCE_MAX_BYTES, description="Of the whole picture."
    )
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="Of the whole JPEG or PNG."
    )
    content: str = Field(max_length=PIECE_MAX_CHARS, description="Base64.")


class CommandReply(_Message):
    """``cmd/<verb>/reply/<id>``: whether a command is carried out."""

    schema_version: int = COMMAND_SCHEMA_VERSION
    id: CommandId
    verb: Name
    accepted: bool
    refusal: CommandRefusal | None = Field(default=None, description="None: accepted.")
    reason: Reason = Field(default="", description="For a person.")
    at: AwareDatetime = Field(description="Clock of the station, UTC.")
    picture: str = Field(
        default="",
        max_length=PICTURE_MAX_CHARS,
        description="Of a snapshot: a JPEG in base64; empty else.",
    )
    evidence: EvidencePiece | None = Field(
        default=None, description="A piece of a full picture; none else."
    )


LAYOUTS: dict[
    CommandVerb,
    type[TriggerCommand | ReloadCommand | SnapshotCommand | EvidenceCommand],
] = {
    CommandVerb.TRIGGER: TriggerCommand,
    CommandVerb.RELOAD: ReloadCommand,
    CommandVerb.SNAPSHOT: SnapshotCommand,
    CommandVerb.EVIDENCE: EvidenceCommand,
}
