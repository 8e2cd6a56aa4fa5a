"""Packages on the line PC, each in a folder named by its SHA-256.

A package is copied into a sibling folder, made durable, and renamed: under its final
name it is complete or absent. Names of folders that a crash leaves behind start with a
dot; the next flash removes them.

::

    store/<sha256>/             a complete package
    store/.incoming-<sha256>/   being copied
    store/.trash-<sha256>/      being removed
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from models.errors import InstallError, PackageError
from models.files import (
    fsync_file,
    fsync_folder,
    fsync_tree,
    make_folder,
    open_new,
    sha256_of,
)
from models.manifest import MANIFEST_NAME
from models.package import (
    Package,
    copy_package,
    digests_of_files,
    open_package,
    read_manifest,
)

logger = logging.getLogger(__name__)

KEPT_PACKAGES = 3
SPACE_FACTOR = 2  # the copy, and as much again for other files of the line PC
RESERVE_BYTES = 32 << 20  # stays free for the daemon's outbox and evidence
INCOMING, TRASH, REPAIR = ".incoming-", ".trash-", ".repair-"


@dataclass(frozen=True, slots=True)
class PackageStore:
    """The ``store`` folder. Its owner holds the slot's lock while writing.

    Attributes:
        folder: Created with the first package.
        reserve_bytes: Space that stays free on the disk.
    """

    folder: Path
    reserve_bytes: int = RESERVE_BYTES

    def open(self, sha256: str) -> Package:
        """Return a stored package after every file in it was verified.

        Raises:
            PackageError: It is missing, damaged, or another package.
        """
        return open_package(self.folder / sha256, sha256=sha256)

    def find(self, sha256: str) -> Package | None:
        """Return a stored package after every file in it was verified.

        Returns:
            None if it is missing or damaged.
        """
        if not sha256:
            return None
        try:
            return self.open(sha256)
        except PackageError as exc:
            logger.warning("stored_package_damaged sha256=%s why=%s", sha256, exc)
            return None

    def holds(self, sha256: str) -> bool:
        """Return whether a package is stored, complete and undamaged."""
        return self.find(sha256) is not None

    def add(self, package: Package) -> Package:
        """Copy a verified package into the store, or repair the copy in it.

        Raises:
            InstallError: The disk has too little space.
            PackageError: The source changed while it was copied.
            OSError: The store cannot be written.
        """
        # Not models.files.replaced_folder: a folder named by its content is never
        # replaced, and the one in force is repaired file by file.
        target = self.folder / package.sha256
        self._refuse_links(target)
        if target.is_dir():
            self._repair(package, target)
            return self.open(package.sha256)
        make_folder(self.folder)
        fsync_folder(self.folder.parent)
        self._check_space(package)
        temporary = self.folder / f"{INCOMING}{package.sha256}"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            copy = copy_package(package, temporary)
        except (OSError, PackageError):
            shutil.rmtree(temporary, ignore_errors=True)  # free the space now
            raise
        if copy.sha256 != package.sha256:
            raise PackageError(
                f"{package.folder}: changed while it was copied.",
                why="Its manifest is not the one that was verified.",
                fix="Flash again when no program writes to that folder.",
            )
        fsync_tree(temporary)
        temporary.rename(target)
        fsync_folder(self.folder)
        return Package(target, copy.manifest, copy.sha256)

    def _refuse_links(self, target: Path) -> None:
        """Refuse a store, or a package in it, that lies elsewhere.

        Raises:
            InstallError: One of them is a link.
        """
        for path in (self.folder, target):
            if path.is_symlink():
                raise InstallError(
                    f"{path}: is a link, expected a folder.",
                    why="Graftline makes no such link; files would be written "
                    "elsewhere.",
                    fix="Remove it and flash again.",
                )

    def _check_space(self, package: Package) -> None:
        """Refuse before the first byte is written, not during the copy."""
        size_bytes = sum(f.size_bytes for f in package.manifest.files.values())
        needed_bytes = SPACE_FACTOR * size_bytes + self.reserve_bytes
        free_bytes = shutil.disk_usage(self.folder).free
        if free_bytes < needed_bytes:
            raise InstallError(
                f"{self.folder}: the disk is too full for this package.",
                why=f"{free_bytes >> 20} MiB are free, expected "
                f"{needed_bytes / (1 << 20):.0f} MiB (twice the package and "
                f"{self.reserve_bytes >> 20} MiB for the daemon).",
                fix="Free space on that disk and flash again.",
            )

    def _repair(self, package: Package, target: Path) -> None:
        """Replace each file that differs from the package.

        The folder may be in force, so each file is replaced by one rename and the
        others are not touched: the folder is never less complete than before.
        """
        for name, sha256 in digests_of_files(package).items():
            path = target / name
            if path.is_file() and not path.is_symlink() and sha256_of(path) == sha256:
                continue
            logger.warning("stored_file_mended path=%s", path)
            _make_folders(target, path.parent)
            temporary = path.with_name(f"{REPAIR}{path.name}")
            with (package.folder / name).open("rb") as good, open_new(temporary) as new:
                shutil.copyfileobj(good, new)
            fsync_file(temporary)
            temporary.replace(path)
            fsync_folder(path.parent)

    def clean(self) -> None:
        """Remove the leftovers of crashed attempts.

        Raises:
            OSError: The store cannot be written.
        """
        if self.folder.is_symlink() or not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if not path.name.startswith((INCOMING, TRASH)):
                continue
            if path.is_symlink():  # planted: no flash makes one
                path.unlink()
            else:
                shutil.rmtree(path)
        for path in self.folder.rglob(f"{REPAIR}*"):
            path.unlink()

    def prune(self, linked: set[str]) -> list[str]:
        """Remove old packages; the newest ones and the linked ones stay.

        Args:
            linked: SHA-256 of packages that a link names.

        Returns:
            SHA-256 of those that stay, newest first.

        Raises:
            OSError: The store cannot be written.
        """
        names = [
            path.name for path in self.folder.iterdir() if not path.name.startswith(".")
        ]
        names.sort(key=self._build, reverse=True)
        kept = [
            name
            for rank, name in enumerate(names)
            if rank < KEPT_PACKAGES or name in linked
        ]
        for name in set(names) - set(kept):
            trash = self.folder / f"{TRASH}{name}"
            (self.folder / name).rename(trash)
            shutil.rmtree(trash)
            logger.info("package_removed sha256=%s", name)
        return kept

    def _build(self, sha256: str) -> int:
        """Return the build number, which grows with the time of packing.

        A package without a readable manifest is -1: the first to be removed.
        """
        try:
            return read_manifest(self.folder / sha256 / MANIFEST_NAME).build
        except PackageError:
            return -1


def _make_folders(root: Path, folder: Path) -> None:
    """Make a folder of a package again; a link on the way to it is replaced."""
    for step in [*reversed(folder.parents), folder]:
        if step != root and step.is_relative_to(root):
            if step.is_symlink():
                step.unlink()
            step.mkdir(exist_ok=True)
