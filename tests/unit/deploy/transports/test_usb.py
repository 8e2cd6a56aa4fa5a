"""What a stick holds after it was written, whole or in part."""

import os
from pathlib import Path

import pytest

from deploy.target import UsbTarget
from deploy.transports import usb
from deploy.transports.delivery import FlashOptions
from deploy.transports.ssh_errors import TargetError, TargetProblem
from deploy.transports.usb import release_on, write_stick
from models.inbox_files import FlashRequest
from models.package import Package
from tests.simulators.agent_pc import Workstation


@pytest.fixture
def stick(tmp_path: Path) -> UsbTarget:
    (tmp_path / "stick").mkdir()
    return UsbTarget("usb:stick", tmp_path / "stick")


def write(stick: UsbTarget, workstation: Workstation, package: Package) -> int:
    with workstation.delivery(package) as delivery:
        return write_stick(stick, delivery, delivery.request(FlashOptions())).count


def test_stick_holds_the_release_and_the_request(
    stick: UsbTarget, workstation: Workstation, builds: list[Package]
) -> None:
    assert write(stick, workstation, builds[0]) > 0
    folder = release_on(stick.folder)
    assert folder == stick.folder / "graftline"
    assert release_on(folder) == folder
    content = (folder / "request.json").read_bytes()
    request = FlashRequest.model_validate_json(content)
    assert request.package_sha256 == builds[0].sha256
    assert (folder / "metadata" / "timestamp.json").is_file()
    assert (folder / "files" / builds[0].sha256).is_file()


def test_files_that_are_there_are_kept_and_others_removed(
    stick: UsbTarget, workstation: Workstation, builds: list[Package]
) -> None:
    first = write(stick, workstation, builds[0])
    assert write(stick, workstation, builds[0]) == 0
    assert 0 < write(stick, workstation, builds[1]) < first
    files = {path.name for path in (release_on(stick.folder) / "files").iterdir()}
    assert builds[1].sha256 in files
    assert builds[0].sha256 not in files


@pytest.mark.fault(48)
def test_truncated_file_is_written_again(
    stick: UsbTarget, workstation: Workstation, builds: list[Package]
) -> None:
    write(stick, workstation, builds[0])
    path = release_on(stick.folder) / "files" / builds[0].sha256
    whole = path.read_bytes()
    path.write_bytes(whole[:10])
    assert write(stick, workstation, builds[0]) == 1
    assert path.read_bytes() == whole


@pytest.mark.fault(48, 54)
@pytest.mark.parametrize("step", range(1, 12))
def test_stick_that_is_full_or_pulled_out_has_no_request(
    stick: UsbTarget,
    workstation: Workstation,
    builds: list[Package],
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    write(stick, workstation, builds[0])
    steps = iter(range(1, 1000))

    def failing_fsync(descriptor: int) -> None:
        del descriptor
        if next(steps) == step:
            raise OSError(28, os.strerror(28))

    with workstation.delivery(builds[1]) as delivery:
        request = delivery.request(FlashOptions())
        monkeypatch.setattr(os, "fsync", failing_fsync)
        with pytest.raises(TargetError, match="the stick cannot be written") as caught:
            write_stick(stick, delivery, request)
    assert "No space left" in caught.value.why
    assert not (release_on(stick.folder) / "request.json").exists()


def test_stick_that_is_not_mounted_is_refused(
    tmp_path: Path, workstation: Workstation, builds: list[Package]
) -> None:
    absent = UsbTarget("usb:absent", tmp_path / "absent")
    with pytest.raises(TargetError, match="no such folder") as caught:
        write(absent, workstation, builds[0])
    assert caught.value.problem is TargetProblem.UNREACHABLE
    assert usb.STICK_FOLDER == "graftline"
