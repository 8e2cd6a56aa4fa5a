"""Why a line PC refuses a release, each reason under its own name.

* InstallError
    * ReleaseRefusedError      - the release is not what the enrolled keys have signed
    * SourceUnavailableError   - it could not be read to the end; the next try resumes
    * NotEnrolledError         - this slot trusts no keys yet
"""

from enum import StrEnum

from models.errors import InstallError

SIGN_AGAIN = "Sign the package again with `graftline sign` or `graftline flash`."
COPY_AGAIN = "Write the release again, or copy it again."


class Refusal(StrEnum):
    """The names of the refusals, as logs and ``--json`` have them."""

    UNSIGNED = "unsigned"
    FOREIGN_KEYS = "foreign-keys"
    REVOKED_KEY = "revoked-key"
    OLDER = "older"
    EXPIRED = "expired"  # what a frozen source ends in
    MIXED = "mixed"
    TAMPERED = "tampered"
    TRUNCATED = "truncated"
    INCOMPLETE = "incomplete"
    ENDLESS = "endless"
    SLOW = "slow"
    UNLISTED = "unlisted"
    EXTRANEOUS = "extraneous"
    HOSTILE_NAME = "hostile-name"


FIXES: dict[Refusal, str] = {
    Refusal.UNSIGNED: SIGN_AGAIN,
    Refusal.FOREIGN_KEYS: "Sign with the keys that this PC was enrolled with; to trust "
    "other keys from now on: graftline enroll TARGET --keys DIR --replace",
    Refusal.REVOKED_KEY: f"{SIGN_AGAIN} The keys folder must be the newest copy.",
    Refusal.OLDER: f"{SIGN_AGAIN} The signature gets a newer version.",
    Refusal.EXPIRED: f"If this PC's clock is wrong, set it. Else: {SIGN_AGAIN} An "
    "expired root is renewed by `graftline keys rotate`.",
    Refusal.MIXED: COPY_AGAIN,
    Refusal.TAMPERED: COPY_AGAIN,
    Refusal.TRUNCATED: COPY_AGAIN,
    Refusal.INCOMPLETE: COPY_AGAIN,
    Refusal.ENDLESS: "Check where it comes from; the server or stick is not in order.",
    Refusal.SLOW: "Check the network to the server, or take a USB stick.",
    Refusal.UNLISTED: SIGN_AGAIN,
    Refusal.EXTRANEOUS: SIGN_AGAIN,
    Refusal.HOSTILE_NAME: "Do not use this release; ask who signed it.",
}


class ReleaseRefusedError(InstallError):
    """A release is not what the keys of this line PC have signed.

    Attributes:
        refusal: The name of the reason.
    """

    def __init__(self, refusal: Refusal, what: str, *, why: str) -> None:
        super().__init__(
            f"{what}: refused ({refusal}).",
            why=f"{why} The model in force is unchanged.",
            fix=FIXES[refusal],
        )
        self.refusal = refusal


class SourceUnavailableError(InstallError):
    """A release could not be read; the same command again goes on from there."""


class NotEnrolledError(InstallError):
    """A slot trusts no keys, or what it trusts cannot be read."""
