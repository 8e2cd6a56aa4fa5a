"""Files of private keys: Ed25519 in PEM (PKCS #8), encrypted with a passphrase.

::

    KEYS/                           0700
        root-<key id>.pem           0600, one file for each key
        targets-<key id>.pem
        snapshot-<key id>.pem
        timestamp-<key id>.pem
        repository/                 what was signed, see deploy.trust.key_repository

The name holds the first 16 digits of the key's id, so that the file of a key is found
without a passphrase, also in a folder on a stick.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner

from models.counted import counted
from models.errors import ConfigError
from models.files import (
    PRIVATE_FILE,
    is_open_to_others,
    read_regular,
    write_atomically,
)

PEM_MAX_BYTES = 16 << 10  # an encrypted Ed25519 key has some 300 bytes
SHOWN_ID = 16  # hexadecimal digits: 64 bits, enough to name one key of a workshop
ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
# PBKDF2 of cryptography makes guesses slow, not impossible.
PASSPHRASE_MIN = 10

Passphrase = Callable[[], bytes]  # asked only when a key is read; empty = none


@dataclass(slots=True)
class KeyFiles:
    """Private keys in one or more folders.

    Attributes:
        folders: The keys folder first, then those on sticks.
        passphrase: Called once, when the first encrypted key is read.
    """

    folders: tuple[Path, ...]
    passphrase: Passphrase
    _known: bytes | None = field(default=None, repr=False)

    def find(self, key_id: str) -> Path | None:
        """Return the file of a key; None where no folder has it."""
        for folder in self.folders:
            for path in sorted(folder.glob(f"*-{key_id[:SHOWN_ID]}.pem")):
                return path
        return None

    def signer(self, key_id: str) -> CryptoSigner | None:
        """Return what signs with a key; None where no folder has it.

        Raises:
            ConfigError: The file is damaged or holds another key, or the passphrase is
                wrong.
        """
        path = self.find(key_id)
        signer = self.read(path) if path else None
        if signer and signer.public_key.keyid != key_id:
            raise ConfigError(
                f"{path}: holds another key.",
                why="Its name is that of a key that must sign.",
                fix="Take the file from your copy of the keys; somebody may have "
                "replaced it.",
            )
        return signer

    def unused(self, role: str, known: set[str], *, encrypted: bool) -> Path | None:
        """Return a key of a role that no root names: an interrupted command made it.

        Only keys with our passphrase count, or without any those in the keys folder:
        others may write on a stick.

        Args:
            known: Shown ids of all keys that a root names.
            encrypted: Whether the keys have a passphrase.
        """
        for path in self.files_of(role):
            is_ours = path.parent == self.folders[0] or encrypted
            if id_in_name(path) in known or not is_ours:
                continue
            with suppress(ConfigError, OSError):
                if is_encrypted(path) == encrypted:
                    self.read(path)
                    return path
        return None

    def files_of(self, role: str) -> Iterator[Path]:
        """Yield the files of a role's keys, used ones and others."""
        for folder in self.folders:
            yield from sorted(folder.glob(f"{role}-*.pem"))

    def clean(self) -> None:
        """Remove the unfinished files of interrupted commands.

        Raises:
            OSError: A folder cannot be written.
        """
        for folder in self.folders:
            for left in folder.glob(".*.pem.*.tmp"):
                left.unlink()

    def read(self, path: Path) -> CryptoSigner:
        """Return the signer of one file.

        Raises:
            ConfigError: It is damaged, without protection, or the passphrase is wrong.
        """
        try:
            pem = read_regular(path, PEM_MAX_BYTES)
            is_encrypted = pem.lstrip().startswith(ENCRYPTED)
            if not is_encrypted and is_open_to_others(path):
                raise _unprotected(path)
            secret = self._secret() if is_encrypted else None
            # Another kind of key is a ValueError, too.
            return CryptoSigner(load_pem_private_key(pem, secret))
        except OSError as exc:
            raise ConfigError(
                f"{path}: cannot be read.",
                why=exc.strerror or str(exc),
                fix="Run this as the owner of the keys folder.",
            ) from exc
        except (ValueError, TypeError) as exc:
            raise ConfigError(
                f"{path}: the key cannot be opened.",
                why="The passphrase is wrong, or the file is damaged.",
                fix="Try again with the passphrase of `graftline keys init`; for a "
                "lost one see docs/how-to/lost-keys.md.",
            ) from exc

    def secret_of_new_keys(self) -> bytes:
        """Return the passphrase for further keys: that of the keys that are there.

        Returns:
            Empty where the keys in the first folder have none.

        Raises:
            OSError: A key cannot be read.
        """
        there = self.folders[0].glob("*.pem")
        return self._secret() if any(map(is_encrypted, there)) else b""

    def _secret(self) -> bytes:
        if self._known is None:
            self._known = self.passphrase()
        return self._known


def write_key(role: str, folder: Path, signer: CryptoSigner, secret: bytes) -> Path:
    """Write a new private key durably and return its file.

    Args:
        secret: Its passphrase; empty = none.

    Raises:
        FileExistsError: There is such a file: keys are never overwritten.
        OSError: It cannot be written.
    """
    path = folder / pem_name(role, signer.public_key.keyid)
    key = load_pem_private_key(signer.private_bytes, None)
    encryption = BestAvailableEncryption(secret) if secret else NoEncryption()
    write_private(
        path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    )
    return path


def pem_name(role: str, key_id: str) -> str:
    """Return the file name of a private key."""
    return f"{role}-{key_id[:SHOWN_ID]}.pem"


def id_in_name(path: Path) -> str:
    """Return the first digits of the key's id that a file is named by."""
    return path.stem.rpartition("-")[2]


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its user may read, complete or absent.

    Raises:
        FileExistsError: There is such a file: keys are never overwritten.
        OSError: It cannot be written.
    """
    if path.exists():
        raise FileExistsError(17, "exists, and keys are never overwritten", str(path))
    write_atomically(path, content, PRIVATE_FILE)


def is_encrypted(path: Path) -> bool:
    """Return whether a private key needs a passphrase."""
    return read_regular(path, PEM_MAX_BYTES).lstrip().startswith(ENCRYPTED)


def checked_passphrase(secret: bytes) -> bytes:
    """Return a passphrase for new keys.

    Raises:
        ConfigError: It is too short.
    """
    if len(secret) < PASSPHRASE_MIN:
        raise ConfigError(
            f"the passphrase has {counted(len(secret), 'byte')}.",
            why=f"Expected at least {PASSPHRASE_MIN}: who copies the keys can try "
            "passphrases without a limit.",
            fix="Take a longer one, for example four unrelated words.",
        )
    return secret


def _unprotected(path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: other users may read this key, and it has no passphrase.",
        why="They could sign packages for every line PC that trusts it.",
        fix=f"chmod 600 {path}",
    )
