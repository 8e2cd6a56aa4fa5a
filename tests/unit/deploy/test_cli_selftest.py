"""Output and refusals of ``selftest``."""

import argparse
import json
import shutil
import sys
from pathlib import Path
from subprocess import run

import pytest

from deploy.cli_selftest import add_selftest_arguments, run_selftest
from models.errors import InstallError, PackageError
from models.package import Package
from tests.simulators.resealed import (
    expect_what_is_not_there,
    reseal,
    with_other_thresholds,
)

# What a self-test does not need: signing, ssh, MQTT, and tables on a terminal.
NOT_NEEDED = ("tuf", "securesystemslib", "cryptography", "paho", "rich", "urllib3")


def selftest(package: Path, *options: str) -> int:
    parser = argparse.ArgumentParser()
    add_selftest_arguments(parser)
    return run_selftest(parser.parse_args([str(package), *options]))


def test_selftest_prints_every_run_mode(
    builds: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    assert selftest(builds[0].folder, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["package_sha256"] == builds[0].sha256
    assert all(mode["passed"] for mode in report["modes"])


def test_reason_of_a_run_mode_that_fails_is_printed_in_full(
    builds: list[Package], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = reseal(builds[0], tmp_path / "p", expect_what_is_not_there)
    with pytest.raises(InstallError) as caught:
        selftest(wrong.folder)
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("not openvino-fp32 f32: ")]
    reason = line.removeprefix("not openvino-fp32 f32: ")
    assert len(reason) > 40
    assert reason in caught.value.why


def test_selftest_refuses_thresholds_that_were_changed_and_sealed_again(
    builds: list[Package], tmp_path: Path
) -> None:
    wrong = with_other_thresholds(builds[0], tmp_path / "p")
    with pytest.raises(PackageError, match="do not fit the manifest") as caught:
        selftest(wrong.folder)
    assert "threshold of red is 0.6555, recorded at 0.5" in caught.value.why


def test_package_of_an_earlier_version_passes_the_self_test_with_a_notice(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = repository / "tests" / "data" / "written_by_0_1" / "slot" / "store"
    shutil.copytree(next(iter(sorted(store.iterdir()))), tmp_path / "package")
    assert selftest(tmp_path / "package", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["chosen"]
    assert "has no seal, because an earlier version packed it" in printed.err


def test_process_of_the_self_test_imports_no_more_than_it_needs(
    repository: Path,
) -> None:
    code = (
        "import sys, deploy.cli_selftest, deploy.selftest.run_modes\n"
        f"print([name for name in {NOT_NEEDED!r} if name in sys.modules])"
    )
    done = run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "[]\n", done.stderr
