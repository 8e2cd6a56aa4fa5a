"""Keys are made, replaced, revoked, protected, and never overwritten."""

import os
import pwd
import shutil
import stat
from pathlib import Path

import pytest

from deploy.trust.key_changes import NewKeys, make_keys, revoke_keys, rotate_keys
from deploy.trust.key_folder import default_keys_folder, open_keys
from deploy.trust.key_report import describe_keys
from deploy.trust.key_repository import ROLES, ROOT, TARGETS
from deploy.trust.private_keys import KeyFiles
from models.errors import ConfigError
from models.package import Package
from tests.simulators.releases import Receiver, Workshop

SECRET = b"correct horse battery"


def key_ids(shop: Workshop, role: str) -> set[str]:
    return set(shop.keys.roots()[-1].signed.roles[role].keyids)


def test_private_keys_are_readable_by_their_user_only(tmp_path: Path) -> None:
    make_keys(NewKeys(tmp_path / "keys", SECRET, (tmp_path / "stick",)))
    for folder in (tmp_path / "keys", tmp_path / "stick"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for path in folder.glob("*.pem"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()


def test_each_role_has_a_key_of_its_own(shop: Workshop) -> None:
    ids = [key_id for role in ROLES for key_id in key_ids(shop, role)]
    assert len(set(ids)) == len(ROLES)


@pytest.mark.parametrize("content", ["root-1.pem", "notes.txt"])
def test_folder_with_something_in_it_is_not_overwritten(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / content).write_text("mine")
    with pytest.raises(ConfigError, match="never overwritten"):
        make_keys(NewKeys(tmp_path / "keys", SECRET))
    assert [path.name for path in tmp_path.rglob("*")] == ["keys", content]


def test_keys_are_not_made_twice(tmp_path: Path) -> None:
    make_keys(NewKeys(tmp_path / "keys", SECRET))
    before = {path: path.read_bytes() for path in (tmp_path / "keys").glob("*.pem")}
    with pytest.raises(ConfigError, match="keys were made there already"):
        make_keys(NewKeys(tmp_path / "keys", SECRET))
    assert before == {path: path.read_bytes() for path in before}


def test_stick_with_keys_is_not_overwritten(tmp_path: Path) -> None:
    make_keys(NewKeys(tmp_path / "keys", SECRET, (tmp_path / "stick",)))
    with pytest.raises(ConfigError, match="holds keys already"):
        make_keys(NewKeys(tmp_path / "other", SECRET, (tmp_path / "stick",)))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("names", [("keys",), ("stick", "stick"), ("a/../keys",)])
def test_folder_that_is_given_twice_is_refused(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    offline = tuple(tmp_path / name for name in names)
    with pytest.raises(ConfigError, match="given twice"):
        make_keys(NewKeys(tmp_path / "keys", SECRET, offline))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sticks", "threshold"), [(0, 2), (2, 3), (0, 0), (2, 0), (1, -1)]
)
def test_threshold_that_cannot_be_reached_is_refused(
    sticks: int, threshold: int, tmp_path: Path
) -> None:
    offline = tuple(tmp_path / f"stick-{number}" for number in range(sticks))
    with pytest.raises(ConfigError, match="threshold"):
        make_keys(NewKeys(tmp_path / "keys", SECRET, offline, threshold))
    assert list(tmp_path.iterdir()) == []


def test_wrong_passphrase_is_named(tmp_path: Path) -> None:
    make_keys(NewKeys(tmp_path / "keys", SECRET))
    keys = open_keys(tmp_path / "keys", lambda: b"something else")
    with pytest.raises(ConfigError, match="The passphrase is wrong"):
        rotate_keys(keys, ROLES)
    assert len(keys.roots()) == 1


def test_passphrase_is_asked_once_and_only_when_it_is_needed(tmp_path: Path) -> None:
    make_keys(NewKeys(tmp_path / "keys", SECRET))
    asked = []

    def passphrase() -> bytes:
        asked.append(1)
        return SECRET

    keys = open_keys(tmp_path / "keys", passphrase)
    describe_keys(keys)
    assert not asked
    rotate_keys(keys, ROLES)
    assert len(asked) == 1


def test_rotated_keys_have_the_passphrase_of_the_old_ones(tmp_path: Path) -> None:
    make_keys(NewKeys(tmp_path / "keys", SECRET))
    rotate_keys(open_keys(tmp_path / "keys", lambda: SECRET), ROLES)
    report = describe_keys(open_keys(tmp_path / "keys", lambda: b""))
    assert all(key.encrypted for role in report.roles.values() for key in role.keys)


def test_key_without_a_passphrase_that_others_may_read_is_refused(
    shop: Workshop, builds: list[Package]
) -> None:
    shop.keys.folder.chmod(0o755)
    (path,) = shop.keys.folder.glob("targets-*.pem")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=f"chmod 600 {path}"):
        shop.sign(builds[0])


@pytest.mark.parametrize("content", [b"", b"not a key", b"x" * 100_000])
def test_damaged_key_is_named(
    content: bytes, shop: Workshop, builds: list[Package]
) -> None:
    (path,) = shop.keys.folder.glob("targets-*.pem")
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)):
        shop.sign(builds[0])


def test_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import x25519
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    path = tmp_path / "targets-1.pem"
    key = x25519.X25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="cannot be opened"):
        KeyFiles((tmp_path,), lambda: b"").read(path)


def test_key_that_was_planted_on_a_stick_is_not_taken_for_a_new_one(
    tmp_path: Path,
) -> None:
    stick = tmp_path / "stick"
    for secret in (SECRET, b""):
        keys = make_keys(NewKeys(tmp_path / f"keys{secret!r}", secret, (stick,)))
        make_keys(NewKeys(tmp_path / f"evil{secret!r}", b""))
        for path in (tmp_path / f"evil{secret!r}").glob("*.pem"):
            shutil.copy(path, stick)
        planted = {path.name for path in stick.glob("*.pem")}
        root = rotate_keys(keys, ROLES)
        new = {
            f"{role}-{k[:16]}.pem" for role in ROLES for k in root.roles[role].keyids
        }
        assert not new & planted
        shutil.rmtree(stick)


def test_key_under_the_name_of_another_is_refused(
    shop: Workshop, builds: list[Package], tmp_path: Path
) -> None:
    other = Workshop.at(tmp_path / "other")
    (good,) = shop.keys.folder.glob("targets-*.pem")
    (evil,) = other.keys.folder.glob("targets-*.pem")
    good.write_bytes(evil.read_bytes())
    with pytest.raises(ConfigError, match="holds another key"):
        shop.sign(builds[0])


@pytest.mark.parametrize("role", ROLES)
def test_rotation_of_one_role_replaces_its_key_alone(
    role: str, shop: Workshop, builds: list[Package], line: Receiver
) -> None:
    before = {each: key_ids(shop, each) for each in ROLES}
    rotate_keys(shop.keys, [role])
    after = {each: key_ids(shop, each) for each in ROLES}
    assert [each for each in ROLES if before[each] != after[each]] == [role]
    assert len(list(shop.keys.folder.glob("*.pem"))) == len(ROLES)
    assert line.take(shop.sign(builds[0]), builds[0].sha256)


def test_rotation_keeps_the_signed_packages(
    shop: Workshop, builds: list[Package]
) -> None:
    shop.sign(builds[0])
    rotate_keys(shop.keys, ROLES)
    assert [each.sha256 for each in shop.keys.packages()] == [builds[0].sha256]


def test_revocation_again_changes_nothing(shop: Workshop) -> None:
    ids = key_ids(shop, TARGETS)
    revoke_keys(shop.keys, ids)
    revoke_keys(shop.keys, ids)
    assert len(shop.keys.roots()) == 2


def test_key_is_revoked_by_the_start_of_its_id(shop: Workshop) -> None:
    (key_id,) = key_ids(shop, TARGETS)
    assert shop.keys.key_ids([key_id[:16]]) == {key_id}
    for start in ("", "zz", "0" * 64):
        with pytest.raises(ConfigError, match="expected one"):
            shop.keys.key_ids([start])


@pytest.fixture
def sticks(tmp_path: Path) -> tuple[Path, ...]:
    return tuple(tmp_path / f"stick-{number}" for number in range(3))


def test_two_of_three_offline_root_keys_rotate_and_one_does_not(
    sticks: tuple[Path, ...], tmp_path: Path, builds: list[Package]
) -> None:
    shop = Workshop.at(tmp_path / "shop", offline=sticks, threshold=2)
    pc = Receiver(tmp_path / "slot")
    pc.enroll(shop)
    assert not list(shop.keys.folder.glob("root-*.pem"))
    pc.take(shop.sign(builds[0]), builds[0].sha256)  # without any stick
    shop.keys.keys.folders = (shop.keys.folder, sticks[0])
    with pytest.raises(ConfigError, match="2 keys of root must sign, and 1"):
        rotate_keys(shop.keys, [TARGETS])
    shop.keys.keys.folders = (shop.keys.folder, sticks[0], sticks[2])
    rotate_keys(shop.keys, [TARGETS])
    shop.wait(days=1)
    assert pc.take(shop.sign(builds[1]), builds[1].sha256)


def test_lost_stick_is_replaced_with_the_two_that_are_left(
    sticks: tuple[Path, ...], tmp_path: Path, builds: list[Package]
) -> None:
    shop = Workshop.at(tmp_path / "shop", offline=sticks, threshold=2)
    pc = Receiver(tmp_path / "slot")
    pc.enroll(shop)
    lost = next(sticks[1].glob("*.pem")).stem.rpartition("-")[2]
    shutil.rmtree(sticks[1])
    shop.keys.keys.folders = (shop.keys.folder, sticks[0], sticks[2])
    revoke_keys(shop.keys, shop.keys.key_ids([lost]))
    root = shop.keys.roots()[-1].signed.roles[ROOT]
    assert (len(root.keyids), root.threshold) == (3, 2)
    assert not any(key_id.startswith(lost) for key_id in root.keyids)
    assert pc.take(shop.sign(builds[0]), builds[0].sha256)


def test_copy_from_before_a_rotation_is_continued_with_the_sticks(
    sticks: tuple[Path, ...], tmp_path: Path, builds: list[Package]
) -> None:
    """As docs/how-to/lost-keys.md describes it."""
    shop = Workshop.at(tmp_path / "shop", offline=sticks, threshold=2)
    pc = Receiver(tmp_path / "slot")
    pc.enroll(shop)
    copy = shop.stolen(tmp_path / "copy")
    rotate_keys(shop.keys, shop.keys.roles_in_folder())
    release = shop.sign(builds[0])
    pc.take(release, builds[0].sha256)
    copy.keys.keys.folders = (copy.keys.folder, *sticks)
    (copy.keys.metadata / "2.root.json").write_bytes(
        release.files["metadata/2.root.json"]
    )
    copy.wait(days=1)
    with pytest.raises(ConfigError, match="1 key of targets must sign, and 0"):
        copy.sign(builds[1])
    roles = copy.keys.roots()[-1].signed.roles
    revoke_keys(copy.keys, set(roles[TARGETS].keyids))
    assert pc.take(copy.sign(builds[1]), builds[1].sha256)


def test_one_offline_folder_gets_a_spare_key(tmp_path: Path) -> None:
    make_keys(NewKeys(tmp_path / "keys", SECRET, (tmp_path / "stick",), 2))
    assert len(list((tmp_path / "stick").glob("root-*.pem"))) == 3


def test_offline_targets_sign_only_with_their_sticks(
    sticks: tuple[Path, ...], tmp_path: Path, builds: list[Package]
) -> None:
    options = {"offline": sticks, "threshold": 2, "offline_targets": True}
    shop = Workshop.at(tmp_path / "shop", **options)
    everything = shop.keys.keys.folders
    shop.keys.keys.folders = (shop.keys.folder, sticks[1])
    with pytest.raises(ConfigError, match="2 keys of targets must sign, and 1"):
        shop.sign(builds[0])
    shop.keys.keys.folders = everything
    pc = Receiver(tmp_path / "slot")
    pc.enroll(shop)
    assert pc.take(shop.sign(builds[0]), builds[0].sha256)


def test_folder_without_keys_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="graftline keys init"):
        open_keys(tmp_path, lambda: b"")


def test_default_folder_follows_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GRAFTLINE_KEYS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert default_keys_folder() == tmp_path / ".config" / "graftline" / "keys"
    # As `runuser -u NAME` leaves it: of another user.
    monkeypatch.setenv("HOME", str(tmp_path / "of-another"))
    own = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    assert default_keys_folder() == own / ".config" / "graftline" / "keys"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/xdg")
    assert default_keys_folder() == Path("/xdg/graftline/keys")
    monkeypatch.setenv("GRAFTLINE_KEYS", "/keys")
    assert default_keys_folder() == Path("/keys")
