"""``refused.json``: the packages that a trial on this line PC rolled back."""

from dataclasses import dataclass
from datetime import UTC, datetime

from models.slot_files import (
    RefusedFile,
    RefusedPackage,
    SlotFolder,
    read_or_none,
    write_file,
)

REFUSED_MAX = 100  # the oldest ones are dropped


@dataclass(frozen=True, slots=True)
class RefusedPackages:
    """The file of one slot. Its owner holds the slot's lock while writing."""

    slot: SlotFolder

    def of(self, sha256: str) -> RefusedPackage | None:
        """Return why a package was rolled back; None = it was not."""
        return self._all().get(sha256)

    def add(self, sha256: str, package: str, reason: str) -> None:
        """Remember a package.

        Raises:
            OSError: The folder cannot be written.
        """
        refused = RefusedPackage(package=package, reason=reason, at=datetime.now(UTC))
        kept = {**self._all(), sha256: refused}
        newest = sorted(kept, key=lambda each: kept[each].at)[-REFUSED_MAX:]
        self._write({each: kept[each] for each in newest})

    def forget(self, sha256: str) -> None:
        """Remove a package, if it is there.

        Raises:
            OSError: The folder cannot be written.
        """
        kept = self._all()
        if kept.pop(sha256, None):
            self._write(kept)

    def _all(self) -> dict[str, RefusedPackage]:
        file = read_or_none(self.slot.refused, RefusedFile)
        return dict(file.packages) if file else {}

    def _write(self, packages: dict[str, RefusedPackage]) -> None:
        write_file(self.slot.refused, RefusedFile(packages=packages))
