"""The demo in small: the same commands, a few parts, one short training."""

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from demo.broker import EmbeddedBroker, accepts_connections, find_mosquitto, free_port
from demo.children import ChildCommand, Children, StopRequest
from demo.settings import DemoSettings
from models.errors import DeliveryError, GraftlineError, TrainingError
from tests.command import environment
from tests.waiting import until

pytestmark = pytest.mark.e2e

REQUIRED_KEYS = [
    *("parts", "defective_parts", "good_parts", "caught", "missed", "false_alarms"),
    *("alerts_published", "alerts_in_history", "duplicates"),
    *("fps", "latency_ms_p50", "latency_ms_p99", "seconds", "steps"),
]

# What ``graftline demo`` does, with other numbers.
SMALL_DEMO = """
import sys
from pathlib import Path
from demo.cli import print_line, print_tables
from demo.line import DemoLine
from demo.settings import DemoLimits, DemoSettings
from models.errors import GraftlineError

settings = DemoSettings(
    out=Path("out"), photos=40, good=40, parts=6, size_px=160, epochs=1,
    page_port={page_port}, weights={weights!r}, k=1, n=1, is_day_one={is_day_one},
)
limits = DemoLimits(least_recall=0, most_false_alarms=1)
try:
    line = DemoLine(settings, limits, print_line)
    line.run(print_tables, keeps_page={keeps_page})
except GraftlineError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
except KeyboardInterrupt:
    sys.exit(130)
"""


def processes_of(folder: Path) -> list[str]:
    """Return the command line of every process at work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                at_work_in = (entry / "cwd").readlink()
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it ended meanwhile
                continue
            if at_work_in == folder and line:
                found.append(line)
    return found


@contextmanager
def small_demo(
    folder: Path,
    *,
    weights: str = "",
    keeps_page: bool = False,
    is_day_one: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """Run the small demo in a folder; it is killed at the end."""
    script = SMALL_DEMO.format(
        page_port=free_port(),
        weights=weights,
        keeps_page=keeps_page,
        is_day_one=is_day_one,
    )
    with (folder / "printed.txt").open("w") as printed:
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=folder,
            env=environment(),
            stdout=printed,
            stderr=printed,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=10)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_demo_shows_the_whole_line_and_ctrl_c_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    output = tmp_path / "printed.txt"
    with small_demo(tmp_path, keeps_page=True) as demo:
        until(
            lambda: (
                "The page stays up" in output.read_text() or demo.poll() is not None
            ),
            limit_s=250,
        )
        printed = output.read_text()
        assert demo.poll() is None, printed
        config = (tmp_path / "out" / "dashboard.toml").read_text()
        port = int(config.split("[server]")[1].split("port = ")[1].split()[0])
        page = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        page.request("GET", "/wall")
        assert page.getresponse().status == 401  # without the token: no page
        page.close()
        address = printed.split("the page is up: http://127.0.0.1")[1].split()[0]
        page.request("GET", address.removeprefix(f":{port}"))
        answer = page.getresponse()
        assert (answer.status, answer.headers["location"]) == (303, "/")
        page.close()
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=30) == 0, output.read_text()
    assert processes_of(tmp_path) == []
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [key for key in REQUIRED_KEYS if key not in summary] == []
    assert summary["parts"] == 6
    assert (
        summary["weights"] == "yolox-nano-coco-drawn"
    )  # the default of train, by name
    assert summary["defective_parts"] + summary["good_parts"] == 6
    assert summary["caught"] + summary["missed"] == summary["defective_parts"]
    assert summary["alerts_in_history"] == summary["alerts_published"]
    assert summary["fps"] > 0
    verbs = ("synth", "check", "train", "pack", "flash", "dashboard", "run")
    assert [verb for verb in verbs if f"$ graftline {verb} " not in printed] == []
    assert [verb for verb in verbs if verb not in summary["steps"]] == []
    assert summary["seconds"] >= sum(summary["steps"].values()) * 0.9


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_demo_of_day_one_has_good_parts_alone_and_the_class_unknown(
    tmp_path: Path,
) -> None:
    with small_demo(tmp_path, is_day_one=True) as demo:
        code = demo.wait(timeout=250)
    printed, out = (tmp_path / "printed.txt").read_text(), tmp_path / "out"
    assert code == 0, printed
    assert "learns the class unknown from 40 photos of good parts" in printed
    assert {path.name for path in (out / "day-one").iterdir()} == {"good"}
    run = json.loads((out / "run" / "run.json").read_text())
    assert run["labels"] == ["unknown"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["parts"] == 6
    assert summary["weights"] == "efficientnet-lite0-imagenet"
    assert summary["alerts_in_history"] == summary["alerts_published"]
    assert (summary["least_recall"], summary["most_false_alarms"]) == (0, 1)
    assert "defective parts caught" in printed


@pytest.mark.slow
def test_failing_step_ends_the_demo_with_its_exit_code_and_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    with small_demo(tmp_path, weights="nowhere.pth") as demo:
        code = demo.wait(timeout=110)
    printed = (tmp_path / "printed.txt").read_text()
    assert code == TrainingError.exit_code, printed
    assert "nowhere.pth" in printed.partition("Last lines of its log:")[2]
    assert (tmp_path / "out" / "logs" / "train.log").exists()
    assert processes_of(tmp_path) == []


def test_demo_that_is_terminated_stops_its_step(tmp_path: Path) -> None:
    with small_demo(tmp_path) as demo:
        log = tmp_path / "out" / "logs" / "synth.log"
        until(log.exists, limit_s=60)
        until(lambda: len(processes_of(tmp_path)) >= 2, "the step is at work")
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(timeout=40) == 130
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "out" / "data").exists()


@contextmanager
def children(
    folder: Path, show: Callable[[str], None] = lambda _: None
) -> Iterator[Children]:
    (folder / "logs").mkdir()
    with Children(folder / "logs", StopRequest(), show) as started:
        yield started


def shell(name: str, script: str, output: Path | None = None) -> ChildCommand:
    return ChildCommand(name, ("sh", "-c", script), output)


def test_output_of_a_command_is_printed_and_logged(tmp_path: Path) -> None:
    printed: list[str] = []
    with children(tmp_path, printed.append) as started:
        started.run(shell("two", "echo one; echo two >&2; printf three"), 10)
    assert printed == ["one", "two", "three"]
    assert (tmp_path / "logs" / "two.log").read_text() == "one\ntwo\nthree"


def test_output_is_redirected_as_typed(tmp_path: Path) -> None:
    output = tmp_path / "run.json"
    command = shell("json", "echo {}", output)
    with children(tmp_path) as started:
        started.run(command, 10)
    assert output.read_text() == "{}\n"
    assert str(command).endswith(f" > {output}")


def test_child_of_a_child_ends_with_it(tmp_path: Path) -> None:
    with children(tmp_path) as started:
        started.run(shell("fork", f"cd {tmp_path}; sleep 60 & echo done"), 10)
        until(lambda: processes_of(tmp_path) == [], limit_s=5)


def run_beside_a_service(folder: Path, service: str, step: str, limit_s: float) -> None:
    with children(folder) as started:
        started.start(shell("service", f"cd {folder}; {service}"))
        until((folder / "logs" / "service.log").exists, limit_s=5)
        started.run(shell("step", f"cd {folder}; {step}"), limit_s)


def wait_until_alone(folder: Path) -> None:
    """Wait until the kernel has removed a killed process, which takes a moment."""
    until(lambda: processes_of(folder) == [], limit_s=5)


def test_service_is_stopped_at_the_end_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="exit code 9"):
        run_beside_a_service(tmp_path, "sleep 60", "exit 9", limit_s=10)
    wait_until_alone(tmp_path)


def test_service_that_ends_by_itself_ends_the_step_too(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="ended by itself") as caught:
        run_beside_a_service(tmp_path, "echo it broke; exit 7", "sleep 60", limit_s=30)
    assert "it broke" in caught.value.why
    wait_until_alone(tmp_path)


def test_step_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(GraftlineError, match="not finished in time"):
        run_beside_a_service(tmp_path, "sleep 60", "sleep 60", limit_s=0.3)
    wait_until_alone(tmp_path)


def test_embedded_broker_delivers_messages_and_stops(tmp_path: Path) -> None:
    arrived: queue.Queue[bytes] = queue.Queue()
    with EmbeddedBroker(port := free_port(), tmp_path / "log", 20):
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        client.on_connect = lambda client, *_: client.subscribe("a/b", 1)
        client.on_subscribe = lambda client, *_: client.publish("a/b", b"payload", 1)
        client.on_message = lambda _client, _data, message: arrived.put(message.payload)
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert arrived.get(timeout=20) == b"payload"
        client.disconnect()
        client.loop_stop()
    assert not accepts_connections(port)


def test_embedded_broker_reports_why_it_does_not_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        EmbeddedBroker(port := free_port(), log, 20),
        pytest.raises(DeliveryError, match="does not start") as caught,
        EmbeddedBroker(port, log, 20),
    ):
        pytest.fail("it started on a port that is in use")
    assert "in use" in caught.value.why


# In a process of its own: amqtt leaves the sockets of refused clients unclosed.
REFUSED_CLIENTS = """
import threading
from pathlib import Path
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from demo.broker import EmbeddedBroker, accepts_connections, free_port

def connect(protocol):
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
    client.will_set("status", b"lost", 1, retain=True)  # as the daemon does
    answered = threading.Event()
    client.on_connect = client.on_disconnect = lambda *_: answered.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert answered.wait(20)
    client.disconnect()
    client.loop_stop()

with EmbeddedBroker(port := free_port(), Path("log"), 20):
    assert accepts_connections(port)  # and is closed without a CONNECT
    connect(MQTTProtocolVersion.MQTTv5)
    connect(MQTTProtocolVersion.MQTTv311)
"""


def test_embedded_broker_prints_nothing_about_clients_that_it_refuses(
    tmp_path: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", REFUSED_CLIENTS],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert "Failed to initialize client session" in (tmp_path / "log").read_text()


def test_port_that_is_in_use_is_passed_over(tmp_path: Path) -> None:
    with EmbeddedBroker(taken := free_port(), tmp_path / "log", 20):
        assert free_port(taken) != taken
    assert free_port(taken) == taken


def test_demo_has_at_least_200_parts_and_300_photos() -> None:
    assert DemoSettings().parts >= 200
    assert DemoSettings().photos == 300


def test_mosquitto_is_found_where_debian_puts_it() -> None:
    if not Path("/usr/sbin/mosquitto").exists():
        pytest.skip("needs mosquitto of Debian")
    assert find_mosquitto()
