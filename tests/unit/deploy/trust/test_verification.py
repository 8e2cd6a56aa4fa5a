"""What a line PC takes of a release: from its own store, resumed, and in whole."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.trust.key_changes import revoke_keys, rotate_keys
from deploy.trust.key_repository import ROLES
from deploy.trust.refusals import Refusal, SourceUnavailableError
from deploy.trust.sources import FolderSource
from models.errors import InstallError, PackageError
from models.package import Package, digests_of_files
from tests.simulators.packages import make_package
from tests.simulators.releases import MemoryRelease, Receiver, Workshop


def files_of(package: Package) -> dict[str, bytes]:
    return {
        name: (package.folder / name).read_bytes() for name in digests_of_files(package)
    }


def test_received_package_is_the_signed_one_and_gone_afterwards(
    line: Receiver, release: MemoryRelease, builds: list[Package]
) -> None:
    assert line.take(release, builds[0].sha256) == files_of(builds[0])
    assert line.leftovers() == []


def test_release_in_a_folder_is_taken(
    line: Receiver, shop: Workshop, release: MemoryRelease, builds: list[Package]
) -> None:
    folder = shop.root / "release-1"
    assert line.take(folder, builds[0].sha256) == files_of(builds[0])
    assert FolderSource(folder).name == str(folder)


def test_file_that_the_pc_has_is_not_read_from_the_release(
    line: Receiver, release: MemoryRelease, builds: list[Package]
) -> None:
    stored = {
        digest: builds[0].folder / name
        for name, digest in digests_of_files(builds[0]).items()
    }
    line.known_file = stored.get
    assert line.take(release, builds[0].sha256) == files_of(builds[0])
    assert not [path for path, _ in release.reads if path.startswith("files/")]


def test_damaged_file_of_the_pc_is_replaced_by_that_of_the_release(
    line: Receiver, release: MemoryRelease, builds: list[Package], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"x" * 1_000_000)
    for known in (damaged, tmp_path / "missing", tmp_path):
        line.known_file = lambda _, known=known: known
        assert line.take(release, builds[0].sha256) == files_of(builds[0])


class CutRelease(MemoryRelease):
    """Its connection is cut after some bytes of each file."""

    after = 5000

    def read(self, path: str, offset: int = 0) -> Iterator[bytes]:
        left = self.after
        for chunk in super().read(path, offset):
            if path.startswith("files/") and len(chunk) > left:
                yield chunk[:left]
                raise ConnectionResetError(104, "reset by peer")
            left -= len(chunk) if path.startswith("files/") else 0
            yield chunk


@pytest.mark.fault(48)
def test_download_that_is_cut_again_and_again_is_resumed(
    line: Receiver, release: MemoryRelease, builds: list[Package], tmp_path: Path
) -> None:
    line.partial = tmp_path / "partial"
    cut = CutRelease(release.files)
    for _ in range(200):
        try:
            taken = line.take(cut, builds[0].sha256)
        except SourceUnavailableError:
            continue
        break
    assert taken == files_of(builds[0])
    largest = max(len(content) for content in release.files.values())
    offsets = [offset for path, offset in cut.reads if path.startswith("files/")]
    assert max(offsets) > largest - 2 * cut.after


@pytest.mark.fault(48)
@pytest.mark.parametrize("kept", [b"x" * 100, b"x" * 10_000_000, b""])
def test_kept_part_that_is_wrong_is_fetched_again(
    kept: bytes,
    line: Receiver,
    release: MemoryRelease,
    builds: list[Package],
    tmp_path: Path,
) -> None:
    line.partial = tmp_path / "partial"
    line.partial.mkdir()
    for digest in digests_of_files(builds[0]).values():
        (line.partial / digest).write_bytes(kept)
    assert line.take(release, builds[0].sha256) == files_of(builds[0])


def test_kept_part_of_a_tampered_file_is_removed(
    line: Receiver, release: MemoryRelease, builds: list[Package], tmp_path: Path
) -> None:
    line.partial = tmp_path / "partial"
    (path,) = [name for name in release.files if builds[0].sha256 in name]
    release.files[path] = release.files[path][::-1]
    assert line.refuses(release, builds[0].sha256) is Refusal.TAMPERED
    assert not (line.partial / builds[0].sha256).exists()


def test_line_pc_follows_many_rotations(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    line.take(shop.sign(builds[0]), builds[0].sha256)
    for _ in range(5):
        rotate_keys(shop.keys, ROLES)
    shop.wait(seconds=5)
    assert line.take(shop.sign(builds[1]), builds[1].sha256)


def test_lost_signing_state_from_a_backup_is_followed(
    line: Receiver, shop: Workshop, builds: list[Package], tmp_path: Path
) -> None:
    """Versions are times: an old copy of the keys signs newer ones, too."""
    backup = shop.stolen(tmp_path / "backup")
    shop.wait(days=1)
    line.take(shop.sign(builds[0]), builds[0].sha256)
    backup.now = shop.now
    backup.wait(seconds=1)
    assert line.take(backup.sign(builds[1]), builds[1].sha256)


def test_several_packages_of_one_release_are_taken(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    shop.sign(builds[0])
    release = shop.sign_into(builds[1], "release-1")
    for package in builds[:2]:
        assert line.take(release, package.sha256) == files_of(package)


def test_revocation_of_the_signing_key_forgets_its_packages(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    shop.sign(builds[0])
    revoke_keys(shop.keys, set(shop.keys.roots()[-1].signed.roles["targets"].keyids))
    release = shop.sign(builds[1])
    assert line.refuses(release, builds[0].sha256) is Refusal.UNLISTED
    assert line.take(release, builds[1].sha256)


def test_signed_package_that_is_no_package_is_refused(
    line: Receiver, shop: Workshop
) -> None:
    content = b"{}"
    sha256 = hashlib.sha256(content).hexdigest()
    release = shop.sign_list({f"{sha256}/manifest.json": content})
    with pytest.raises(PackageError):
        line.take(release, sha256)
    assert line.leftovers() == []


def test_package_larger_than_the_disk_is_refused_before_it_is_read(
    line: Receiver,
    release: MemoryRelease,
    builds: list[Package],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deploy.trust.verification.PACKAGE_MAX_BYTES", 1000)
    with pytest.raises(InstallError, match="no room"):
        line.take(release, builds[0].sha256)
    assert not [path for path, _ in release.reads if path.startswith("files/")]
    assert line.leftovers() == []


def test_build_that_differs_from_the_signed_one_is_mixed(
    line: Receiver, shop: Workshop, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "package", build=7)
    targets = {
        f"{package.sha256}/{name}": content
        for name, content in files_of(package).items()
    }
    assert line.refuses(shop.sign_list(targets), package.sha256) is Refusal.MIXED
