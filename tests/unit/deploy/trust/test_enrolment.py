"""A slot trusts the keys that it was enrolled with, and no others."""

import json
from pathlib import Path

import pytest

from deploy.trust.enrolment import (
    EnrollOutcome,
    EnrollReport,
    TrustFolder,
    enroll_slot,
    enrolment_of,
    require_enrolment,
    trusted_now,
)
from deploy.trust.key_changes import rotate_keys
from deploy.trust.key_repository import ROLES
from deploy.trust.local_keys import prepare_local
from deploy.trust.refusals import NotEnrolledError, Refusal
from deploy.trust.release import root_to_carry
from models.errors import ConfigError, InstallError
from models.package import Package
from models.slot_files import SlotFolder
from tests.simulators.releases import Receiver, Workshop


@pytest.fixture
def other(tmp_path: Path) -> Workshop:
    return Workshop.at(tmp_path / "other")


def enroll(pc: Receiver, shop: Workshop, **options: bool | str) -> EnrollReport:
    roots = root_to_carry(shop.keys)
    return enroll_slot(pc.slot, roots, target_name="local:slot", **options)  # type: ignore[arg-type]


def test_enrolment_states_the_fingerprint_of_the_keys(
    line: Receiver, shop: Workshop
) -> None:
    enrolment = enrolment_of(line.slot)
    assert enrolment is not None
    assert enrolment.fingerprint == shop.keys.fingerprint()
    assert require_enrolment(line.slot, "x") == enrolment


def test_slot_that_is_not_enrolled_has_a_time_and_no_enrolment(tmp_path: Path) -> None:
    slot = SlotFolder(tmp_path / "slot")
    assert enrolment_of(slot) is None
    assert trusted_now(slot)
    with pytest.raises(NotEnrolledError, match="graftline enroll ssh://line-3"):
        require_enrolment(slot, "ssh://line-3")


def test_enrolling_again_changes_nothing(line: Receiver, shop: Workshop) -> None:
    before = TrustFolder.of(line.slot).enrolled.read_bytes()
    assert enroll(line, shop).outcome is EnrollOutcome.ALREADY_ENROLLED
    rotate_keys(shop.keys, ROLES)
    assert enroll(line, shop).outcome is EnrollOutcome.ALREADY_ENROLLED
    assert TrustFolder.of(line.slot).enrolled.read_bytes() == before


@pytest.mark.fault(49)
def test_slot_of_other_keys_refuses_to_be_enrolled(
    line: Receiver, other: Workshop, shop: Workshop, builds: list[Package]
) -> None:
    with pytest.raises(InstallError, match="enrolled by other keys"):
        enroll(line, other)
    assert line.take(shop.sign(builds[0]), builds[0].sha256)


def test_replaced_keys_are_no_longer_trusted(
    line: Receiver, other: Workshop, shop: Workshop, builds: list[Package]
) -> None:
    shop.wait(days=2)  # what they have signed is newer
    line.take(shop.sign(builds[0]), builds[0].sha256)
    report = enroll(line, other, replace=True)
    assert report.outcome is EnrollOutcome.REPLACED
    assert report.before == shop.keys.fingerprint()
    assert line.take(other.sign(builds[1]), builds[1].sha256)
    assert line.refuses(shop.sign(builds[2]), builds[2].sha256) is Refusal.FOREIGN_KEYS


def test_pc_that_is_enrolled_after_a_rotation_trusts_the_newest_root(
    tmp_path: Path, shop: Workshop, builds: list[Package]
) -> None:
    old = shop.stolen(tmp_path / "thief")
    rotate_keys(shop.keys, ROLES)
    pc = Receiver(tmp_path / "pc")
    pc.enroll(shop)
    assert pc.take(shop.sign(builds[0]), builds[0].sha256)
    assert pc.refuses(old.sign(builds[1]), builds[1].sha256) is Refusal.FOREIGN_KEYS


def test_root_of_a_release_enrolls_too(
    tmp_path: Path, shop: Workshop, builds: list[Package]
) -> None:
    release = shop.sign(builds[0])
    pc = Receiver(tmp_path / "pc")
    enroll_slot(pc.slot, release.files["metadata/1.root.json"], target_name="x")
    assert pc.take(release, builds[0].sha256)


def test_fingerprint_that_differs_is_refused(tmp_path: Path, shop: Workshop) -> None:
    pc = Receiver(tmp_path / "pc")
    with pytest.raises(InstallError, match="another fingerprint"):
        enroll(pc, shop, fingerprint="0" * 16)
    assert not pc.root.exists()
    good = shop.keys.fingerprint()[:16].upper()
    assert enroll(pc, shop, fingerprint=good).outcome is EnrollOutcome.ENROLLED


@pytest.mark.parametrize("change", ["unsigned", "edited", "text", "empty", "snapshot"])
def test_root_that_its_keys_did_not_sign_is_refused(
    change: str, tmp_path: Path, shop: Workshop
) -> None:
    content = shop.keys.root_bytes(1)
    document = json.loads(content)
    if change == "unsigned":
        document["signatures"] = []
    document["signed"]["version"] += change == "edited"
    if change in {"unsigned", "edited"}:
        content = json.dumps(document).encode()
    elif change == "snapshot":
        content = next(shop.keys.metadata.glob("*.snapshot.json")).read_bytes()
    else:
        content = b"x" if change == "text" else b""
    with pytest.raises(InstallError, match="the root cannot be used"):
        enroll_slot(SlotFolder(tmp_path / "pc"), content, target_name="x")
    assert not (tmp_path / "pc").exists()


@pytest.mark.parametrize("damage", ["enrolled.json", "root"])
def test_damaged_trust_is_named_and_replaced_only_on_request(
    damage: str, line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    release = shop.sign(builds[0])
    trust = TrustFolder.of(line.slot)
    path = trust.enrolled
    if damage == "root":
        path = trust.root_file(shop.keys.fingerprint(), 1)
    path.write_text("damaged")
    with pytest.raises(NotEnrolledError, match="cannot be used"):
        line.take(release, builds[0].sha256)
    with pytest.raises(NotEnrolledError, match="--replace"):
        enroll(line, shop)
    enroll(line, shop, replace=True)
    assert line.take(release, builds[0].sha256)


def test_damaged_later_root_is_fetched_again(
    line: Receiver, shop: Workshop, builds: list[Package]
) -> None:
    rotate_keys(shop.keys, ROLES)
    release = shop.sign(builds[0])
    line.take(release, builds[0].sha256)
    later = TrustFolder.of(line.slot).root_file(
        enrolled_fingerprint(line), shop.keys.roots()[-1].signed.version
    )
    later.write_bytes(b"damaged")
    assert trusted_now(line.slot)
    assert line.take(release, builds[0].sha256)
    assert later.read_bytes() == shop.keys.root_bytes(2)


def enrolled_fingerprint(line: Receiver) -> str:
    enrolment = enrolment_of(line.slot)
    assert enrolment is not None
    return enrolment.fingerprint


def test_local_slot_is_enrolled_with_keys_that_are_made_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builds: list[Package]
) -> None:
    monkeypatch.setenv("GRAFTLINE_KEYS", str(tmp_path / "default"))
    steps: list[str] = []
    pc = Receiver(tmp_path / "pc")
    prepare_local(pc.slot, "local:pc", steps.append)
    assert len(steps) == 2
    keys = prepare_local(pc.slot, "local:pc", steps.append)
    assert len(steps) == 2
    shop = Workshop(tmp_path, keys, pc.now)
    assert pc.take(shop.sign(builds[0]), builds[0].sha256)


def test_no_keys_are_made_in_a_folder_that_was_given(tmp_path: Path) -> None:
    slot = SlotFolder(tmp_path / "slot")
    with pytest.raises(ConfigError, match="not a keys folder"):
        prepare_local(slot, "x", lambda _: None, folder=tmp_path / "keys")
    assert list(tmp_path.iterdir()) == []
