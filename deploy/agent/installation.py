"""Installs one package, whatever brought it: verify, then the one ``Installer``."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

from deploy.installer import (
    DEFAULT_TRIAL,
    Installer,
    StepCallback,
    open_installer,
)
from deploy.results import FlashReport
from deploy.target import FlashTarget
from deploy.transports.stored_files import StoredFiles
from deploy.trial import TrialSettings
from deploy.trust.sources import ReleaseSource
from deploy.trust.verification import ListedPackage, find_listed
from models.errors import InstallError
from models.files import make_folder
from models.inbox_files import FlashRequest, InboxFolder
from models.slot_files import SlotFolder, SlotRecord, read_file
from models.slot_states import SlotState

ASSEMBLED = ".package-"

InstallerFactory = Callable[[FlashTarget, StepCallback], Installer]


@dataclass(frozen=True, slots=True)
class Installation:
    """How the packages of one slot are installed.

    Attributes:
        slot: The slot.
        target_name: What reports call it; empty: ``local:`` and its folder.
        make_installer: Returns the installer of a target.
        trial: How packages are tried where a request leaves it open.
    """

    slot: SlotFolder
    target_name: str = ""
    make_installer: InstallerFactory = open_installer
    trial: TrialSettings = DEFAULT_TRIAL

    @property
    def target(self) -> FlashTarget:
        """The slot, as reports name it."""
        name = self.target_name or f"local:{self.slot.root}"
        return FlashTarget(name, self.slot)

    def resume(self, on_step: StepCallback) -> FlashReport | None:
        """Go on with a trial that was interrupted; None: there is none.

        Raises:
            InstallError: The trial was bad; the old package is still in force.
        """
        return self.make_installer(self.target, on_step).resume(self.trial)

    def run(
        self,
        source: ReleaseSource,
        request: FlashRequest,
        on_step: StepCallback,
        *,
        is_received: bool,
    ) -> FlashReport:
        """Put the package of a request in force.

        Args:
            source: The release that holds the package.
            is_received: Its files are on this machine: none is kept for a second try.

        Raises:
            InstallError: The release is not trusted or not complete, or the package
                was not put in force; the old one still is.
            PackageError: The package cannot be used.
        """
        inbox = InboxFolder(self.slot.inbox)
        make_folder(inbox.root)
        into = inbox.root / f"{ASSEMBLED}{request.id}"
        pool = None if is_received else inbox.pool
        if pool is not None:
            make_folder(pool)
        shutil.rmtree(into, ignore_errors=True)  # of an attempt that was interrupted
        stored = StoredFiles(self.slot.store)
        on_step(f"verify: release {source.name}")
        signed = find_listed(
            self.slot, source, request.package_sha256, stored.find, partial=pool
        )
        installer = self.make_installer(self.target, on_step)
        report = self._in_force(installer, signed)
        if report is None:
            with signed.received(into) as package:
                report = installer.flash(package, trial_of(request, self.trial))
        for file in signed.files:
            (inbox.pool / file.sha256).unlink(missing_ok=True)
        return report

    def _in_force(
        self, installer: Installer, signed: ListedPackage
    ) -> FlashReport | None:
        """Return the outcome where nothing is to be done; no file is received then."""
        found = installer.find_in_force(signed.sha256)
        if found is None:
            return None
        package, report = found
        signed.require_match(package)
        return report

    def was_rolled_back(self, request: FlashRequest) -> bool:
        """Return whether the self-test or the trial of a package has failed here."""
        try:
            record = read_file(self.slot.state, SlotRecord)
        except InstallError:
            return False
        return (
            record is not None
            and record.state is SlotState.ROLLED_BACK
            and record.package_sha256 == request.package_sha256
        )


def trial_of(request: FlashRequest, default: TrialSettings) -> TrialSettings:
    """Return how the package of a request is tried.

    Args:
        default: For what the request leaves open.
    """
    settings = replace(default, tries_again=request.again)
    if request.trial_frames is not None:
        settings = replace(settings, frames=request.trial_frames)
    if request.trial_minutes is not None:
        settings = replace(settings, seconds=request.trial_minutes * 60)
    if request.trial_slower is not None:
        settings = replace(settings, slower_max=request.trial_slower)
    return settings
