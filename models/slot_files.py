"""The slot: the folder of the line PC that flashing and the daemon share.

::

    SLOT/
        store/<sha256>/     packages, never changed once complete
        current             link to the package in force
        previous            link to the package before
        trial               link to the package that is being tested
        state.json          state of the installation (SlotRecord)
        proof.json          results of the self-tests (ProofFile)
        trial.json          order to try the package of that link (TrialOrder)
        refused.json        packages that a trial rolled back (RefusedFile)
        health.json         status of the daemon (Health)
        trial-starts.json   starts of the daemon in a trial (TrialStarts)
        inbox/              packages that wait, see ``models.inbox_files``

``edge`` writes ``health.json`` and ``trial-starts.json``, ``deploy`` all others. The
contract is these files: neither imports the other.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from models.errors import InstallError
from models.files import read_regular, write_atomically
from models.machine import Platform
from models.manifest import PrecisionHint, VariantName
from models.slot_states import SlotState
from models.strict_json import parse_json
from models.trial_report import TrialPhase, TrialReport

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
SLOT_FILE_MAX_BYTES = 4 << 20  # proof.json has some 2 kB for each package


class SlotFileDamagedError(InstallError):
    """A slot file cannot be read; the next flash replaces it."""


class _File(BaseModel):
    """Immutable; keeps unknown fields."""

    model_config = ConfigDict(frozen=True, extra="allow")


class SlotRecord(_File):
    """``state.json``."""

    schema_version: int = SCHEMA_VERSION
    state: SlotState
    package_sha256: str = Field(default="", description="Package it speaks of.")
    reason: str = Field(default="", description="Why rolled back; empty else.")
    package: str = Field(
        default="", description="Its name and build; older versions write none."
    )
    at: AwareDatetime


class RunMode(_File):
    """One way to run a package, measured on this line PC."""

    variant: VariantName
    precision_hint: PrecisionHint
    passed: bool = Field(description="Whether the golden frames were reproduced.")
    reason: str = Field(default="", description="First fault where it did not pass.")
    latency_ms_p50: float = Field(ge=0)
    latency_ms_p99: float = Field(ge=0)
    latency_runs: int = Field(
        default=0,
        ge=0,
        description="Inferences that were measured, fewer where another run mode is "
        "clearly faster; 0 = not measured, or by an earlier version.",
    )
    streams: int = Field(
        default=1, ge=1, description="Pictures at the same time that pay here."
    )
    throughput_fps: float = Field(
        default=0, ge=0, description="With so many streams; 0 = not measured."
    )
    memory_bytes: int = Field(
        default=0,
        ge=0,
        description="Resident memory that this run mode added; 0 = not measured.",
    )


class Proof(_File):
    """What the self-test found for one package on this machine."""

    package_sha256: str
    at: AwareDatetime
    machine: str = Field(description="Processor and number of cores.")
    instruction_set: str = Field(
        default="", description="Instructions on vectors; empty = not recorded."
    )
    runtimes: str = Field(
        default="", description="Versions of the runtimes; empty = not recorded."
    )
    golden_frames: int = Field(ge=1)
    chosen: RunMode = Field(description="Fastest run mode that passed.")
    modes: tuple[RunMode, ...] = Field(min_length=1)

    def differences(self, here: Platform) -> tuple[str, ...]:
        """Return why the proof does not hold on a platform, as phrases for a person."""
        processor = self.machine.rpartition(", ")[0]  # without the number of cores
        return Platform(
            processor or self.machine, self.instruction_set, self.runtimes
        ).differences(here)

    @model_validator(mode="after")
    def _check_chosen(self) -> Self:
        """Refuse a run mode that was not measured, or did not pass."""
        if self.chosen not in self.modes or not self.chosen.passed:
            msg = "the chosen run mode is not one of those that passed"
            raise ValueError(msg)
        return self


class ProofFile(_File):
    """``proof.json``: one proof for each package in the slot."""

    schema_version: int = SCHEMA_VERSION
    proofs: dict[str, Proof] = Field(description="Package sha256 to proof.")

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        """Refuse a proof under the digest of another package."""
        for sha256, proof in self.proofs.items():
            if proof.package_sha256 != sha256:
                msg = f"the proof of {proof.package_sha256[:12]} is under {sha256[:12]}"
                raise ValueError(msg)
        return self


class Health(_File):
    """``health.json``: the daemon's own word, rewritten every few seconds."""

    schema_version: int = SCHEMA_VERSION
    at: AwareDatetime
    boot_id: str
    state: str
    reason: str = Field(default="", description="What is wrong; empty = nothing.")
    package_sha256: str = ""
    fps: float = Field(default=0, ge=0)
    latency_ms_p50: float = Field(default=0, ge=0)
    latency_ms_p99: float = Field(default=0, ge=0)
    frames_inspected: int = Field(default=0, ge=0)
    alerts: int = Field(default=0, ge=0)
    interval_s: float = Field(
        default=0, ge=0, description="When it is written again; 0 = not known."
    )
    can_try: bool = Field(
        default=False, description="Whether this daemon takes part in trials."
    )
    trial: TrialReport | None = Field(
        default=None, description="The trial that it takes part in."
    )


class TrialOrder(_File):
    """``trial.json``: lets the daemon try the package that ``trial`` names."""

    schema_version: int = SCHEMA_VERSION
    id: str = Field(description="New with each trial; the starts are counted by it.")
    package_sha256: str
    phase: TrialPhase
    limit_s: float = Field(
        gt=0,
        description="The daemon returns to the old model if the trial lasts longer: "
        "then nothing compares the two models any more.",
    )
    at: AwareDatetime = Field(description="When the trial started.")


class TrialStarts(_File):
    """``trial-starts.json``: written before the model is loaded, so crashes count."""

    schema_version: int = SCHEMA_VERSION
    id: str = Field(description="Of the order.")
    package_sha256: str
    starts: int = Field(ge=0)
    at: AwareDatetime


class RefusedPackage(_File):
    """A package that a trial on this line PC rolled back."""

    package: str = Field(description="Name and build.")
    reason: str
    at: AwareDatetime


class RefusedFile(_File):
    """``refused.json``: packages that are not tried again without being asked."""

    schema_version: int = SCHEMA_VERSION
    packages: dict[str, RefusedPackage] = Field(
        description="Package sha256 to what was found."
    )


AnyFile = TypeVar("AnyFile", bound=_File)


@dataclass(frozen=True, slots=True)
class SlotFolder:
    """Paths of one slot folder, which need not exist yet."""

    root: Path

    @property
    def store(self) -> Path:
        """Folder of the packages, each under its SHA-256."""
        return self.root / "store"

    @property
    def current(self) -> Path:
        """Link to the package in force."""
        return self.root / "current"

    @property
    def previous(self) -> Path:
        """Link to the package before."""
        return self.root / "previous"

    @property
    def trial(self) -> Path:
        """Link to the package that is being tested."""
        return self.root / "trial"

    @property
    def state(self) -> Path:
        """``state.json``."""
        return self.root / "state.json"

    @property
    def proof(self) -> Path:
        """``proof.json``."""
        return self.root / "proof.json"

    @property
    def health(self) -> Path:
        """``health.json``."""
        return self.root / "health.json"

    @property
    def inbox(self) -> Path:
        """Folder of the packages that wait to be installed."""
        return self.root / "inbox"

    @property
    def trial_order(self) -> Path:
        """``trial.json``."""
        return self.root / "trial.json"

    @property
    def trial_starts(self) -> Path:
        """``trial-starts.json``."""
        return self.root / "trial-starts.json"

    @property
    def refused(self) -> Path:
        """``refused.json``."""
        return self.root / "refused.json"

    def package_of(self, link: Path) -> str:
        """Return the SHA-256 that a link names; empty without a link.

        Args:
            link: ``current``, ``previous`` or ``trial``.

        Raises:
            InstallError: The folder cannot be read.
        """
        try:
            return link.readlink().name if link.is_symlink() else ""
        except OSError as exc:
            raise _unreadable(link, exc) from exc

    @property
    def exists(self) -> bool:
        """Whether the folder exists.

        Raises:
            InstallError: It cannot be read.
        """
        try:
            return self.root.is_dir()
        except OSError as exc:
            raise _unreadable(self.root, exc) from exc


def read_file(path: Path, layout: type[AnyFile]) -> AnyFile | None:
    """Return a slot file; None where it does not exist.

    Args:
        path: One of the JSON files of the slot.

    Raises:
        SlotFileDamagedError: It exists and is not readable, or not valid.
        InstallError: A newer Graftline wrote it.
    """
    try:
        document = parse_json(read_regular(path, SLOT_FILE_MAX_BYTES))
        _refuse_newer(path, document)
        return layout.model_validate(document)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise SlotFileDamagedError(
            f"{path}: cannot be read.", why=str(exc), fix="Flash the package again."
        ) from exc


def read_or_none(path: Path, layout: type[AnyFile]) -> AnyFile | None:
    """Return a slot file; None where it does not exist or is damaged.

    Raises:
        InstallError: A newer Graftline wrote it.
    """
    try:
        return read_file(path, layout)
    except SlotFileDamagedError as exc:
        logger.warning("slot_file_damaged why=%s", exc)
        return None


def _unreadable(path: Path, cause: OSError) -> InstallError:
    return InstallError(
        f"{path}: cannot be read.",
        why=cause.strerror or str(cause),
        fix="Correct path or permissions of the slot folder, or run this as its owner.",
    )


def _refuse_newer(path: Path, document: object) -> None:
    version = document.get("schema_version") if isinstance(document, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise InstallError(
            f"{path}: schema {version} is newer than this runtime ({SCHEMA_VERSION}).",
            why="A newer Graftline wrote it.",
            fix="Update Graftline on this line PC.",
        )


def write_file(path: Path, content: _File) -> None:
    """Replace a slot file atomically.

    Raises:
        OSError: It cannot be written.
    """
    write_atomically(path, content.model_dump_json(indent=2).encode() + b"\n")
