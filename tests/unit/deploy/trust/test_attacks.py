"""Attacks on a release, each by the name under which it is refused.

The list is that of python-tuf's own tests and of section 1.5.2 of the specification:
arbitrary software, endless data, extraneous files, fast-forward, indefinite freeze,
mix and match, rollback (replay), slow retrieval, key compromise, wrong software. Rows
48 to 52 of the fault list.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from deploy.trust.key_changes import revoke_keys, rotate_keys
from deploy.trust.key_repository import ROLES
from deploy.trust.refusals import (
    NotEnrolledError,
    Refusal,
    ReleaseRefusedError,
    SourceUnavailableError,
)
from deploy.trust.sources import RateLimit
from models.errors import GraftlineError
from models.package import Package
from tests.simulators.releases import MemoryRelease, Receiver, Workshop

METADATA = ("timestamp", "snapshot", "targets")


@pytest.fixture
def sha256(builds: list[Package]) -> str:
    return builds[0].sha256


@pytest.fixture(autouse=True)
def good_release_is_taken_afterwards(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> Iterator[None]:
    """No refused release may lock the line PC out."""
    yield
    shop.wait(seconds=5)
    line.now = max(line.now, shop.now)
    shop.now = line.now
    assert line.take(shop.sign(builds[2]), builds[2].sha256)


def content_file(release: MemoryRelease) -> str:
    """Return the largest file of the package."""
    files = [name for name in release.files if name.startswith("files/")]
    return max(files, key=lambda name: len(release.files[name]))


def without_signatures(content: bytes) -> bytes:
    document = json.loads(content)
    document["signatures"] = []
    return json.dumps(document).encode()


# --- unsigned, foreign, revoked ---------------------------------------------------


@pytest.mark.fault(49)
def test_slot_that_is_not_enrolled_names_the_command(
    tmp_path: Path, release: MemoryRelease, sha256: str
) -> None:
    with pytest.raises(NotEnrolledError, match="graftline enroll local:") as caught:
        Receiver(tmp_path / "other").take(release, sha256)
    assert "not enrolled" in caught.value.what
    assert not (tmp_path / "other").exists()


@pytest.mark.fault(49)
def test_package_folder_without_a_signature_is_unsigned(
    line: Receiver, builds: list[Package]
) -> None:
    assert line.refuses(builds[0].folder, builds[0].sha256) is Refusal.UNSIGNED


@pytest.mark.fault(49)
def test_timestamp_without_signatures_is_unsigned(
    line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    path = "metadata/timestamp.json"
    release.files[path] = without_signatures(release.files[path])
    assert line.refuses(release, sha256) is Refusal.UNSIGNED


@pytest.mark.fault(49)
def test_release_of_another_workshop_is_foreign(
    line: Receiver, tmp_path: Path, builds: list[Package]
) -> None:
    other = Workshop.at(tmp_path / "other")
    release = other.sign(builds[0])
    assert line.refuses(release, builds[0].sha256) is Refusal.FOREIGN_KEYS
    rotate_keys(other.keys, ROLES)  # with a second root, too
    release = other.sign(builds[1])
    assert line.refuses(release, builds[1].sha256) is Refusal.FOREIGN_KEYS


@pytest.mark.fault(49)
@pytest.mark.parametrize("role", METADATA)
def test_release_signed_by_a_revoked_key_is_refused(
    role: str, line: Receiver, shop: Workshop, builds: list[Package], tmp_path: Path
) -> None:
    thief = shop.stolen(tmp_path / "thief")
    (key_id,) = shop.keys.roots()[-1].signed.roles[role].keyids
    revoke_keys(shop.keys, {key_id})
    shop.wait(seconds=5)
    line.take(shop.sign(builds[1]), builds[1].sha256)
    thief.wait(days=2)
    evil = thief.sign(builds[3])
    assert line.refuses(evil, builds[3].sha256) is Refusal.REVOKED_KEY


@pytest.mark.fault(49)
def test_release_below_the_threshold_of_root_keys_is_refused(
    builds: list[Package], tmp_path: Path
) -> None:
    """One of two needed root keys is stolen, with the whole keys folder."""
    sticks = tuple(tmp_path / f"stick-{number}" for number in range(3))
    shop = Workshop.at(tmp_path / "two-of-three", offline=sticks, threshold=2)
    pc = Receiver(tmp_path / "pc")
    pc.enroll(shop)
    thief = shop.stolen(tmp_path / "thief")
    thief.keys.keys.folders = (thief.keys.folder, sticks[0])
    with pytest.raises(GraftlineError, match="2 keys of root must sign, and 1"):
        rotate_keys(thief.keys, ["targets"])
    root = thief.keys.roots()[-1]
    root.signed.version = 2
    stolen = thief.keys.keys.read(next(sticks[0].glob("*.pem")))
    root.sign(stolen)
    release = shop.sign(builds[1])
    release.files["metadata/2.root.json"] = root.to_bytes()
    assert pc.refuses(release, builds[1].sha256) is Refusal.UNSIGNED


# --- replay, freeze, fast-forward, mix and match ------------------------------------


@pytest.mark.fault(50)
def test_release_from_before_the_last_accepted_one_is_older(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    old = shop.sign(builds[0])
    shop.wait(seconds=5)
    line.take(shop.sign(builds[1]), builds[1].sha256)
    assert line.refuses(old, builds[0].sha256) is Refusal.OLDER


@pytest.mark.fault(50)
def test_older_snapshot_under_a_newer_timestamp_is_older(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    """A thief of the timestamp key alone cannot bring old packages back."""
    old = shop.sign(builds[0])
    shop.wait(seconds=5)
    line.take(shop.sign(builds[1]), builds[1].sha256)
    shop.wait(seconds=5)
    path = old.metadata("snapshot")
    version = int(Path(path).name.partition(".")[0])
    timestamp = shop.publish_timestamp(version, old.files[path])
    evil = old.changed(**{"metadata/timestamp.json": timestamp})
    assert line.refuses(evil, builds[0].sha256) is Refusal.OLDER


@pytest.mark.fault(50)
@pytest.mark.parametrize("days", [364, 366])
def test_frozen_release_is_refused_after_its_expiry(
    days: int, line: Receiver, shop: Workshop, release: MemoryRelease, sha256: str
) -> None:
    line.now = shop.now
    line.take(release, sha256)
    shop.wait(days=days)
    line.now = shop.now
    if days < 365:
        assert line.take(release, sha256)
    else:
        assert line.refuses(release, sha256) is Refusal.EXPIRED


@pytest.mark.fault(50)
def test_fast_forward_by_a_thief_is_undone_by_a_revocation(
    line: Receiver, shop: Workshop, builds: list[Package], tmp_path: Path
) -> None:
    thief = shop.stolen(tmp_path / "thief")
    thief.wait(days=3000)
    with pytest.raises(ReleaseRefusedError):
        # The line PC accepts timestamp and snapshot: their keys are good.
        line.take(thief.sign_list({}), builds[0].sha256)
    allowed = {Refusal.OLDER, Refusal.EXPIRED}  # the thief's time counts as proven
    assert line.refuses(shop.sign(builds[1]), builds[1].sha256) in allowed
    keys = shop.keys.roots()[-1].signed.roles["timestamp"].keyids
    revoke_keys(shop.keys, set(keys))
    assert line.take(shop.sign(builds[1]), builds[1].sha256)


@pytest.mark.fault(50)
@pytest.mark.parametrize(
    "roles", [("targets",), ("snapshot",), ("snapshot", "targets")]
)
def test_metadata_of_another_release_is_mixed(
    roles: tuple[str, ...], line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    old = shop.sign(builds[0])
    shop.wait(seconds=5)
    new = shop.sign(builds[1])
    for role in roles:
        new.files[new.metadata(role)] = old.files[old.metadata(role)]
    assert line.refuses(new, builds[1].sha256) is Refusal.MIXED


@pytest.mark.fault(50)
def test_metadata_of_another_role_is_mixed(
    line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    content = release.files[release.metadata("snapshot")]
    release.files["metadata/timestamp.json"] = content
    assert line.refuses(release, sha256) is Refusal.MIXED


# --- truncated, incomplete, tampered, arbitrary software ------------------------------


@pytest.mark.fault(48)
@pytest.mark.parametrize("role", METADATA)
@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_truncated_metadata_is_refused(
    role: str, share: float, line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    path = release.metadata(role)
    content = release.files[path]
    release.files[path] = content[: int(len(content) * share)]
    assert line.refuses(release, sha256) is Refusal.TRUNCATED


@pytest.mark.fault(48)
@pytest.mark.parametrize("cut", [1, 4096, None])
def test_truncated_file_is_refused(
    cut: int | None, line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    path = content_file(release)
    release.files[path] = release.files[path][: -cut if cut else 0]
    assert line.refuses(release, sha256) is Refusal.TRUNCATED


@pytest.mark.fault(48)
def test_release_without_any_one_of_its_files_is_refused(
    line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    for number, path in enumerate(release.files):
        if path in {"package.json", "metadata/1.root.json"}:
            continue  # a hint, and what the line PC has pinned
        left = {name: c for name, c in release.files.items() if name != path}
        pc = line.twin(f"slot-{number}")  # without what it has accepted before
        assert pc.refuses(MemoryRelease(left), sha256) is Refusal.INCOMPLETE


@pytest.mark.fault(49)
def test_each_file_is_refused_with_one_changed_byte(
    line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    for path in [name for name in release.files if name.startswith("files/")]:
        content = bytearray(release.files[path])
        content[len(content) // 2] ^= 1
        evil = release.changed(**{path: bytes(content)})
        assert line.refuses(evil, sha256) is Refusal.TAMPERED


@pytest.mark.fault(49)
@pytest.mark.parametrize("role", METADATA)
def test_metadata_that_was_edited_is_tampered(
    role: str, line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    path = release.metadata(role)
    document = json.loads(release.files[path])
    document["signed"]["version"] += 1
    release.files[path] = json.dumps(document).encode()
    # A file that got shorter or longer is as wrong as one that was changed.
    allowed = {Refusal.TAMPERED, Refusal.TRUNCATED}
    assert line.refuses(release, sha256) in allowed


@pytest.mark.fault(49)
def test_any_damage_of_metadata_is_refused_or_without_effect(
    line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    good = line.take(release, sha256)
    draw = random.Random(20)
    for number in range(60):
        path = release.metadata(METADATA[number % 3])
        content = bytearray(release.files[path])
        for _ in range(draw.choice([1, 1, 2, 40])):
            content[draw.randrange(len(content))] = draw.randrange(256)
        evil = release.changed(**{path: bytes(content)})
        pc = line.twin(f"slot-{number}")
        try:
            assert pc.take(evil, sha256) == good
        except ReleaseRefusedError:
            assert not pc.leftovers()


@pytest.mark.fault(49)
def test_files_of_another_package_are_tampered(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    """Arbitrary software: the names are right, the content is another one."""
    new, other = shop.sign(builds[1]), shop.sign(builds[3])
    path = content_file(new)
    new.files[path] = other.files[content_file(other)] + b"x"
    assert line.refuses(new, builds[1].sha256) in {Refusal.TAMPERED, Refusal.ENDLESS}


@pytest.mark.fault(49)
def test_package_that_was_never_signed_is_unlisted(
    line: Receiver, release: MemoryRelease, builds: list[Package]
) -> None:
    assert line.refuses(release, builds[3].sha256) is Refusal.UNLISTED
    assert line.refuses(release, "0" * 64) is Refusal.UNLISTED


@pytest.mark.fault(49)
def test_hint_about_another_package_has_no_effect(
    line: Receiver, release: MemoryRelease, builds: list[Package], sha256: str
) -> None:
    release.files["package.json"] = b'{"package_sha256": "%s"}' % (b"f" * 64)
    assert line.take(release, sha256)["manifest.json"]


@pytest.mark.fault(49)
def test_file_beside_the_signed_ones_is_not_taken(
    line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    """Extraneous files."""
    release.files["files/" + "0" * 64] = b"x"
    release.files["files/run.sh"] = b"x"
    assert set(line.take(release, sha256)) == set(line.take(release, sha256))
    assert not any(path.endswith("run.sh") for path, _ in release.reads)


@pytest.mark.fault(49)
def test_signed_file_that_the_package_does_not_name_is_extraneous(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    package = builds[1]
    names = [path for path in package.folder.rglob("*") if path.is_file()]
    targets = {
        f"{package.sha256}/{path.relative_to(package.folder)}": path.read_bytes()
        for path in names
    }
    targets[f"{package.sha256}/plugin.so"] = b"x"
    release = shop.sign_list(targets)
    assert line.refuses(release, package.sha256) is Refusal.EXTRANEOUS


# --- names that leave the folder, links, devices --------------------------------------


@pytest.mark.fault(52)
@pytest.mark.parametrize(
    "names",
    [
        ["../evil"],
        ["a/../../evil"],
        ["/etc/evil"],
        ["a\\..\\evil"],
        ["a//b"],
        ["./a"],
        ["a\nb"],
        ["a\x00b"],
        ["x" * 300],
        ["A.bin", "a.bin"],
        ["a", "a/b"],
        [f"many/{number}" for number in range(10_003)],
    ],
    ids=lambda names: repr(names[0][:12]) + str(len(names)),
)
def test_signed_name_that_leaves_the_folder_is_hostile(
    names: list[str], line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    sha256 = builds[0].sha256
    release = shop.sign_list({f"{sha256}/{name}": b"x" for name in names})
    assert line.refuses(release, sha256) is Refusal.HOSTILE_NAME
    assert not (line.root.parent / "evil").exists()


@pytest.mark.fault(52)
@pytest.mark.parametrize("digest", ["", "../" * 21 + "x", "F" * 64, "0" * 63])
def test_signed_digest_that_is_none_is_refused(
    digest: str, line: Receiver, shop: Workshop, builds: list[Package], tmp_path: Path
) -> None:
    """It would become the name of a file."""
    line.partial = tmp_path / "partial"
    sha256 = builds[0].sha256
    target = TargetFile(1, {"sha256": digest}, f"{sha256}/manifest.json")
    release = shop.publish({target.path: target})
    assert line.refuses(release, sha256) is Refusal.UNSIGNED
    line.partial = None


@pytest.mark.fault(52)
@pytest.mark.parametrize("kind", ["link", "folder-link", "pipe", "device", "folder"])
def test_what_is_no_file_in_a_release_is_refused(
    kind: str,
    line: Receiver,
    shop: Workshop,
    release: MemoryRelease,
    sha256: str,
    tmp_path: Path,
) -> None:
    folder = shop.root / "release-1"
    path = folder / content_file(release)
    content = path.read_bytes()
    path.unlink()
    secret = tmp_path / "secret"
    secret.write_bytes(content)  # even the right content is not read past a link
    match kind:
        case "link":
            path.symlink_to(secret)
        case "folder-link":
            path.write_bytes(content)
            path.parent.rename(tmp_path / "elsewhere")
            path.parent.symlink_to(tmp_path / "elsewhere")
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.mkdir()
    assert line.refuses(folder, sha256) is Refusal.INCOMPLETE


# --- endless and slow ------------------------------------------------------------


class EndlessRelease(MemoryRelease):
    """Never ends one of its files."""

    endless = ""
    given = 0

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        yield from super().read(path, offset)
        while path == self.endless:
            self.given += 4096
            assert self.given < 20_000_000, "read without a limit"
            yield b" " * 4096


@pytest.mark.fault(51)
@pytest.mark.parametrize(
    "place",
    ["metadata/timestamp.json", "metadata/2.root.json", "snapshot", "targets", "file"],
)
def test_file_that_never_ends_is_endless(
    place: str, line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    evil = EndlessRelease(release.files)
    evil.endless = place
    if place in METADATA:
        evil.endless = evil.metadata(place)
    elif place == "file":
        evil.endless = content_file(evil)
    evil.files.setdefault(evil.endless, b"")
    assert line.refuses(evil, sha256) is Refusal.ENDLESS


class SlowRelease(MemoryRelease):
    """Gives a byte at a time, and its clock goes on meanwhile."""

    slow = ""
    now = 0.0
    seconds_per_byte = 2.0

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        for chunk in super().read(path, offset):
            if path != self.slow:
                yield chunk
                continue
            for number in range(len(chunk)):
                self.now += self.seconds_per_byte
                yield chunk[number : number + 1]


@pytest.mark.fault(51)
@pytest.mark.parametrize("place", ["timestamp", "targets", "file"])
def test_file_that_comes_too_slowly_is_slow(
    place: str, line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    evil = SlowRelease(release.files)
    evil.slow = content_file(evil) if place == "file" else evil.metadata(place)
    line.rate = RateLimit(clock=lambda: evil.now)
    assert line.refuses(evil, sha256) is Refusal.SLOW
    assert evil.now < 25
    line.rate = None


@pytest.mark.fault(51)
def test_source_of_which_nothing_comes_is_slow(
    line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    class StalledRelease(MemoryRelease):
        def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
            yield from super().read(path, offset)
            if path.startswith("files/"):
                raise TimeoutError

    assert line.refuses(StalledRelease(release.files), sha256) is Refusal.SLOW


@pytest.mark.fault(48)
def test_connection_that_is_cut_is_no_refusal(
    line: Receiver, release: MemoryRelease, sha256: str
) -> None:
    class CutRelease(MemoryRelease):
        def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
            yield from super().read(path, offset)
            if path.startswith("files/"):
                raise ConnectionResetError(104, "reset by peer")

    with pytest.raises(SourceUnavailableError, match="Try again"):
        line.take(CutRelease(release.files), sha256)
    assert line.leftovers() == []
