import shutil
from pathlib import Path

import pytest

from deploy.store import KEPT_PACKAGES, PackageStore
from models.errors import InstallError, PackageError
from models.manifest import MANIFEST_NAME
from models.package import Package


@pytest.fixture
def store(tmp_path: Path) -> PackageStore:
    return PackageStore(tmp_path / "store")


def names(store: PackageStore) -> set[str]:
    return {path.name for path in store.folder.iterdir()}


def test_added_package_is_stored_under_its_hash(
    store: PackageStore, builds: list[Package]
) -> None:
    stored = store.add(builds[0])
    assert stored.folder == store.folder / builds[0].sha256
    assert store.open(builds[0].sha256) == stored
    assert names(store) == {builds[0].sha256}


def test_file_that_the_manifest_does_not_name_is_not_copied(
    store: PackageStore, builds: list[Package], tmp_path: Path
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(builds[0].folder, folder)
    (folder / "notes.txt").write_text("not part of it")
    stored = store.add(Package(folder, builds[0].manifest, builds[0].sha256))
    assert not (stored.folder / "notes.txt").exists()


def test_package_that_changes_while_it_is_copied_is_refused(
    store: PackageStore, builds: list[Package], tmp_path: Path
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(builds[1].folder, folder)
    mixed = Package(folder, builds[0].manifest, builds[0].sha256)
    with pytest.raises(PackageError, match="changed while it was copied"):
        store.add(mixed)
    assert builds[0].sha256 not in names(store)


def test_package_that_is_damaged_while_it_is_copied_leaves_nothing(
    store: PackageStore, builds: list[Package], tmp_path: Path
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(builds[0].folder, folder)
    (folder / "golden" / "00.png").write_bytes(b"cut")
    with pytest.raises(PackageError, match="damaged"):
        store.add(Package(folder, builds[0].manifest, builds[0].sha256))
    assert names(store) == set()


def test_disk_without_twice_the_space_is_refused_before_the_first_write(
    tmp_path: Path, builds: list[Package]
) -> None:
    store = PackageStore(tmp_path / "store", reserve_bytes=1 << 60)
    with pytest.raises(InstallError, match="too full") as caught:
        store.add(builds[0])
    assert "MiB are free" in caught.value.why
    assert names(store) == set()


def test_only_the_damaged_files_of_a_copy_are_replaced(
    store: PackageStore, builds: list[Package]
) -> None:
    folder = store.add(builds[0]).folder
    untouched = (folder / "golden" / "01.png").stat().st_ino
    (folder / "golden" / "00.png").unlink()
    (folder / "openvino" / "fp32.bin").write_bytes(b"cut")
    (folder / MANIFEST_NAME).write_bytes(b"{}")
    assert not store.holds(builds[0].sha256)
    store.add(builds[0])
    assert store.holds(builds[0].sha256)
    assert (folder / "golden" / "01.png").stat().st_ino == untouched


def test_links_in_a_stored_copy_are_replaced_and_not_followed(
    tmp_path: Path, store: PackageStore, builds: list[Package]
) -> None:
    folder = store.add(builds[0]).folder
    elsewhere = tmp_path / "elsewhere"
    (folder / "openvino").rename(elsewhere)
    (folder / "openvino").symlink_to(elsewhere)
    (elsewhere / "fp32.bin").write_bytes(b"mine")
    (folder / "golden" / "00.png").unlink()
    (folder / "golden" / ".repair-00.png").symlink_to(elsewhere / "fp32.bin")
    store.add(builds[0])
    assert store.holds(builds[0].sha256)
    assert (elsewhere / "fp32.bin").read_bytes() == b"mine"


def test_package_under_a_foreign_hash_is_not_held(
    store: PackageStore, builds: list[Package]
) -> None:
    store.add(builds[0]).folder.rename(store.folder / builds[1].sha256)
    assert not store.holds(builds[1].sha256)
    with pytest.raises(PackageError, match="another package"):
        store.open(builds[1].sha256)


def test_empty_hash_is_not_held(store: PackageStore) -> None:
    store.folder.mkdir()
    assert not store.holds("")


def test_leftovers_of_crashed_attempts_are_removed(
    store: PackageStore, builds: list[Package]
) -> None:
    folder = store.add(builds[0]).folder
    for name in (".incoming-abc", ".trash-def"):
        shutil.copytree(folder, store.folder / name)
    (folder / "openvino" / ".repair-fp32.bin").write_bytes(b"half")
    for name in (".incoming-link", ".trash-link"):
        (store.folder / name).symlink_to(folder)
    store.clean()
    assert names(store) == {builds[0].sha256}
    assert (folder / MANIFEST_NAME).is_file()
    assert not list(folder.rglob(".repair-*"))


def test_oldest_build_beyond_the_last_three_is_removed(
    store: PackageStore, builds: list[Package]
) -> None:
    for package in reversed(builds):
        store.add(package)
    newest_first = [package.sha256 for package in reversed(builds)]
    assert store.prune(linked=set()) == newest_first[:KEPT_PACKAGES]
    assert names(store) == set(newest_first[:KEPT_PACKAGES])


def test_package_that_a_link_names_is_never_removed(
    store: PackageStore, builds: list[Package]
) -> None:
    for package in builds:
        store.add(package)
    store.prune(linked={builds[0].sha256})
    assert names(store) == {package.sha256 for package in builds}


@pytest.mark.fault(81)
@pytest.mark.parametrize("name", ["store", "package"])
def test_package_is_not_stored_through_a_planted_link(
    store: PackageStore, builds: list[Package], tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if name == "package":
        store.folder.mkdir()
    link = store.folder if name == "store" else store.folder / builds[0].sha256
    link.symlink_to(elsewhere)
    with pytest.raises(InstallError, match="is a link"):
        store.add(builds[0])
    assert not list(elsewhere.iterdir())
