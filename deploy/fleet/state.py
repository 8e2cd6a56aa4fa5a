"""What the workstation knows of its fleet, on the disk: it survives kill -9.

::

    STATE/
        .lock           held by the one `fleet flash` that runs
        rollout.json    the package, and how far it came on each PC (Rollout)
        pcs.json        what each PC answered when it was last reached (SeenPcs)
        audit.jsonl     one row for each change: who, when, what (AuditRow)

The first two are replaced atomically; rows are only appended. A PC is written down as
started before it is flashed.
"""

import contextlib
import errno
import fcntl
import getpass
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deploy.fleet.waves import PcOutcome
from deploy.results import PackageName
from models.errors import ConfigError, GraftlineError, InstallError
from models.files import make_folder, open_lock, read_regular, write_atomically
from models.strict_json import parse_json

SCHEMA_VERSION = 1
FILE_MAX_BYTES = 64 << 20  # some 1 kB for each PC
LOCK, ROLLOUT, PCS, AUDIT = ".lock", "rollout.json", "pcs.json", "audit.jsonl"


class PcState(StrEnum):
    """The state of a PC, in the three values that a person acts on."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


class _File(BaseModel):
    """Immutable; keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


class RolloutResult(_File):
    """How far the package came on one PC."""

    outcome: PcOutcome
    at: AwareDatetime
    reason: str = Field(default="", description="Why bad or unknown; empty else.")


class Rollout(_File):
    """``rollout.json``: the package that is brought to the fleet."""

    schema_version: int = SCHEMA_VERSION
    package: PackageName
    started_at: AwareDatetime
    by: str = Field(description="User and workstation.")
    results: dict[str, RolloutResult] = Field(default_factory=dict)

    @property
    def outcomes(self) -> dict[str, PcOutcome]:
        """The outcome of each PC that was tried."""
        return {name: result.outcome for name, result in self.results.items()}


class SeenPc(_File):
    """What is known of one PC, as ``fleet status`` shows it."""

    name: str
    target: str
    state: PcState
    reason: str = Field(default="", description="Why bad or unknown; empty else.")
    is_reached: bool = Field(description="Whether it answered this time.")
    seen_at: AwareDatetime | None = Field(description="Last answer; null = never.")
    package: PackageName | None = Field(default=None, description="In force.")
    is_proven: bool = Field(
        default=False, description="That package is whole, committed and proven."
    )
    since: AwareDatetime | None = Field(default=None, description="Of the state.")
    proven_at: AwareDatetime | None = Field(default=None, description="Self-test.")
    variant: str = ""
    latency_ms_p99: float | None = None


class SeenPcs(_File):
    """``pcs.json``."""

    schema_version: int = SCHEMA_VERSION
    pcs: dict[str, SeenPc] = Field(default_factory=dict)


class AuditRow(_File):
    """One line of ``audit.jsonl``."""

    at: AwareDatetime
    by: str = Field(description="User and workstation.")
    what: str
    pc: str = Field(default="", description="Empty = the whole fleet.")
    package: PackageName | None = None
    reason: str = ""


class FleetBusyError(InstallError):
    """Another ``fleet flash`` runs with the same state."""


AnyState = TypeVar("AnyState", bound=_File)


def operator_name() -> str:
    """Return user and workstation, for the rows of the audit."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user id without an entry, as in containers
        user = f"#{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


@dataclass(frozen=True, slots=True)
class FleetState:
    """The state folder of one fleet.

    Attributes:
        folder: Made by the first ``fleet flash``.
        by: User and workstation.
    """

    folder: Path
    by: str

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock; the kernel releases it when the process ends.

        Raises:
            FleetBusyError: Another process holds it.
            ConfigError: The folder cannot be made.
        """
        with self._translated_errors():
            make_folder(self.folder)
            descriptor = open_lock(self.folder / LOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise FleetBusyError(
                f"{self.folder}: busy.",
                why="Another `fleet flash` is running with this state.",
                fix="Wait until it has ended, then give the same command again.",
            ) from exc
        else:
            yield
        finally:
            os.close(descriptor)

    def rollout(self) -> Rollout | None:
        """Return the last rollout; None where there was none.

        Raises:
            ConfigError: The file is damaged, or a newer Graftline wrote it.
        """
        return self._read(ROLLOUT, Rollout)

    def save_rollout(self, rollout: Rollout) -> None:
        """Replace ``rollout.json``.

        Raises:
            ConfigError: It cannot be written.
        """
        self._write(ROLLOUT, rollout)

    def seen(self) -> dict[str, SeenPc]:
        """Return what each PC answered last.

        Raises:
            ConfigError: The file is damaged, or a newer Graftline wrote it.
        """
        file = self._read(PCS, SeenPcs)
        return dict(file.pcs) if file else {}

    def save_seen(self, pcs: dict[str, SeenPc]) -> None:
        """Replace ``pcs.json``.

        Raises:
            ConfigError: It cannot be written.
        """
        self._write(PCS, SeenPcs(pcs=pcs))

    def audit(
        self,
        what: str,
        pc: str = "",
        package: PackageName | None = None,
        reason: str = "",
    ) -> None:
        """Append a row, durably.

        Raises:
            ConfigError: It cannot be written.
        """
        row = AuditRow(
            at=datetime.now(UTC),
            by=self.by,
            what=what,
            pc=pc,
            package=package,
            reason=reason,
        )
        with self._translated_errors():
            _append_line(self.folder / AUDIT, row.model_dump_json().encode())

    def _read(self, name: str, layout: type[AnyState]) -> AnyState | None:
        path = self.folder / name
        try:
            document = parse_json(read_regular(path, FILE_MAX_BYTES))
            version = (
                document.get("schema_version") if isinstance(document, dict) else 0
            )
            if isinstance(version, int) and version > SCHEMA_VERSION:
                raise ConfigError(
                    f"{path}: schema {version} is newer than this one "
                    f"({SCHEMA_VERSION}).",
                    why="A newer Graftline wrote it.",
                    fix="Update Graftline on this workstation.",
                )
            return layout.model_validate(document)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as exc:
            raise ConfigError(
                f"{path}: cannot be read.",
                why=str(exc),
                fix="Restore it, or remove it: the PCs themselves are asked what they "
                "run, and the package is brought to those that lack it.",
            ) from exc

    def _write(self, name: str, content: _File) -> None:
        with self._translated_errors():
            text = content.model_dump_json(indent=2).encode() + b"\n"
            write_atomically(self.folder / name, text)

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except GraftlineError:
            raise
        except OSError as exc:
            raise ConfigError(
                f"{self.folder}: the state of the fleet cannot be written.",
                why=exc.strerror or str(exc),
                fix="Give a folder that you may write with --state DIR, or free space; "
                "the same command goes on.",
            ) from exc


def _append_line(path: Path, line: bytes) -> None:
    """Append a line in one write; the torn end of a killed writer is closed first."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        content = b"\n" * is_torn + line + b"\n"
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
