"""`graftline doctor`: each thing that can be wrong is named, with what to do."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edge.doctor.check_result import CheckResult, Grade
from edge.doctor.checks import Check, run_checks
from models.errors import (
    CameraError,
    ConfigError,
    DeliveryError,
    InstallError,
    PackageError,
)
from models.package import open_package
from tests.command import Answer, graftline
from tests.simulators.broker import Broker, free_port
from tests.simulators.certificates import Authority
from tests.simulators.daemon import DaemonPc, camera_table
from tests.simulators.old_broker import OldBroker
from tests.simulators.packages import install_package, write_parts
from tests.simulators.resealed import expect_what_is_not_there, reseal
from tests.simulators.videos import defect_between, write_video

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def pc(tmp_path: Path, broker: Broker) -> DaemonPc:
    pc = DaemonPc(tmp_path, broker.port)
    write_video(tmp_path / "a.avi", 300, 20, defect_between(0, 0))
    return pc


def doctor(pc: DaemonPc, *cameras: str) -> Answer:
    pc.write_config(*(cameras or (camera_table("a", "a.avi"),)))
    return graftline("doctor", "--config", pc.config, "--json", cwd=pc.folder)


def findings_of(answer: Answer) -> dict[str, dict[str, Any]]:
    assert "Traceback" not in answer.errors
    return {finding["check"]: finding for finding in answer.json["findings"]}


def broken_in(answer: Answer) -> dict[str, str]:
    found = findings_of(answer).values()
    return {
        f["check"]: f"{f['what']} {f['why']}" for f in found if f["grade"] == "fail"
    }


def test_healthy_line_pc_is_fit_to_inspect(pc: DaemonPc) -> None:
    answer = doctor(pc)
    assert broken_in(answer) == {}
    assert answer.code == 0
    found = findings_of(answer)
    camera = found["camera a"]
    assert (camera["figures"]["width_px"], camera["figures"]["height_px"]) == (320, 320)
    assert 2 < camera["figures"]["fps"] < 60
    assert "golden frames as expected" in found["model"]["what"]
    assert "MQTTv5, no TLS, may publish and subscribe" in found["broker"]["what"]
    assert found["clock"]["grade"] in {"ok", "warn"}
    arguments = ("doctor", "--config", pc.config)
    shown = graftline(*arguments, cwd=pc.folder)
    assert shown.code == 0
    assert "Fit to inspect." in shown.output
    assert "camera a" in shown.output


def test_program_in_the_working_folder_is_not_run(pc: DaemonPc) -> None:
    for module in ("re", "multiprocessing", "numpy"):  # what a camera's process imports
        (pc.folder / f"{module}.py").write_text(
            "import pathlib; pathlib.Path('was-run').touch()", encoding="utf-8"
        )
    pc.write_config(camera_table("a", "a.avi"))
    command = Path(sys.executable).with_name("graftline")
    done = subprocess.run(
        [command, "doctor", "--config", pc.config],
        cwd=pc.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (pc.folder / "was-run").exists()


def test_everything_that_is_broken_is_named_at_once(pc: DaemonPc) -> None:
    pc.slot.current.unlink()
    (pc.folder / "outbox.sqlite").write_bytes(b"not a database at all" * 400)
    (pc.folder / "evidence").write_text("a file, no folder")
    pc.port = free_port()
    answer = doctor(pc, camera_table("a", "file:gone.mp4"), camera_table("b", "a.avi"))
    broken = broken_in(answer)
    assert set(broken) == {
        *("camera a", "model", "broker", "disk evidence", "disk outbox file"),
    }
    assert "there is no such file" in broken["camera a"]
    assert "no model is installed" in broken["model"]
    assert "Connection refused" in broken["broker"]
    assert "damaged" in broken["disk outbox file"]
    assert answer.code == CameraError.exit_code  # the first of them
    assert all(f["fix"] for f in findings_of(answer).values() if f["grade"] == "fail")


def test_exit_code_is_that_of_who_must_act(pc: DaemonPc) -> None:
    pc.slot.current.unlink()
    assert doctor(pc).code == InstallError.exit_code


def test_model_that_answers_otherwise_than_when_flashed_is_found(pc: DaemonPc) -> None:
    package = open_package(pc.slot.current.resolve())
    other = reseal(package, pc.folder / "other", expect_what_is_not_there)
    install_package(pc.slot.root, other)  # with a proof, as if flashed long ago
    answer = doctor(pc)
    assert "does not reproduce its golden frames" in broken_in(answer)["model"]
    assert answer.code == PackageError.exit_code


def test_running_daemon_is_not_disturbed_and_the_doctor_reports_it(
    pc: DaemonPc,
) -> None:
    process = pc.start(camera_table("a", "a.avi"), at_end=False)
    try:
        pc.wait_until_inspecting()
        answer = doctor(pc)
        assert broken_in(answer) == {}
        assert "a daemon is using it" in findings_of(answer)["disk outbox file"]["what"]
    finally:
        process.terminate()
        code, _ = pc.end_of(process)
    assert code == 0
    assert "broker_lost" not in pc.stderr


def test_broker_that_denies_the_topics_of_the_station_is_reported(
    tmp_path: Path,
) -> None:
    (tmp_path / "broker").mkdir()
    acl = tmp_path / "acl"
    acl.write_text("topic read graftline/site/line/station/ack\n")
    with Broker(tmp_path / "broker", f"acl_file {acl}") as broker:
        pc = DaemonPc(tmp_path, broker.port)
        write_parts(tmp_path / "parts", good=3, defective=0)
        answer = doctor(pc, camera_table("a", "folder:parts"))
    assert "Not authorized" in broken_in(answer)["broker"]
    assert answer.code == DeliveryError.exit_code


def test_broker_that_refuses_the_password_is_reported_with_the_login(
    tmp_path: Path,
) -> None:
    (tmp_path / "broker").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    with Broker(tmp_path / "broker") as broker:
        config = tmp_path / "broker" / "mosquitto.conf"
        text = config.read_text("utf-8").replace("anonymous true", "anonymous false")
        config.write_text(text, encoding="utf-8")
        broker.kill()
        broker.start()
        pc = DaemonPc(tmp_path, broker.port)
        pc.broker_lines = f'username = "edge"\npassword_file = "{secret}"\n'
        write_parts(tmp_path / "parts", good=3, defective=0)
        answer = doctor(pc, camera_table("a", "folder:parts"))
    broken = findings_of(answer)["broker"]
    assert "refuses the login: not authorized" in broken["what"]
    assert broken["why"] == f"The login was: user edge, password of {secret}."
    assert "username and password_file" in broken["fix"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


def doctor_over_tls(
    tmp_path: Path, authority: Authority, trusted: Path, name: str = ""
) -> Answer:
    """Ask the doctor about a broker that wants certificates."""
    certificate, key = authority.issue("broker")
    lines = f"cafile {authority.certificate_file}\ncertfile {certificate}\n"
    lines += f"keyfile {key}\nrequire_certificate true"
    (tmp_path / "broker").mkdir()
    with Broker(tmp_path / "broker", lines) as broker:
        pc = DaemonPc(tmp_path, broker.port)
        write_parts(tmp_path / "parts", good=3, defective=0)
        more = f'tls_ca_file = "{trusted}"\n'
        if name:
            ours, our_key = authority.issue(name)
            more += f'tls_cert_file = "{ours}"\ntls_key_file = "{our_key}"\n'
        pc.broker_lines = more
        return doctor(pc, camera_table("a", "folder:parts"))


def test_broker_with_certificates_is_fit(tmp_path: Path, authority: Authority) -> None:
    answer = doctor_over_tls(
        tmp_path, authority, authority.certificate_file, "site/line/station"
    )
    assert broken_in(answer) == {}
    assert "MQTTv5, TLS, may publish" in findings_of(answer)["broker"]["what"]


def test_broker_of_a_foreign_authority_is_named(
    tmp_path: Path, authority: Authority
) -> None:
    foreign = Authority(tmp_path / "foreign")
    answer = doctor_over_tls(tmp_path, authority, foreign.certificate_file, "station")
    broken = broken_in(answer)["broker"]
    assert "certificate" in broken
    assert answer.code == DeliveryError.exit_code


def test_certificate_of_another_station_is_named(
    tmp_path: Path, authority: Authority
) -> None:
    answer = doctor_over_tls(
        tmp_path, authority, authority.certificate_file, "site/line/other"
    )
    found = findings_of(answer)["broker"]
    wrong = "Your certificate says site/line/other, this station is site/line/station."
    assert found["grade"] == "warn"
    assert found["why"].startswith(wrong)


def test_missing_client_certificate_is_named(
    tmp_path: Path, authority: Authority
) -> None:
    broken = broken_in(doctor_over_tls(tmp_path, authority, authority.certificate_file))
    assert "certificate" in broken["broker"]


@pytest.mark.parametrize("says_why", [True, False])
def test_broker_without_mqtt_5_is_used_in_311(pc: DaemonPc, says_why: bool) -> None:
    with OldBroker(pc.port, says_why=says_why) as old:
        pc.port = old.port
        answer = doctor(pc)
    assert broken_in(answer) == {}
    assert "MQTTv311" in findings_of(answer)["broker"]["what"]


def test_silent_camera_is_reported_at_its_own_limit_beside_a_silent_broker(
    pc: DaemonPc,
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as camera,
        socket.create_server(("127.0.0.1", 0)) as broker,
    ):
        url = f"http://127.0.0.1:{camera.getsockname()[1]}/video"
        pc.port = broker.getsockname()[1]
        broken = broken_in(doctor(pc, camera_table("slow", url, open_timeout_ms=6000)))
    assert "no video came within 6000 ms" in broken["camera slow"]
    assert set(broken) == {"camera slow", "broker"}


def test_check_that_never_returns_is_reported_in_time() -> None:
    released = threading.Event()

    def hang() -> CheckResult:
        released.wait(60)
        return CheckResult("disk", Grade.OK, "too late")

    def is_well() -> CheckResult:
        return CheckResult("clock", Grade.OK, "fine")

    def is_a_bug() -> CheckResult:
        raise ZeroDivisionError

    checks = [
        Check("disk", 7, hang),
        Check("model", 5, is_a_bug),
        Check("clock", 3, is_well),
    ]
    found = run_checks(checks, time.monotonic() + 1)
    released.set()
    assert [each.check for each in found] == ["disk", "model", "clock"]
    assert [each.grade.value for each in found] == ["fail", "fail", "ok"]
    assert [each.exit_code for each in found] == [7, 1, 0]


def test_configuration_with_a_typo_is_a_config_error(pc: DaemonPc) -> None:
    pc.tables = "[metrics]\nprot = 1\n"
    pc.write_config(camera_table("a", "a.avi"))
    answer = graftline("doctor", "--config", pc.config, cwd=pc.folder)
    assert answer.code == ConfigError.exit_code
    assert "did you mean port?" in answer.errors
