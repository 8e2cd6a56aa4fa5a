"""The results of the verbs, as ``--json`` prints them: one JSON each."""

from enum import StrEnum
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.errors import InstallError
from models.inbox_files import ResultLine
from models.manifest import MANIFEST_NAME
from models.package import Package, read_manifest
from models.slot_files import Health, Proof, RefusedPackage, RunMode
from models.slot_states import SlotState

SHOWN_FAULTS = 3
OPERATOR_ROLLBACK = "Asked for by an operator."  # reason of the state


class _Report(BaseModel):
    """Base of all results: immutable."""

    model_config = ConfigDict(frozen=True)


class PackageName(_Report):
    """Name, build and identity of a package."""

    name: str
    build: int
    sha256: str

    @classmethod
    def of(cls, package: Package) -> "PackageName":
        """Return the name of a verified package."""
        manifest = package.manifest
        return cls(name=manifest.name, build=manifest.build, sha256=package.sha256)

    @classmethod
    def stored(cls, folder: Path) -> "PackageName":
        """Return the name of a package; only its manifest is read.

        Args:
            folder: The package's folder, named by its SHA-256.

        Raises:
            PackageError: The manifest cannot be read.
        """
        manifest = read_manifest(folder / MANIFEST_NAME)
        return cls(name=manifest.name, build=manifest.build, sha256=folder.name)

    def __str__(self) -> str:
        """Return name, build and short hash as one text."""
        return f"{self.name} build {self.build} ({self.sha256[:12]})"


class FlashOutcome(StrEnum):
    """How a flash ended; failures are errors, not outcomes."""

    COMMITTED = "committed"
    ALREADY_IN_FORCE = "already-in-force"
    REPAIRED = "mended"  # in force before, but its copy was damaged or had no proof


class FlashReport(_Report):
    """Result of ``flash``."""

    target: str
    outcome: FlashOutcome
    package: PackageName
    previous: PackageName | None
    proof: Proof
    trial: str = Field(
        default="", description="What the trial measured, or why there was none."
    )


class TargetOutcome(StrEnum):
    """How the flash of one of several targets ended."""

    COMMITTED = "committed"
    ALREADY_IN_FORCE = "already-in-force"
    REPAIRED = "mended"  # as FlashOutcome
    ROLLED_BACK = "rolled-back"  # self-test or trial failed: the old one is in force
    FAILED = "failed"  # refused or damaged; the old one is in force
    UNREACHABLE = "unreachable"  # nothing was changed; later it may be reachable
    SENT = "sent"  # delivered, not installed yet
    PLANNED = "planned"  # only shown


class TargetResult(_Report):
    """Result of ``flash`` for one of several targets."""

    target: str
    outcome: TargetOutcome
    exit_code: int = Field(ge=0, description="0: done, sent or planned.")
    message: str
    why: str = ""
    fix: str = ""
    refusal: str = Field(
        default="", description="Why a release is not trusted; empty: another cause."
    )
    package: PackageName
    previous: PackageName | None = None
    report: FlashReport | None = Field(
        default=None, description="Of the line PC, where the package is in force."
    )
    sent_files: int = Field(default=0, ge=0)
    sent_bytes: int = Field(default=0, ge=0)
    seconds: float = Field(default=0, ge=0)


class FlashResults(_Report):
    """Result of ``flash`` with several targets, in the order of the targets."""

    results: tuple[TargetResult, ...]


class RollbackReport(_Report):
    """Result of ``rollback``."""

    target: str
    current: PackageName
    previous: PackageName | None = Field(description="In force until now.")
    proof: Proof


class StatusReport(_Report):
    """Result of ``status``."""

    target: str
    state: SlotState
    state_sha256: str = Field(default="", description="Package of that state.")
    reason: str = Field(default="", description="Why rolled back or interrupted.")
    since: AwareDatetime | None = None
    current: PackageName | None = None
    previous: PackageName | None = None
    trial: PackageName | None = None
    refused: tuple[RefusedPackage, ...] = Field(
        default=(), description="Packages that a trial rolled back, newest first."
    )
    proof: Proof | None = Field(default=None, description="Of the package in force.")
    health: Health | None = Field(default=None, description="The daemon's own report.")
    health_age_s: float | None = None
    no_health: str = Field(
        default="", description="Why there may be no report of a daemon; empty else."
    )
    waiting: int = Field(default=0, ge=0, description="Entries of the inbox.")
    last_delivery: ResultLine | None = Field(
        default=None, description="Result of the entry that was taken last."
    )
    faults: tuple[str, ...] = Field(default=(), description="What a person must fix.")


class SelftestReport(_Report):
    """Result of ``selftest``: every run mode, passed or not."""

    package_sha256: str
    name: str
    build: int
    at: AwareDatetime
    machine: str = Field(description="Processor and number of cores.")
    instruction_set: str = Field(
        default="", description="Instructions on vectors; empty = not recorded."
    )
    runtimes: str = Field(
        default="", description="Versions of the runtimes; empty = not recorded."
    )
    golden_frames: int = Field(ge=1)
    modes: tuple[RunMode, ...] = Field(min_length=1)
    chosen: RunMode | None = Field(description="Fastest that passed; null = none.")

    def proof(self) -> Proof:
        """Return the proof to save on the line PC.

        Raises:
            InstallError: No run mode reproduced the golden frames.
        """
        if self.chosen is None:
            faults = "; ".join(
                f"{mode.variant} {mode.precision_hint}: {mode.reason}"
                for mode in self.modes[:SHOWN_FAULTS]
            )
            raise InstallError(
                f"{self.name} build {self.build}: the self-test failed in every "
                f"run mode ({len(self.modes)}).",
                why=f"{faults}.",
                fix="Evaluate the package on the workstation and pack the run again; "
                "the line PC keeps the model it has.",
            )
        return Proof(
            package_sha256=self.package_sha256,
            at=self.at,
            machine=self.machine,
            instruction_set=self.instruction_set,
            runtimes=self.runtimes,
            golden_frames=self.golden_frames,
            chosen=self.chosen,
            modes=self.modes,
        )
