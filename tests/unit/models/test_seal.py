"""A changed bit anywhere in a package is found, and so is a removed seal."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import PackageError
from models.manifest import MANIFEST_NAME, SEAL_NAME
from models.package import Package, copy_package, open_package, package_notices
from models.seal import write_seal
from tests.examples import example_count
from tests.simulators.resealed import make_earlier


def flip(path: Path, place: int, bit: int) -> bytes:
    """Flip one bit of a file, and return the content before."""
    before = path.read_bytes()
    content = bytearray(before)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return before


def names_of_files(folder: Path) -> list[str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path.relative_to(folder).as_posix() for path in paths]


def test_threshold_with_a_flipped_bit_is_refused(package: Package) -> None:
    path = package.folder / MANIFEST_NAME
    text = path.read_bytes()
    place = text.index(b'"red": 0.5') + len('"red": 0.')
    flip(path, place, 1)
    assert b'"red": 0.7' in path.read_bytes()
    with pytest.raises(PackageError, match="the package is damaged") as caught:
        open_package(package.folder)
    assert "manifest.json has sha256" in caught.value.why
    assert "its seal manifest.sha256 has" in caught.value.why


@pytest.mark.parametrize("place", [12, 63, 66, 79])
def test_message_names_the_character_in_which_a_seal_differs(
    place: int, package: Package
) -> None:
    flip(package.folder / SEAL_NAME, place, 1)
    with pytest.raises(PackageError, match="the package is damaged") as caught:
        open_package(package.folder)
    assert f"the same start and another character {place + 1}:" in caught.value.why


def test_every_byte_of_the_manifest_and_of_its_seal_is_sealed(
    package: Package,
) -> None:
    opened = []
    for name in (MANIFEST_NAME, SEAL_NAME):
        path = package.folder / name
        for place in range(path.stat().st_size):
            before = flip(path, place, place % 8)
            try:
                open_package(package.folder)
                opened.append((name, place))
            except PackageError:
                pass
            path.write_bytes(before)
    assert opened == []
    assert open_package(package.folder).is_confirmed


@settings(
    max_examples=example_count(100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_flipped_bit_in_any_file_is_refused(
    package: Package, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(names_of_files(package.folder)))
    path = package.folder / name
    place = data.draw(st.integers(0, path.stat().st_size - 1))
    before = flip(path, place, data.draw(st.integers(0, 7)))
    try:
        with pytest.raises(PackageError):
            open_package(package.folder)
    finally:
        path.write_bytes(before)


def test_every_file_of_a_package_is_needed(package: Package, tmp_path: Path) -> None:
    for name in names_of_files(package.folder):
        moved = (package.folder / name).rename(tmp_path / "moved")
        with pytest.raises(PackageError):
            open_package(package.folder)
        moved.rename(package.folder / name)
    assert open_package(package.folder)


def test_removed_seal_is_damage(package: Package) -> None:
    (package.folder / SEAL_NAME).unlink()
    with pytest.raises(PackageError, match="damaged") as caught:
        open_package(package.folder)
    assert "the seal manifest.sha256 is missing" in caught.value.why


@pytest.mark.parametrize("kind", ["link", "folder", "empty"])
def test_seal_that_is_no_file_with_a_digest_is_refused(
    kind: str, package: Package, tmp_path: Path
) -> None:
    path = package.folder / SEAL_NAME
    moved = path.rename(tmp_path / "seal")
    if kind == "link":
        path.symlink_to(moved)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"")
    with pytest.raises(PackageError):
        open_package(package.folder)


def test_seal_is_checked_by_sha256sum(package: Package) -> None:
    program = shutil.which("sha256sum")
    assert program
    check = [program, "--strict", "-c", SEAL_NAME]
    subprocess.run(check, cwd=package.folder, check=True, capture_output=True)


def test_copy_of_a_package_is_sealed(package: Package, tmp_path: Path) -> None:
    copy = copy_package(package, tmp_path / "copy")
    assert copy.manifest.sealed
    assert (copy.folder / SEAL_NAME).read_bytes() == (
        package.folder / SEAL_NAME
    ).read_bytes()


def test_package_of_an_earlier_version_is_opened_with_a_notice(
    package: Package, tmp_path: Path
) -> None:
    make_earlier(package.folder)
    earlier = open_package(package.folder)
    assert not earlier.is_confirmed
    (notice,) = package_notices(earlier)
    assert "has no seal" in notice
    assert "Fix: Pack the run again." in notice
    assert copy_package(earlier, tmp_path / "copy").sha256 == earlier.sha256


def test_name_by_its_digest_confirms_a_package_of_an_earlier_version(
    package: Package, tmp_path: Path
) -> None:
    make_earlier(package.folder)
    named = package.folder.rename(tmp_path / open_package(package.folder).sha256)
    assert package_notices(open_package(named)) == []


def test_seal_beside_a_package_of_an_earlier_version_is_checked(
    package: Package,
) -> None:
    make_earlier(package.folder)
    write_seal(package.folder)
    assert open_package(package.folder).is_confirmed
    flip(package.folder / MANIFEST_NAME, 100, 0)
    with pytest.raises(PackageError, match="damaged"):
        open_package(package.folder)
