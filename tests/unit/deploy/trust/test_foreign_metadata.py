"""Any change of signed metadata is without effect, or an expected error."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.trust.enrolment import EnrollOutcome, enroll_slot
from deploy.trust.key_changes import rotate_keys
from deploy.trust.key_repository import ROLES
from deploy.trust.refusals import NotEnrolledError, ReleaseRefusedError
from deploy.trust.release import root_to_carry
from models.errors import InstallError
from models.package import Package
from models.slot_files import SlotFolder
from tests.examples import example_count
from tests.simulators.releases import MemoryRelease, Receiver, Workshop

WEIRD = st.sampled_from(
    [
        *(None, -1, 0, 1.5, True, "x", "", [], [[]], {}, {"a": {}}, 10**400),
        *("9" * 5000, "../..", "\0", "2099-13-45T00:00:00Z", {"keyid": "x"}, "ed25519"),
    ]
)


def quick(count: int) -> settings:
    return settings(
        max_examples=example_count(count),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


def changed(data: st.DataObject, content: bytes) -> bytes:
    """Return a JSON document with a value replaced, left out or put in."""
    node: Any = json.loads(content)
    document = [node]
    parent, key = document, 0
    while isinstance(node, dict | list) and node and data.draw(st.integers(0, 3)):
        parent = node
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        node = node[key]
    match data.draw(st.sampled_from(["replace", "remove", "add", "repeat"])):
        case "remove" if parent is not document:
            del parent[key]
        case "add" if isinstance(node, dict):
            node[data.draw(st.sampled_from(["a", "_type", "keyids", ""]))] = 1
        case "repeat" if isinstance(node, list):
            node.extend(list(node) * 3)
        case _:
            parent[key] = data.draw(WEIRD)
    return json.dumps(document[0]).encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def shop_of_module(place: Path) -> Workshop:
    return Workshop.at(place / "shop")


@pytest.fixture(scope="module")
def pc(place: Path, shop_of_module: Workshop) -> Receiver:
    receiver = Receiver(place / "slot")
    receiver.enroll(shop_of_module)
    return receiver


@pytest.fixture(scope="module")
def signed(
    shop_of_module: Workshop, builds: list[Package], pc: Receiver
) -> MemoryRelease:
    """A release after a rotation that the line PC has not seen."""
    del pc  # is enrolled before
    rotate_keys(shop_of_module.keys, ROLES)
    return shop_of_module.sign(builds[0])


@pytest.mark.parametrize("role", ["2.root", "timestamp", "snapshot", "targets"])
@quick(40)
@given(data=st.data())
def test_changed_metadata_is_without_effect_or_refused(
    role: str,
    pc: Receiver,
    signed: MemoryRelease,
    builds: list[Package],
    data: st.DataObject,
) -> None:
    path = signed.metadata(role)
    evil = signed.changed(**{path: changed(data, signed.files[path])})
    twin = pc.twin("twin")
    try:
        taken = twin.take(evil, builds[0].sha256)
        assert taken == pc.twin("good").take(signed, builds[0].sha256)
    except ReleaseRefusedError:
        assert twin.leftovers() == []
    finally:
        shutil.rmtree(twin.root)
        shutil.rmtree(pc.root.with_name("good"), ignore_errors=True)


@quick(60)
@given(data=st.data())
def test_changed_root_does_not_enroll_or_is_the_same(
    shop_of_module: Workshop, place: Path, data: st.DataObject
) -> None:
    slot = SlotFolder(place / "enrolled")
    for content in (
        changed(data, root_to_carry(shop_of_module.keys)),
        changed(data, shop_of_module.keys.root_bytes(1)),
    ):
        try:
            report = enroll_slot(slot, content, target_name="x", replace=True)
            assert report.outcome is not EnrollOutcome.ALREADY_ENROLLED
        except InstallError:
            assert not slot.root.exists()
        finally:
            shutil.rmtree(slot.root, ignore_errors=True)


@quick(60)
@given(data=st.data())
def test_changed_enrolment_is_one_or_an_expected_error(
    pc: Receiver, signed: MemoryRelease, builds: list[Package], data: st.DataObject
) -> None:
    twin = pc.twin("changed")
    path = twin.root / "trust" / "enrolled.json"
    path.write_bytes(changed(data, path.read_bytes()))
    try:
        assert twin.take(signed, builds[0].sha256)
    except NotEnrolledError:
        assert twin.leftovers() == []
    finally:
        shutil.rmtree(twin.root)
