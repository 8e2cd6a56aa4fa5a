"""Arguments, output and exit codes of ``flash``, ``status`` and ``rollback``."""

import argparse
import json
import os
import pwd
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy import cli
from deploy.refused import RefusedPackages
from models.errors import InstallError, PackageError
from models.manifest import VariantName
from models.package import Package
from models.slot_files import Health, ProofFile, read_file, write_file
from models.trial_report import TrialPhase, TrialReport
from tests.simulators.agent_pc import AgentPc, Workstation
from tests.simulators.resealed import with_other_thresholds
from tests.simulators.target import SimTarget

Declare = Callable[[argparse.ArgumentParser], None]


def parse(declare: Declare, *typed: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    declare(parser)
    return parser.parse_args(list(map(str, typed)))


def status(line_pc: SimTarget, *options: str) -> int:
    target = f"local:{line_pc.root}"
    return cli.run_status(parse(cli.add_status_arguments, target, *options))


def test_flash_takes_a_package_and_targets() -> None:
    args = parse(cli.add_flash_arguments, "package", "local:slot", "ssh://a", "--json")
    assert args.package == Path("package")
    assert args.targets == ["local:slot", "ssh://a"]
    assert args.json
    assert not args.no_wait
    assert not args.dry_run


def test_status_without_a_daemon_states_that_it_never_ran(
    line_pc: SimTarget, builds: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    line_pc.flash(builds[0])
    assert status(line_pc) == 0
    printed = capsys.readouterr().out
    assert f"build 1 ({builds[0].sha256[:12]})" in printed
    assert "previous: none" in printed
    assert "has never run here, or may not write its report" in printed
    owner = pwd.getpwuid(os.getuid()).pw_name
    assert f"the slot belongs to {owner} (mode 0" in printed


@pytest.mark.parametrize(("age_s", "is_old"), [(2, False), (300, True)])
def test_daemon_with_an_old_status_is_not_running(
    line_pc: SimTarget,
    builds: list[Package],
    capsys: pytest.CaptureFixture[str],
    age_s: int,
    is_old: bool,
) -> None:
    line_pc.flash(builds[0])
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    health = Health(at=at, boot_id="boot", state="ready", fps=12.5)
    write_file(line_pc.slot.health, health)
    assert status(line_pc) == 0
    printed = capsys.readouterr().out
    assert "ready, 12.5 frames/s" in printed
    assert ("so it is not running" in printed) == is_old


def test_status_names_refused_variants_the_trial_and_refused_packages(
    line_pc: SimTarget, builds: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    line_pc.flash(builds[0])
    file = read_file(line_pc.slot.proof, ProofFile)
    assert file is not None
    ((sha256, proof),) = file.proofs.items()
    wrong = proof.chosen.model_copy(
        update={
            "variant": VariantName.OPENVINO_INT8,
            "passed": False,
            "reason": "15.png: expected label 0 at 0.93 not found",
        }
    )
    proof = proof.model_copy(update={"modes": (proof.chosen, wrong)})
    write_file(line_pc.slot.proof, ProofFile(proofs={sha256: proof}))
    RefusedPackages(line_pc.slot).add("a" * 64, "bright-cells build 2", "too slow")
    report = TrialReport(
        id="a", package_sha256="a", phase=TrialPhase.OBSERVE, starts=2, compared=7
    )
    health = Health(at=datetime.now(UTC), boot_id="b", state="ready", trial=report)
    write_file(line_pc.slot.health, health)
    assert status(line_pc) == 0
    printed = capsys.readouterr().out
    assert "not as:   openvino-int8 f32: 15.png: expected label 0 at 0.93" in printed
    assert "refused:  bright-cells build 2 on 20" in printed
    assert "UTC: too slow" in printed
    assert "on trial: the old model decides; start 2; decided 0 frames" in printed
    failed = report.model_copy(update={"fault": "it failed"})
    write_file(line_pc.slot.health, health.model_copy(update={"trial": failed}))
    assert status(line_pc) == 0
    assert "the old model is back: it failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "typed",
    [
        ("--trial-frames", "-1"),
        ("--trial-frames", "1.5"),
        ("--trial-minutes", "nan"),
        ("--trial-minutes", "inf"),
        ("--trial-slower", "x"),
    ],
)
def test_argument_that_is_no_quantity_is_refused(
    typed: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(cli.add_flash_arguments, "package", "local:here", *typed)
    assert "is not a " in capsys.readouterr().err


def test_faults_of_the_slot_are_the_exit_code(
    line_pc: SimTarget, builds: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    line_pc.flash(builds[0])
    line_pc.slot.proof.write_text("damaged")
    assert status(line_pc) == InstallError.exit_code
    assert "FAULT: " in capsys.readouterr().out
    assert status(line_pc, "--json") == InstallError.exit_code
    assert json.loads(capsys.readouterr().out)["faults"]


def test_rollback_names_both_packages(
    line_pc: SimTarget, builds: list[Package], capsys: pytest.CaptureFixture[str]
) -> None:
    line_pc.flash(builds[0])
    line_pc.flash(builds[1])
    args = parse(cli.add_rollback_arguments, f"local:{line_pc.root}")
    assert cli.run_rollback(args) == 0
    printed = capsys.readouterr().out
    assert "rolled back: bright-cells build 1" in printed
    assert "previous: bright-cells build 2" in printed


def test_flash_refuses_thresholds_that_were_changed_and_sealed_again(
    builds: list[Package], tmp_path: Path
) -> None:
    wrong = with_other_thresholds(builds[0], tmp_path / "p")
    with pytest.raises(PackageError, match="do not fit the manifest") as caught:
        cli.run_flash(
            parse(cli.add_flash_arguments, wrong.folder, tmp_path / "line-pc")
        )
    assert "threshold of red is 0.6555, recorded at 0.5" in caught.value.why
    assert not (tmp_path / "line-pc").exists()


def test_status_shows_what_waits_and_why_the_last_package_was_refused(
    agent_pc: AgentPc,
    workstation: Workstation,
    builds: list[Package],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Workstation.make(tmp_path / "other").delivery(builds[0]) as delivery:
        agent_pc.bring(delivery)
    agent_pc.agent.take_waiting()
    with workstation.delivery(builds[0]) as delivery:
        agent_pc.bring(delivery)
    assert status(agent_pc) == 0
    printed = capsys.readouterr().out
    assert "inbox:    1 package waiting" in printed
    assert "inbox:    not installed at 20" in printed
    agent_pc.agent.take_waiting()
    assert status(agent_pc) == 0
    printed = capsys.readouterr().out
    assert "waiting" not in printed
    assert "not installed" not in printed
