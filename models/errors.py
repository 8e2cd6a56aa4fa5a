"""Every error this product raises on purpose; one class for each kind of remedy.

* GraftlineError
    * ConfigError       3 - the operator's file is wrong
    * DatasetError      4 - photos or labels cannot be trained on
    * PackageError      5 - a model package is damaged or too new
    * CameraError       6 - no frame from the camera in time
    * DeliveryError     7 - the broker refused, or cannot be reached
    * InstallError      8 - a package cannot be put on the line PC
    * TrainingError     9 - weights, output folder, or diverged
    * AuditError       10 - the audit trail of the dashboard was changed

The number is the exit code of the command. 1 is a bug in Graftline, 2 wrong usage,
130 Ctrl-C. Adapters translate errors of libraries with ``from exc``.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command that belong to no error class."""

    OK = 0
    BUG = 1
    USAGE = 2
    INTERRUPTED = 130  # 128 + SIGINT, as shells report it


class GraftlineError(Exception):
    """Base of all expected failures.

    Args:
        what: What failed, with the name and the value at fault.
        why: What was expected, or the cause.
        fix: What the reader can do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        """Return the parts on one line, empty ones left out."""
        parts = (self.what, self.why, self.fix and f"Fix: {self.fix}")
        return " ".join(p for p in parts if p)


class ConfigError(GraftlineError):
    """A configuration file or option is wrong."""

    exit_code = 3


class DatasetError(GraftlineError):
    """Photos or labels cannot be trained on or measured with."""

    exit_code = 4


class PackageError(GraftlineError):
    """A model package is damaged, or made for a newer runtime."""

    exit_code = 5


class CameraError(GraftlineError):
    """A camera gave no frame in time, or does not exist."""

    exit_code = 6


class DeliveryError(GraftlineError):
    """The broker refused, cannot be reached, or the outbox cannot be kept."""

    exit_code = 7


class InstallError(GraftlineError):
    """A package cannot be put on the line PC."""

    exit_code = 8


class TrainingError(GraftlineError):
    """Weights are missing or wrong, the output cannot be written, or it diverged."""

    exit_code = 9


class AuditError(GraftlineError):
    """The audit trail of the dashboard was changed, or entries are missing."""

    exit_code = 10
