"""The inbox of a slot: what a workstation brings, and what the line PC answers.

::

    SLOT/inbox/
        .files/<sha256>      files that are on their way, named by their content
        .partial-<id>/       an entry that is being written
        <id>/                an entry: metadata/, package.json and request.json
        <id>.log             steps and result of that entry, one JSON a line

A sender writes the files first, then ``.partial-<id>/``, and renames it last: the
rename is the trigger. Files are named by their content, so that two senders write the
same bytes under the same name and a cut transfer is continued by any of them.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from models.manifest import FILES_MAX, Sha256
from models.strict_json import parse_json

SCHEMA_VERSION = 1
ID_PATTERN = r"^[0-9a-z-]{1,64}$"
REQUEST_NAME, HINT_NAME = "request.json", "package.json"
METADATA_NAME, FILES_NAME = "metadata", "files"
PARTIAL, POOL_NAME, LOG_SUFFIX = ".partial-", ".files", ".log"
REQUEST_MAX_BYTES = 16 << 10
LINE_MAX_BYTES = 1 << 20  # a result holds the proof of the package
TEXT_MAX_CHARS = 4000

EntryId = Annotated[str, Field(pattern=ID_PATTERN)]


class _File(BaseModel):
    """Immutable; keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


class FlashRequest(_File):
    """``request.json``: which package of a release to put in force."""

    schema_version: int = SCHEMA_VERSION
    id: EntryId = Field(description="New for each request; the log has its name.")
    package_sha256: Sha256 = Field(description="Identity of the package.")
    at: AwareDatetime = Field(description="Clock of the sender, UTC.")
    by: str = Field(default="", max_length=200, description="Who sent it, for people.")
    source: str = Field(
        default="",
        max_length=2000,
        description="Folder or address of the release; empty: it is in this entry.",
    )
    again: bool = Field(
        default=False, description="Also where a trial has refused this package."
    )
    trial_frames: int | None = Field(
        default=None, ge=0, description="Frames of the trial; null: the line PC's own."
    )
    trial_minutes: float | None = Field(
        default=None, ge=0, description="Shortest trial; null: the line PC's own."
    )
    trial_slower: float | None = Field(
        default=None,
        ge=0,
        description="Largest factor of the latency; null: the line PC's own.",
    )


class StepLine(_File):
    """One step, as a sentence."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["step"] = "step"
    at: AwareDatetime
    text: str = Field(max_length=TEXT_MAX_CHARS)
    attempt: int = Field(
        default=0, ge=0, description="Above 0: the entry is taken for the nth time."
    )


class ResultLine(_File):
    """The last line of a log: how it ended."""

    schema_version: int = SCHEMA_VERSION
    kind: Literal["result"] = "result"
    at: AwareDatetime
    exit_code: int = Field(ge=0, le=255)
    message: str = Field(max_length=TEXT_MAX_CHARS)
    why: str = Field(default="", max_length=TEXT_MAX_CHARS)
    fix: str = Field(default="", max_length=TEXT_MAX_CHARS)
    refusal: str = Field(
        default="", description="Why a release is not trusted; empty: another cause."
    )
    is_unavailable: bool = Field(
        default=False, description="The release could not be read: try again later."
    )
    is_rolled_back: bool = Field(
        default=False, description="The self-test or the trial refused the package."
    )
    report: dict[str, Any] | None = Field(
        default=None, description="Result of `graftline flash --json`."
    )


LogLine = Annotated[StepLine | ResultLine, Field(discriminator="kind")]
LOG_LINE: TypeAdapter[StepLine | ResultLine] = TypeAdapter(LogLine)


class MissingFile(_File):
    """One file that the line PC lacks, wholly or in part."""

    sha256: Sha256
    have_bytes: int = Field(default=0, ge=0, description="Received before.")
    have_sha256: str = Field(default="", description="Of the bytes received before.")


class WantedFiles(_File):
    """What ``graftline agent --missing`` reads: the files of a package."""

    schema_version: int = SCHEMA_VERSION
    files: dict[Sha256, Annotated[int, Field(ge=0)]] = Field(
        max_length=FILES_MAX, description="SHA-256 to size in bytes."
    )


class MissingFiles(_File):
    """What ``graftline agent --missing`` prints."""

    schema_version: int = SCHEMA_VERSION
    missing: tuple[MissingFile, ...]
    inbox: str = Field(default="", description="Path of the inbox on the line PC.")


@dataclass(frozen=True, slots=True)
class InboxFolder:
    """Paths of one inbox, which need not exist yet."""

    root: Path

    @property
    def pool(self) -> Path:
        """Folder of the files that are on their way."""
        return self.root / POOL_NAME

    def entry(self, entry_id: str) -> Path:
        """Return the folder of an entry."""
        return self.root / entry_id

    def partial(self, entry_id: str) -> Path:
        """Return the folder of an entry that is being written."""
        return self.root / f"{PARTIAL}{entry_id}"

    def log(self, entry_id: str) -> Path:
        """Return the log of an entry."""
        return self.root / f"{entry_id}{LOG_SUFFIX}"


def is_entry_id(text: str) -> bool:
    """Return whether a text may be the id of an entry, and the name of its folder."""
    return re.fullmatch(ID_PATTERN.strip("^$"), text) is not None


def is_digest(text: str) -> bool:
    """Return whether a text is a SHA-256 in lower-case hexadecimal digits."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def parse_log_line(line: bytes | str) -> StepLine | ResultLine | None:
    """Return a line of a log; None where it is another text."""
    try:
        return LOG_LINE.validate_python(parse_json(line))
    except (ValueError, ValidationError):
        return None
