"""What ``sign`` writes: complete, safe to repeat, and nothing of others."""

import hashlib
import json
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.trust.key_repository import KEPT_PACKAGES, RENEW_AFTER
from deploy.trust.release import sign_package, write_release
from models.errors import ConfigError, PackageError
from models.package import Package, digests_of_files
from tests.simulators.packages import make_package
from tests.simulators.releases import Receiver, Workshop


def names_in(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_release_holds_each_file_under_its_digest(
    shop: Workshop, builds: list[Package]
) -> None:
    shop.sign(builds[0])
    files = shop.root / "release-1" / "files"
    digests = set(digests_of_files(builds[0]).values())
    assert {path.name for path in files.iterdir()} == digests
    for path in files.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    hint = json.loads((files.parent / "package.json").read_text())
    assert hint == {
        "package_sha256": builds[0].sha256,
        "name": "bright-cells",
        "build": 1,
    }


def test_signing_again_within_a_day_changes_nothing(
    shop: Workshop, builds: list[Package]
) -> None:
    out = shop.root / "release"
    first = write_release(builds[0], shop.keys, out)
    before = {name: (out / name).stat().st_mtime_ns for name in names_in(out)}
    shop.wait(hours=3)
    again = write_release(builds[0], shop.keys, out)
    assert (again.version, again.files_added) == (first.version, 0)
    assert {name: (out / name).stat().st_mtime_ns for name in names_in(out)} == before


def test_signing_again_after_a_day_renews_the_expiry(
    shop: Workshop, builds: list[Package]
) -> None:
    first = write_release(builds[0], shop.keys, shop.root / "release")
    shop.now += RENEW_AFTER
    again = write_release(builds[0], shop.keys, shop.root / "release")
    assert again.expires - first.expires == timedelta(days=1)
    assert again.version > first.version


def test_damaged_release_is_repaired(
    shop: Workshop, builds: list[Package], line: Receiver
) -> None:
    shop.sign(builds[0])
    out = shop.root / "release-1"
    for path in (*(out / "files").iterdir(), *(out / "metadata").iterdir()):
        if path.name != "1.root.json":
            path.write_bytes(path.read_bytes()[:-1])
    shop.sign_into(builds[0], "release-1")
    assert line.take(out, builds[0].sha256)


def test_versions_rise_with_each_package(shop: Workshop, builds: list[Package]) -> None:
    versions = [
        write_release(package, shop.keys, shop.root / "release").version
        for package in builds
    ]
    assert versions == sorted(set(versions))


def test_only_the_newest_packages_stay_listed(
    shop: Workshop, builds: list[Package], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KEPT_PACKAGES > 3
    monkeypatch.setattr("deploy.trust.release.KEPT_PACKAGES", 2)
    out = shop.root / "release"
    for package in builds[:3]:
        shop.wait(seconds=10)
        write_release(package, shop.keys, out)
    listed = {each.sha256 for each in shop.keys.packages()}
    assert listed == {builds[1].sha256, builds[2].sha256}
    kept = {d for p in builds[1:3] for d in digests_of_files(p).values()}
    assert {path.name for path in (out / "files").iterdir()} == kept


def test_old_metadata_is_removed_and_one_generation_stays(
    shop: Workshop, builds: list[Package]
) -> None:
    for package in builds:
        shop.wait(seconds=10)
        shop.sign_into(package, "release")
    names = names_in(shop.root / "release" / "metadata")
    assert len(names) == 6  # a root, a timestamp, and two versions of the others


@pytest.mark.parametrize("kind", ["file", "link", "photos", "other-keys"])
def test_folder_with_something_else_is_left_as_it_is(
    kind: str, shop: Workshop, builds: list[Package], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        out.symlink_to(tmp_path / "elsewhere")
    elif kind == "photos":
        out.mkdir()
        (out / "photo.jpg").write_text("mine")
    else:
        other = Workshop.at(tmp_path / "other")
        write_release(builds[1], other.keys, out)
    before = names_in(tmp_path) - names_in(shop.root / "keys")
    with pytest.raises(ConfigError, match=str(out)):
        write_release(builds[0], shop.keys, out)
    lock = {"shop/keys/repository/.lock"}
    assert names_in(tmp_path) - names_in(shop.root / "keys") - lock == before - lock


def test_package_that_changes_while_it_is_copied_is_refused(
    shop: Workshop, tmp_path: Path, line: Receiver, builds: list[Package]
) -> None:
    package = make_package(tmp_path / "package", build=9)
    (package.folder / "golden" / "00.png").write_bytes(b"x")
    with pytest.raises(PackageError, match="changed while it was copied"):
        write_release(package, shop.keys, shop.root / "release")
    shop.wait(seconds=5)
    assert line.take(shop.sign_into(builds[0], "release"), builds[0].sha256)


def test_package_of_the_future_is_not_signed(shop: Workshop, tmp_path: Path) -> None:
    build = int(shop.now.timestamp()) + 10 * 86_400
    package = make_package(tmp_path / "package", build=build)
    with pytest.raises(PackageError, match="in the future"):
        sign_package(package, shop.keys)


def test_second_command_that_signs_at_the_same_time_is_busy(
    shop: Workshop, builds: list[Package]
) -> None:
    with shop.keys.locked(), pytest.raises(ConfigError, match="busy"):
        shop.sign(builds[0])


def test_damaged_signing_state_is_named(shop: Workshop, builds: list[Package]) -> None:
    (shop.keys.metadata / "timestamp.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"timestamp.json: cannot be read"):
        shop.sign(builds[0])
