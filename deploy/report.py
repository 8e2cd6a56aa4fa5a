"""What the verbs of this room answer, as one JSON each."""

from enum import StrEnum
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.errors import InstallError
from models.manifest import MANIFEST_NAME
from models.package import Package, read_manifest
from models.slot_files import Health, Proof, RunMode
from models.slot_states import SlotState

SHOWN_FAULTS = 3


class _Report(BaseModel):
    """Immutable."""

    model_config = ConfigDict(frozen=True)


class PackageName(_Report):
    """Which package."""

    name: str
    build: int
    sha256: str

    @classmethod
    def of(cls, package: Package) -> "PackageName":
        """Return the name of a verified package.

        Args:
            package: The package.
        """
        manifest = package.manifest
        return cls(name=manifest.name, build=manifest.build, sha256=package.sha256)

    @classmethod
    def stored(cls, folder: Path) -> "PackageName":
        """Return the name of a package of which only the manifest is read.

        Args:
            folder: Its folder, named by its SHA-256.

        Raises:
            PackageError: The manifest cannot be read.
        """
        manifest = read_manifest(folder / MANIFEST_NAME)
        return cls(name=manifest.name, build=manifest.build, sha256=folder.name)

    def __str__(self) -> str:
        """Return the name for people."""
        return f"{self.name} build {self.build} ({self.sha256[:12]})"


class FlashOutcome(StrEnum):
    """How a flash ended; failures are errors, not outcomes."""

    COMMITTED = "committed"
    ALREADY_IN_FORCE = "already-in-force"
    MENDED = "mended"  # in force before, but its copy was damaged or not proven


class FlashReport(_Report):
    """Answer of ``flash``."""

    target: str
    outcome: FlashOutcome
    package: PackageName
    previous: PackageName | None
    proof: Proof


class RollbackReport(_Report):
    """Answer of ``rollback``."""

    target: str
    current: PackageName
    previous: PackageName | None = Field(description="What was in force until now.")
    proof: Proof


class StatusReport(_Report):
    """Answer of ``status``."""

    target: str
    state: SlotState
    state_sha256: str = Field(default="", description="Package the state speaks of.")
    reason: str = Field(default="", description="Why rolled back or interrupted.")
    since: AwareDatetime | None = None
    current: PackageName | None = None
    previous: PackageName | None = None
    trial: PackageName | None = None
    proof: Proof | None = Field(default=None, description="Of the package in force.")
    health: Health | None = Field(default=None, description="The daemon's own word.")
    health_age_s: float | None = None
    faults: tuple[str, ...] = Field(default=(), description="What a person must mend.")


class SelftestReport(_Report):
    """What ``graftline selftest --json`` prints: every run mode, passed or not."""

    package_sha256: str
    name: str
    build: int
    at: AwareDatetime
    machine: str = Field(description="Processor and number of cores.")
    golden_frames: int = Field(ge=1)
    modes: tuple[RunMode, ...] = Field(min_length=1)
    chosen: RunMode | None = Field(description="Fastest that passed; none if none.")

    def proof(self) -> Proof:
        """Return the proof to keep on the line PC.

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
            golden_frames=self.golden_frames,
            chosen=self.chosen,
            modes=self.modes,
        )
