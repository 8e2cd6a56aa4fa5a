"""A new configuration while the daemon runs: all of it or nothing, and nothing lost."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge.config.station import EdgeSettings, load_edge_config
from models.commands import CommandRefusal
from models.config import CONFIG_MAX_BYTES
from models.errors import ConfigError
from tests.e2e.test_delivery_brokers import Certificates
from tests.examples import example_count
from tests.simulators.broker import Broker, free_port
from tests.simulators.collector import SimCollector
from tests.simulators.commander import Commander, command
from tests.simulators.daemon import (
    DaemonPc,
    camera_processes_of,
    camera_table,
)
from tests.simulators.mjpeg import MjpegCamera
from tests.simulators.packages import write_parts
from tests.waiting import until

if TYPE_CHECKING:
    import subprocess

pytestmark = pytest.mark.timeout(180)
PASSWORD = "S3cret"

VALID = """\
[station]
site = "plant"
line = "line-1"
station = "eol"

[model]
slot = "slot"
threads = 2

[broker]
port = 1883

[outbox]
path = "outbox.sqlite"

[evidence]
folder = "evidence"

[[camera]]
name = "top"
source = "http://127.0.0.1:1/stream"
trigger = "command"
k = 2
"""
LINES = VALID.splitlines()
VALUES = [
    '""',
    "[]",
    "{}",
    "true",
    "-1",
    "1e999",
    "nan",
    "99999999999999999999",
    "'*/'",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return the file after some accidents."""
    lines = list(LINES)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        name, equals, value = lines[at].partition(" = ")
        fresh = draw(st.sampled_from(VALUES) | st.text(max_size=12))
        lines[at] = draw(
            st.sampled_from(
                [
                    "",
                    f"{name[:-1]}{equals}{value}",
                    f"{name}x{equals}{value}",
                    f"{name}{equals}{fresh}",
                    f"{lines[at]}\n{lines[at]}",
                    lines[at][: len(lines[at]) // 2],
                    fresh,
                ]
            )
        )
    content = draw(st.sampled_from(["\n", "\r\n"])).join(lines).encode()
    content = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + content
    cut = draw(st.integers(0, len(content)))
    noise = draw(st.binary(max_size=3))
    return draw(st.sampled_from([content, content[:cut] + noise + content[cut:]]))


@pytest.mark.fault(67)
@settings(
    max_examples=example_count(600),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=mutated() | st.binary(max_size=300))
@example(content=b"")
@example(content=VALID.encode() + b"#" * CONFIG_MAX_BYTES)
@example(content=b"a=" + b"[" * 100_000)
@example(content=b"\x7fELF" + bytes(range(256)))
@example(content=VALID.encode("utf-16"))
@example(content=VALID.replace("1883", "9" * 5000).encode())
@example(content=VALID.replace('"slot"', '"a\\u0000b"').encode())
def test_any_file_is_a_configuration_or_one_error_that_names_the_place(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "edge.toml"
    path.write_bytes(content)
    error = fault_of(path)
    if error is not None:
        assert str(path) in error.what
        assert error.why
        assert error.fix


def fault_of(path: Path) -> ConfigError | None:
    """Return what is wrong with a file; anything but a ConfigError is a bug."""
    try:
        assert isinstance(load_edge_config(path), EdgeSettings)
    except ConfigError as error:
        return error
    return None


@pytest.mark.fault(67)
def test_marks_of_other_editors_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.replace("\n", "\r\n").encode())
    assert load_edge_config(path).camera[0].k == 2


# --- a real daemon -------------------------------------------------------------------


@contextmanager
def running(pc: DaemonPc, *cameras: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the daemon; it ends in order with the block."""
    process = pc.start(*cameras, at_end=False)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        code, _ = pc.end_of(process)
    assert code == 0, pc.stderr
    assert "Traceback" not in pc.stderr


def status(collector: SimCollector, pc: DaemonPc) -> dict[str, Any]:
    return collector.wait_for_state(pc.topics.status)


def wait_for_status(collector: SimCollector, pc: DaemonPc, state: str) -> None:
    until(lambda: status(collector, pc)["state"] == state)


@pytest.mark.fault(67, 80)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("typo", "did you mean trigger?"),
        ("type", "camera.0.k"),
        ("missing", "cannot be read"),
        ("binary", "not UTF-8"),
        ("fixed", "[station] cannot change while the daemon runs"),
        ("secret", "broker.password_file"),
        ("nul", "a NUL character in broker.password_file"),
        ("login", "rtps://***"),
        ("away", "It refused the connection"),
        ("gone", "there is no such file, folder or device"),
    ],
)
def test_faulty_file_changes_nothing_until_it_is_corrected(
    pc: DaemonPc, broker: Broker, tmp_path: Path, fault: str, reason: str
) -> None:
    with (
        MjpegCamera() as network,
        SimCollector(tmp_path, broker.port) as collector,
        running(pc, camera_table("top", network.url, trigger="command")) as process,
        Commander(broker.port, pc.topics) as commander,
    ):
        commander.wait_for_station()
        wait_for_status(collector, pc, "ready")
        pids, good = camera_processes_of(process.pid), pc.config.read_bytes()
        changed = good.replace(b'"top"', b'"other"')
        login = f"rtps://admin:{PASSWORD}@cam/1".encode()
        away = f"rtsp://admin:{PASSWORD}@127.0.0.1:{free_port()}/1"
        bad = {
            "typo": changed.replace(b"trigger =", b"triger ="),
            "type": changed + b'k = "many"\n',
            "binary": b"\x00\xff" * 50,
            "fixed": changed.replace(b'station = "station"', b'station = "b"'),
            "nul": changed.replace(
                b"[broker]", b'[broker]\nusername = "u"\npassword_file = "a\\u0000b"'
            ),
            "secret": changed.replace(
                b"[broker]", b'[broker]\nusername = "u"\npassword_file = "absent"'
            ),
            "login": changed.replace(network.url.encode(), login),
            "away": good.replace(network.url.encode(), away.encode()),
            "gone": good.replace(network.url.encode(), b"file:none.avi"),
        }
        if fault == "missing":
            pc.config.unlink()
        else:
            pc.config.write_bytes(bad[fault])
        reply = commander.ask("reload", command())
        assert (reply.accepted, reply.refusal) == (False, CommandRefusal.NOT_POSSIBLE)
        assert reason in reply.reason
        wait_for_status(collector, pc, "degraded")
        assert "configuration not in force" in status(collector, pc)["reason"]
        assert PASSWORD not in f"{reply}{status(collector, pc)}{pc.health}"
        assert camera_processes_of(process.pid) == pids
        assert commander.ask("trigger", command(camera="top")).accepted
        assert collector.wait_for(1, 30, "verdict") == 1
        pc.config.write_bytes(good)
        process.send_signal(signal.SIGHUP)
        wait_for_status(collector, pc, "ready")
        assert camera_processes_of(process.pid) == pids
    assert pc.stderr.count("reload_refused") == 1
    assert PASSWORD not in pc.stderr


def test_cameras_are_swapped_one_by_one_and_the_others_never_notice(
    pc: DaemonPc, broker: Broker, tmp_path: Path
) -> None:
    with (
        MjpegCamera() as network,
        MjpegCamera() as other,
        SimCollector(tmp_path, broker.port) as collector,
        Commander(broker.port, pc.topics) as commander,
    ):
        stays = camera_table("stays", network.url)
        rules = camera_table("rules", network.url, k=1, n=1)
        moves = camera_table("moves", network.url, trigger="command")
        goes = camera_table("goes", network.url, trigger="command")
        with running(pc, stays, rules, moves, goes) as process:
            commander.wait_for_station()
            wait_for_status(collector, pc, "ready")
            before = camera_processes_of(process.pid)
            head = pc.config.read_text("utf-8").partition("[[camera]]")[0]
            after = [
                stays,
                camera_table("rules", network.url, k=2, n=3),
                camera_table("moves", other.url, trigger="command"),
                camera_table("comes", other.url, trigger="command"),
            ]
            pc.config.write_text(head + "\n".join(after), "utf-8")
            assert commander.ask("reload", command()).accepted
            gone = commander.ask("trigger", command(camera="goes"))
            assert "no camera goes" in gone.reason
            assert commander.ask("trigger", command(camera="stays")).refusal
            for name in ("moves", "comes"):
                topic = pc.topics.camera(name, "status")
                until(lambda topic=topic: is_up(collector, topic))  # type: ignore[misc]
                assert commander.ask("trigger", command(camera=name)).accepted
            assert collector.wait_for(2, 30, "verdict") == 2
            until(lambda: len(camera_processes_of(process.pid)) == 4)
            now = camera_processes_of(process.pid)
            topic = pc.topics.camera("goes", "status")
            # Its retained state is emptied when its last event is delivered.
            until(lambda: topic not in collector.states)
        verdicts = collector.data("verdict")
    assert {verdict["camera"] for verdict in verdicts} == {"moves", "comes"}
    assert len(set(before) & set(now)) == 2  # those of "stays" and "rules"
    for name in ("stays", "rules"):
        states = collector.states[pc.topics.camera(name, "status")]
        assert {each["state"] for each in states} <= {"degraded", "up", "ended"}
    assert "camera_lost" not in pc.stderr
    assert "reloaded cameras=4 connects_anew=False" in pc.stderr


def is_up(collector: SimCollector, topic: str) -> bool:
    states = collector.states.get(topic)
    return bool(states) and states[-1]["state"] == "up"


# --- certificates --------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.fault(23)
def test_rotated_certificate_is_used_and_nothing_is_lost(tmp_path: Path) -> None:
    authority = Certificates(tmp_path / "authority")
    certificate, key = authority.issue("broker")
    for folder in ("broker", "pc"):
        (tmp_path / folder).mkdir()
    plain_port = free_port()
    encrypted = (
        f"cafile {authority.ca}\ncertfile {certificate}\nkeyfile {key}\n"
        "require_certificate true\nuse_identity_as_username true\n"
        f"listener {plain_port} 127.0.0.1"
    )
    with (
        Broker(tmp_path / "broker", encrypted) as broker,
        SimCollector(tmp_path, plain_port) as collector,
    ):
        login = (
            f'tls_ca_file = "{authority.ca}"\n'
            'tls_cert_file = "cert.pem"\ntls_key_file = "key.pem"'
        )
        pc = DaemonPc(tmp_path / "pc", broker.port, broker=login)
        rotate(pc, authority.issue("first"), "cert.pem", "key.pem")
        stems = write_parts(pc.folder / "parts", good=160, defective=0)
        camera = camera_table("top", "folder:parts", fps=20)
        process = pc.start(camera)
        assert collector.wait_for(10, 40, "verdict") >= 10
        second = authority.issue("second")
        rotate(pc, second, "cert.pem")  # half of it: the key is still the old one
        process.send_signal(signal.SIGHUP)
        until(lambda: "reload_refused" in pc.stderr)
        assert collector.wait_for(30, 40, "verdict") >= 30
        assert connections(broker) == ["first"]
        rotate(pc, second, "key.pem")
        process.send_signal(signal.SIGHUP)
        until(lambda: connections(broker) == ["first", "second"])
        before = len(collector.history("verdict"))
        code, figures = pc.end_of(process)
        parts = [event["data"]["part_id"] for event in collector.history("verdict")]
    assert code == 0, pc.stderr
    assert before < len(stems)  # it was in the middle of the work
    assert parts == stems
    assert figures["outbox"]["undelivered"] == 0
    assert pc.stderr.count("broker_renewed") == 1


def rotate(pc: DaemonPc, issued: tuple[Path, Path], *names: str) -> None:
    """Replace files of the station's login, each at once."""
    for name in names:
        source = issued[0] if name == "cert.pem" else issued[1]
        descriptor, fresh = tempfile.mkstemp(dir=pc.folder)
        os.close(descriptor)
        shutil.copyfile(source, fresh)
        Path(fresh).replace(pc.folder / name)


def connections(broker: Broker) -> list[str]:
    """Return the names in the certificates of those who connected, in order."""
    log = (broker.folder / "mosquitto.log").read_text("utf-8")
    lines = [line for line in log.splitlines() if "New client connected" in line]
    return [line.split("u'")[1].split("'")[0] for line in lines if "u'" in line]
