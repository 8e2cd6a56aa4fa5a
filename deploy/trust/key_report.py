"""What ``keys`` shows: fingerprint, roles, expiry, and the packages that are signed."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from deploy.trust.key_repository import ROLES, KeyRepository
from deploy.trust.private_keys import is_encrypted


class _Report(BaseModel):
    """Base of the reports: immutable."""

    model_config = ConfigDict(frozen=True)


class KeyReport(_Report):
    """One key of a role."""

    id: str
    file: str = Field(description="Private key; empty = in none of the given folders.")
    encrypted: bool | None = Field(description="Null = the private key is not here.")


class RoleReport(_Report):
    """One role: how many of which keys must sign."""

    threshold: int
    keys: tuple[KeyReport, ...]
    expires: AwareDatetime | None = Field(description="Of what it has signed.")


class SignedPackageReport(_Report):
    """A package that line PCs with these keys take."""

    sha256: str
    name: str
    build: int
    signed_at: AwareDatetime


class KeysReport(_Report):
    """Result of ``keys``."""

    folder: str
    fingerprint: str = Field(description="SHA-256 of the newest root.")
    root_version: int
    roles: dict[str, RoleReport]
    packages: tuple[SignedPackageReport, ...]


def describe_keys(keys: KeyRepository) -> KeysReport:
    """Return what a keys folder holds; no passphrase is needed.

    Raises:
        ConfigError: The folder is damaged.
        OSError: It cannot be read.
    """
    root = keys.roots()[-1].signed
    expiries = {"root": root.expires, **keys.expiries()}
    return KeysReport(
        folder=str(keys.folder),
        fingerprint=keys.fingerprint(),
        root_version=root.version,
        roles={
            role: RoleReport(
                threshold=root.roles[role].threshold,
                keys=tuple(_key(keys, key_id) for key_id in root.roles[role].keyids),
                expires=expiries.get(role),
            )
            for role in ROLES
        },
        packages=tuple(
            SignedPackageReport(
                sha256=each.sha256,
                name=each.name,
                build=each.build,
                signed_at=each.signed_at,
            )
            for each in keys.packages()
        ),
    )


def _key(keys: KeyRepository, key_id: str) -> KeyReport:
    path = keys.keys.find(key_id)
    return KeyReport(
        id=key_id,
        file=str(path) if path else "",
        encrypted=is_encrypted(path) if path else None,
    )
