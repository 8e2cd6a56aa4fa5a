"""Makes, replaces and revokes keys; each change survives a kill at any step.

New keys are written first, then the root that names them, by one rename. A key file
that no root names was made by an interrupted run: the next one uses it. Keys of earlier
roots are removed from the keys folder, since a key that may be stolen must sign nothing
more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, TargetFile

from deploy.trust.key_repository import (
    ROLES,
    ROOT,
    ROOT_LIFETIME,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    KeyRepository,
)
from deploy.trust.private_keys import (
    PEM_MAX_BYTES,
    SHOWN_ID,
    KeyFiles,
    id_in_name,
    write_key,
    write_private,
)
from models.errors import ConfigError
from models.files import (
    PRIVATE_FOLDER,
    ForeignFolderError,
    fsync_folder,
    read_regular,
    replaced_folder,
)

TO_OFFLINE = "to-offline"  # keys on their way to a stick
CHANGE_FOLDER = "Give a folder that does not exist yet, or is empty."


@dataclass(frozen=True, slots=True)
class NewKeys:
    """What ``keys init`` makes.

    Attributes:
        folder: The keys folder to make.
        secret: Passphrase of all keys; empty = none.
        offline: Folders for the root keys, one stick each; empty = in ``folder``.
        threshold: Root keys that must sign a root.
        offline_targets: Whether the keys that sign packages go there too.
    """

    folder: Path
    secret: bytes
    offline: tuple[Path, ...] = ()
    threshold: int = 1
    offline_targets: bool = False

    def places(self, role: str) -> list[Path | None]:
        """Return where each key of a role is kept; None = in the keys folder.

        With one folder there is one key more than the threshold, so that one may be
        lost; with several folders each gets one key.
        """
        is_offline = role == ROOT or (role == TARGETS and self.offline_targets)
        if not self.offline or not is_offline:
            return [None]
        if len(self.offline) == 1:
            return [self.offline[0]] * (self.threshold + 1)
        return list(self.offline)


def make_keys(new: NewKeys) -> KeyRepository:
    """Make a keys folder; after a kill the same call ends what was begun.

    Raises:
        ConfigError: A folder is in use, or the threshold cannot be reached.
        OSError: A folder cannot be written.
    """
    repository = KeyRepository(
        new.folder, KeyFiles((new.folder, *new.offline), lambda: new.secret)
    )
    if not (new.folder / TO_OFFLINE).is_dir():
        _check_folders(new)
        _make_folder(new)
    _move_offline(new)
    repository.keys.clean()
    return repository


def _check_folders(new: NewKeys) -> None:
    """Refuse what cannot work before anything is written."""
    if (new.folder / "repository").is_dir():
        raise ConfigError(
            f"{new.folder}: keys were made there already.",
            why="Keys are never overwritten: line PCs trust them.",
            fix=f"See them with `graftline keys show --keys {new.folder}`; for other "
            "keys give another folder.",
        )
    places = [path.resolve() for path in (new.folder, *new.offline)]
    if len(set(places)) < len(places):
        raise ConfigError(
            "a folder is given twice.",
            why="Keys in one folder are stolen or lost together.",
            fix="Give each offline key a folder, better a stick, of its own.",
        )
    if new.threshold < 1:
        raise ConfigError(
            f"--threshold {new.threshold}: expected at least 1.",
            why="Everybody could change the keys.",
            fix="Give the number of keys that must sign together.",
        )
    if len(new.offline) > 1 and new.threshold > len(new.offline):
        raise ConfigError(
            f"--threshold {new.threshold}: there are {len(new.offline)} offline "
            "folders, one key each.",
            why="A root could never be signed.",
            fix="Give --offline-root once for each key, or a smaller threshold.",
        )
    if not new.offline and (new.threshold > 1 or new.offline_targets):
        raise ConfigError(
            "a threshold needs keys that are apart.",
            why="All keys in one folder are stolen or lost together.",
            fix="Give --offline-root DIR, once for each stick.",
        )
    for folder in new.offline:
        if folder.is_dir() and any(folder.glob("*.pem")):
            raise ConfigError(
                f"{folder}: holds keys already.",
                why="Keys are never overwritten.",
                fix=CHANGE_FOLDER,
            )


def _make_folder(new: NewKeys) -> None:
    try:
        with replaced_folder(new.folder) as partial:
            partial.chmod(PRIVATE_FOLDER)
            _write_keys(new, partial)
    except ForeignFolderError as exc:
        raise ConfigError(
            f"{new.folder}: there is something in it.",
            why="Keys are never overwritten: line PCs trust them.",
            fix=CHANGE_FOLDER,
        ) from exc


def _write_keys(new: NewKeys, folder: Path) -> None:
    """Write keys, the first root and an empty list of packages."""
    (folder / "repository").mkdir()
    repository = KeyRepository(folder, KeyFiles((folder,), lambda: new.secret))
    root = Root(version=1, consistent_snapshot=True)
    root.expires = repository.signing_time() + ROOT_LIFETIME
    for role in ROLES:
        places = new.places(role)
        for place in places:
            target = folder
            if place is not None:
                target = folder / TO_OFFLINE / str(new.offline.index(place))
                target.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
                repository.keys.folders = (*repository.keys.folders, target)
            signer = CryptoSigner.generate_ed25519()
            write_key(role, target, signer, new.secret)
            root.add_key(signer.public_key, role)
        if len(places) > 1:
            root.roles[role].threshold = new.threshold
    repository.publish_root(root)
    repository.publish({})


def _move_offline(new: NewKeys) -> None:
    """Move the keys that belong on sticks there; what is moved already stays."""
    waiting = new.folder / TO_OFFLINE
    for box in sorted(waiting.glob("*")):
        if int(box.name) >= len(new.offline):
            raise ConfigError(
                f"{new.folder}: offline keys wait in {box}.",
                why="`keys init` was interrupted before it had moved them.",
                fix="Repeat it with the same options.",
            )
        place = new.offline[int(box.name)]
        place.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
        for path in sorted(box.glob("*.pem")):
            content, target = read_regular(path, PEM_MAX_BYTES), place / path.name
            if not target.exists() or read_regular(target, PEM_MAX_BYTES) != content:
                write_private(target, content)
            path.unlink()
        for left in box.iterdir():
            left.unlink()
        box.rmdir()
    if waiting.is_dir():
        waiting.rmdir()
        fsync_folder(new.folder)


def rotate_keys(repository: KeyRepository, roles: Sequence[str]) -> Root:
    """Replace every key of some roles, and renew all expiries; return the new root.

    The packages stay listed.

    Raises:
        ConfigError: Private keys are missing.
        OSError: A folder cannot be written.
    """
    root = repository.roots()[-1].signed
    key_ids = {key_id for role in roles for key_id in root.roles[role].keyids}
    targets = repository.trusted_targets()
    return _replace(repository, key_ids, targets)


def revoke_keys(repository: KeyRepository, key_ids: set[str]) -> Root:
    """Replace keys that may be stolen or lost; return the root in force.

    Where a key that signs packages is among them, no package stays listed: each one
    has to be signed again. The keys of snapshot and timestamp are replaced with them:
    a thief may have signed versions so high that all later ones are older, and a line
    PC forgets those with the keys.

    Args:
        key_ids: Whole ids. Those that no longer sign are left out: the same call
            again changes nothing.

    Raises:
        ConfigError: Private keys are missing.
        OSError: A folder cannot be written.

    Source:
        Fast-forward attacks, TUF specification 1.0.34, section 5.3.11.
    """
    root = repository.roots()[-1].signed
    present = key_ids & set(root.keys)
    if not present:
        if not repository.is_signed():
            repository.publish({})
        _remove_retired(repository)
        return root
    for role in (SNAPSHOT, TIMESTAMP):
        present |= set(root.roles[role].keyids)
    is_signer = present & set(root.roles[TARGETS].keyids)
    targets = {} if is_signer else repository.trusted_targets()
    return _replace(repository, present, targets)


def _replace(
    repository: KeyRepository, key_ids: set[str], targets: dict[str, TargetFile]
) -> Root:
    """Write a root with new keys in the place of others, and sign all by them."""
    root = repository.roots()[-1].signed
    secret = repository.keys.secret_of_new_keys()
    known = _known_ids(repository)
    for role in ROLES:
        for key_id in [each for each in root.roles[role].keyids if each in key_ids]:
            signer = _new_key(repository, role, key_id, secret, known)
            known.add(signer.public_key.keyid[:SHOWN_ID])
            root.revoke_key(key_id, role)
            root.add_key(signer.public_key, role)
    root.version += 1
    root.expires = repository.signing_time() + ROOT_LIFETIME
    repository.publish_root(root)
    repository.publish(targets)
    _remove_retired(repository)
    return root


def _new_key(
    repository: KeyRepository, role: str, old: str, secret: bytes, known: set[str]
) -> CryptoSigner:
    """Return a key that no root has named yet: one of an interrupted run, or a new."""
    files = repository.keys
    if path := files.unused(role, known, encrypted=bool(secret)):
        return files.read(path)
    signer = CryptoSigner.generate_ed25519()
    before = files.find(old)
    is_offline = role == ROOT and len(files.folders) > 1
    place = before.parent if before else files.folders[1 if is_offline else 0]
    write_key(role, place, signer, secret)
    return signer


def _known_ids(repository: KeyRepository) -> set[str]:
    """Return the shown ids of all keys that any root has named."""
    roots = repository.roots()
    return {key_id[:SHOWN_ID] for root in roots for key_id in root.signed.keys}


def _remove_retired(repository: KeyRepository) -> None:
    """Remove the private keys that only earlier roots name, and unfinished files."""
    repository.keys.clean()
    current = {key_id[:SHOWN_ID] for key_id in repository.roots()[-1].signed.keys}
    for role in ROLES:
        for path in repository.keys.files_of(role):
            if id_in_name(path) in _known_ids(repository) - current:
                path.unlink()
                fsync_folder(path.parent)
