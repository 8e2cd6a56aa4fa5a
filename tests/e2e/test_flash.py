"""Flash, status and rollback as an operator types them, with the real self-test."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import InstallError, PackageError
from models.manifest import MANIFEST_NAME, VariantName
from models.package import Package, open_package
from models.seal import write_seal
from models.slot_files import SlotFolder
from tests import command
from tests.command import Answer
from tests.simulators import resealed
from tests.simulators.packages import make_package
from tests.simulators.resealed import make_earlier, reseal
from tests.simulators.target import SimTarget

pytestmark = pytest.mark.e2e


Graftline = Callable[..., Answer]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Package]:
    folder = tmp_path_factory.mktemp("builds")
    variants = (VariantName.OPENVINO_FP32, VariantName.OPENVINO_INT8)
    return [
        make_package(folder / str(build), build=build, variants=variants)
        for build in (1, 2)
    ]


@pytest.fixture
def graftline(repository: Path) -> Graftline:
    def run(*arguments: object) -> Answer:
        answer = command.graftline(*arguments, cwd=repository)
        assert "Traceback" not in answer.errors
        return answer

    return run


def in_force(root: Path) -> Package:
    """Return the package that a daemon would open now, verified."""
    return open_package(SlotFolder(root).current)


def test_flash_status_and_rollback_agree_on_what_is_in_force(
    graftline: Graftline, builds: list[Package], tmp_path: Path
) -> None:
    target = f"local:{tmp_path / 'line-pc'}"

    first = graftline("flash", builds[0].folder, target)
    assert first.code == 0, first.errors
    assert "(chosen)" in first.output
    assert "build 1" in first.output.splitlines()[-1]
    assert "self-test" in first.errors

    second = graftline("flash", builds[1].folder, target, "--json")
    assert second.code == 0, second.errors
    assert second.json["outcome"] == "committed"
    assert second.json["package"]["sha256"] == builds[1].sha256
    assert second.json["previous"]["sha256"] == builds[0].sha256
    assert len(second.json["proof"]["modes"]) in {2, 4}  # with and without bf16
    assert in_force(tmp_path / "line-pc").sha256 == builds[1].sha256

    again = graftline("flash", builds[1].folder, target)
    assert "nothing to do" in again.output

    rolled_back = graftline("rollback", target, "--json")
    assert rolled_back.json["current"]["sha256"] == builds[0].sha256

    status = graftline("status", target, "--json")
    assert status.code == 0
    assert status.json["state"] == "rolled-back"
    assert status.json["current"]["sha256"] == builds[0].sha256
    assert status.json["previous"]["sha256"] == builds[1].sha256
    assert status.json["proof"]["chosen"]["passed"]
    assert in_force(tmp_path / "line-pc").sha256 == builds[0].sha256
    assert f"current:  bright-cells build 1 ({builds[0].sha256[:12]})" in (
        graftline("status", target).output
    )


def test_package_with_a_flipped_byte_is_refused_before_the_line_pc_is_touched(
    graftline: Graftline, builds: list[Package], tmp_path: Path
) -> None:
    package = reseal(builds[0], tmp_path / "package", resealed.nothing)
    path = package.folder / "openvino" / "fp32.xml"
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    answer = graftline("flash", package.folder, tmp_path / "line-pc", "--json")
    assert answer.code == PackageError.exit_code
    assert answer.output == ""
    assert "fp32.xml" in answer.errors
    assert "Fix:" in answer.errors
    assert not (tmp_path / "line-pc").exists()


@pytest.mark.parametrize("is_sealed_again", [False, True])
def test_package_with_a_changed_threshold_is_refused_before_the_line_pc_is_touched(
    is_sealed_again: bool, graftline: Graftline, builds: list[Package], tmp_path: Path
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(builds[0].folder, folder)
    manifest = folder / MANIFEST_NAME
    manifest.write_text(manifest.read_text().replace('"red": 0.5', '"red": 0.6555'))
    if is_sealed_again:
        write_seal(folder)
    reason = "recorded at 0.5" if is_sealed_again else "its seal manifest.sha256 has"
    for verb in (("flash", folder, tmp_path / "line-pc"), ("selftest", folder)):
        answer = graftline(*verb)
        assert answer.code == PackageError.exit_code
        assert answer.output == ""
        assert reason in answer.errors
        assert "Fix:" in answer.errors
    assert not (tmp_path / "line-pc").exists()


def test_package_of_an_earlier_version_is_flashed_with_a_notice(
    graftline: Graftline, builds: list[Package], tmp_path: Path
) -> None:
    shutil.copytree(builds[0].folder, tmp_path / "package")
    make_earlier(tmp_path / "package")
    answer = graftline("flash", tmp_path / "package", tmp_path / "line-pc", "--json")
    assert answer.code == 0, answer.errors
    assert answer.json["outcome"] == "committed"
    assert "has no seal, because an earlier version packed it" in answer.errors
    assert graftline("status", tmp_path / "line-pc").code == 0
    sealed = graftline("flash", builds[1].folder, tmp_path / "line-pc")
    assert "no seal" not in sealed.errors
    assert "files and the sealed manifest" in sealed.errors
    assert graftline("rollback", tmp_path / "line-pc").code == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (resealed.expect_what_is_not_there, "expected label"),
        (resealed.answer_nan, "NaN or infinite"),
    ],
)
def test_model_with_wrong_output_on_this_machine_leaves_the_old_one_in_force(
    change: Callable[[Path], None],
    reason: str,
    graftline: Graftline,
    builds: list[Package],
    tmp_path: Path,
) -> None:
    line_pc = tmp_path / "line-pc"
    old = builds[0]
    wrong = reseal(make_package(tmp_path / "new", build=2), tmp_path / "wrong", change)
    SimTarget(line_pc).flash(old)
    answer = graftline("flash", wrong.folder, line_pc)
    assert answer.code == InstallError.exit_code
    assert reason in answer.errors
    assert in_force(line_pc).sha256 == old.sha256
    status = graftline("status", line_pc, "--json").json
    assert status["state"] == "rolled-back"
    assert status["state_sha256"] == wrong.sha256
    assert reason in status["reason"]


def test_self_test_prints_the_report_that_flash_reads(
    graftline: Graftline, builds: list[Package], tmp_path: Path
) -> None:
    good = graftline("selftest", builds[0].folder, "--json")
    assert good.code == 0, good.errors
    assert good.json["chosen"] in good.json["modes"]
    wrong = reseal(builds[0], tmp_path / "wrong", resealed.expect_what_is_not_there)
    bad = graftline("selftest", wrong.folder, "--json")
    assert bad.code == InstallError.exit_code
    assert bad.json["chosen"] is None
    assert "15.png" in bad.errors


def test_status_of_a_damaged_line_pc_ends_with_an_error(
    graftline: Graftline, builds: list[Package], tmp_path: Path
) -> None:
    line_pc = tmp_path / "line-pc"
    SimTarget(line_pc).flash(builds[0])
    (SlotFolder(line_pc).current / "golden" / "00.png").unlink()
    status = graftline("status", line_pc)
    assert status.code == InstallError.exit_code
    assert "FAULT: current" in status.output
    repaired = graftline("flash", builds[0].folder, line_pc)
    assert "repaired and tested again" in repaired.output
    assert SimTarget(line_pc).current() == builds[0].sha256
