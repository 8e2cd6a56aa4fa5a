import hashlib
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.transports.stored_files import StoredFiles, find_missing
from models.errors import InstallError
from models.files import sha256_of
from models.package import Package, digests_of_files
from tests.simulators.target import SimTarget

CONTENT = b"a file of a package" * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()
SIZES = {SHA256: len(CONTENT)}


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def pool_file(line_pc: SimTarget) -> Path:
    return line_pc.slot.inbox / ".files" / SHA256


def test_new_file_is_missing_and_an_empty_one_is_made(line_pc: SimTarget) -> None:
    answer = find_missing(line_pc.slot, SIZES)
    (missing,) = answer.missing
    assert (missing.sha256, missing.have_bytes) == (SHA256, 0)
    assert pool_file(line_pc).read_bytes() == b""
    assert answer.inbox == str(line_pc.slot.inbox)


def test_dry_run_changes_nothing(line_pc: SimTarget) -> None:
    assert find_missing(line_pc.slot, SIZES, is_dry_run=True).missing
    assert not line_pc.root.exists()


def test_start_of_a_file_is_reported_with_its_digest(line_pc: SimTarget) -> None:
    find_missing(line_pc.slot, SIZES)
    pool_file(line_pc).write_bytes(CONTENT[:50])
    (missing,) = find_missing(line_pc.slot, SIZES).missing
    assert missing.have_bytes == 50
    assert missing.have_sha256 == hashlib.sha256(CONTENT[:50]).hexdigest()
    assert pool_file(line_pc).read_bytes() == CONTENT[:50]


def test_file_that_is_whole_is_not_missing(line_pc: SimTarget) -> None:
    find_missing(line_pc.slot, SIZES)
    pool_file(line_pc).write_bytes(CONTENT)
    assert find_missing(line_pc.slot, SIZES).missing == ()


@pytest.mark.fault(48)
def test_damaged_file_is_sent_again_from_its_start(line_pc: SimTarget) -> None:
    find_missing(line_pc.slot, SIZES)
    pool_file(line_pc).write_bytes(b"\0" * len(CONTENT))
    (missing,) = find_missing(line_pc.slot, SIZES).missing
    assert missing.have_bytes == 0
    assert pool_file(line_pc).read_bytes() == b""


@pytest.mark.fault(52)
def test_link_in_the_pool_is_replaced_and_not_followed(
    line_pc: SimTarget, tmp_path: Path
) -> None:
    find_missing(line_pc.slot, SIZES)
    outside = tmp_path / "outside"
    outside.write_bytes(CONTENT)
    pool_file(line_pc).unlink()
    pool_file(line_pc).symlink_to(outside)
    assert len(find_missing(line_pc.slot, SIZES).missing) == 1
    assert not pool_file(line_pc).is_symlink()
    assert outside.read_bytes() == CONTENT


def test_files_of_the_store_are_not_missing(
    line_pc: SimTarget, builds: list[Package]
) -> None:
    line_pc.flash(builds[0])
    sizes = {
        sha256: (builds[0].folder / name).stat().st_size
        for name, sha256 in digests_of_files(builds[0]).items()
    }
    assert find_missing(line_pc.slot, sizes).missing == ()
    name, sha256 = max(digests_of_files(builds[0]).items())  # no golden frame: unique
    (line_pc.slot.current / name).write_bytes(b"damaged")
    assert [each.sha256 for each in find_missing(line_pc.slot, sizes).missing] == [
        sha256
    ]


def test_store_is_found_by_content(line_pc: SimTarget, builds: list[Package]) -> None:
    line_pc.flash(builds[0])
    stored = StoredFiles(line_pc.slot.store)
    for sha256 in digests_of_files(builds[0]).values():
        path = stored.find(sha256)
        assert path is not None
        assert sha256_of(path) == sha256
    assert stored.find("0" * 64) is None


@pytest.mark.fault(54)
def test_full_disk_is_refused_before_the_first_byte(
    line_pc: SimTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1 << 30, 1 << 30, 1 << 20))
    with pytest.raises(InstallError, match="too full"):
        find_missing(line_pc.slot, SIZES)
    assert not pool_file(line_pc).exists()
