"""A line PC gets the daemon and the self-test, and never a training library."""

import json
import zipfile
from pathlib import Path

import pytest

from tests.line_pc import LinePc
from tests.simulators.broker import Broker
from tests.simulators.collector import SimCollector
from tests.simulators.packages import make_package, write_parts

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

LINE_PC_VERBS = ("flash", "status", "rollback", "run", "selftest")

EDGE_TOML = """
[station]
site = "site"
line = "line"
station = "station"
[model]
slot = "slot"
[broker]
port = {port}
collector_ack = "required"
[outbox]
path = "outbox.db"
[evidence]
folder = "evidence"
[[camera]]
name = "top"
source = "folder:parts"
"""

FIND_TRAINING_LIBRARIES = """
from importlib.util import find_spec
names = ("torch", "torchvision", "nncf", "onnx", "triton", "pycocotools")
print(*[name for name in names if find_spec(name)])
"""

IMPORT_EVERY_MODULE = """
import importlib, pkgutil, sys
count = 0
for room in ("models", "edge", "deploy"):
    package = importlib.import_module(room)
    assert "site-packages" in package.__file__, package.__file__
    for module in pkgutil.walk_packages(package.__path__, f"{room}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            count += 1
print(count, "torch" in sys.modules)
"""


def test_no_training_library_is_installed(fresh_line_pc: LinePc) -> None:
    code, out, err = fresh_line_pc.run(
        fresh_line_pc.python, "-c", FIND_TRAINING_LIBRARIES
    )
    assert (code, out.split(), err) == (0, [], "")


def test_every_module_of_the_line_pc_can_be_imported(fresh_line_pc: LinePc) -> None:
    code, out, err = fresh_line_pc.run(fresh_line_pc.python, "-c", IMPORT_EVERY_MODULE)
    assert code == 0, err
    count, has_torch = out.split()
    assert int(count) >= 20
    assert has_torch == "False"


def test_wheelhouse_sets_up_a_line_pc_without_a_network(
    fresh_line_pc: LinePc,
) -> None:
    report = fresh_line_pc.report
    assert report["units"] == ["graftline-agent.service", "graftline-edge.service"]
    # It has neither cameras nor a model yet, and doctor reports both.
    assert report["doctor"]["exit_code"] not in {0, 1, 2}
    unit = fresh_line_pc.root / "etc/systemd/system/graftline-edge.service"
    config = fresh_line_pc.root / "etc/graftline/edge.toml"
    # Its first start in a new environment is slow; the second one reaches the model.
    doctor = (fresh_line_pc.graftline, "doctor", "--json", "--config", config)
    _, out, _ = fresh_line_pc.run(*doctor)
    assert "there is no slot folder" in out
    assert f"{fresh_line_pc.python} -P -m graftline run --config {config}" in (
        unit.read_text("utf-8")
    )


@pytest.mark.parametrize("verb", LINE_PC_VERBS)
def test_verb_of_the_line_pc_answers(fresh_line_pc: LinePc, verb: str) -> None:
    code, out, err = fresh_line_pc.run(fresh_line_pc.graftline, verb, "--help")
    assert code == 0, err
    assert f"usage: graftline {verb}" in out


def test_training_on_a_line_pc_is_an_error_that_names_what_to_install(
    fresh_line_pc: LinePc,
) -> None:
    folder = fresh_line_pc.folder
    arguments = ("train", folder, "--out", folder / "run")
    code, out, err = fresh_line_pc.run(fresh_line_pc.graftline, *arguments)
    assert (code, out) == (3, "")
    assert 'Fix: pip install "graftline[trainer]"' in err
    assert "Traceback" not in err


def test_wheel_carries_weights_pages_and_licence(fresh_line_pc: LinePc) -> None:
    with zipfile.ZipFile(fresh_line_pc.wheel) as wheel:
        names = wheel.namelist()
    assert {
        "models/pretrained/yolox-nano-coco-drawn.safetensors",
        "models/pretrained/yolox-nano-coco-drawn.json",
        "models/pretrained/yolox-nano-coco.safetensors",
        "models/pretrained/graft-n-synthetic.safetensors",
    } <= {*names}
    assert any(n.startswith("dashboard/") and n.endswith(".js") for n in names)
    assert any(n.endswith("licenses/LICENSE") for n in names)
    assert not [n for n in names if n.startswith(("tests/", "bench/", "docs/"))]


MAKE_OWN_WHEEL = """
import sys
from pathlib import Path
from deploy.provision.own_wheel import make_own_wheel
print(make_own_wheel(Path(sys.argv[1])))
"""


def test_installed_graftline_packs_the_wheel_that_it_was_installed_from(
    fresh_line_pc: LinePc, tmp_path: Path
) -> None:
    arguments = ("-P", "-c", MAKE_OWN_WHEEL, tmp_path)
    code, out, err = fresh_line_pc.run(fresh_line_pc.python, *arguments)
    assert code == 0, err
    with (
        zipfile.ZipFile(out.strip()) as ours,
        zipfile.ZipFile(fresh_line_pc.wheel) as original,
    ):
        assert {*ours.namelist()} == {*original.namelist()}
        for name in original.namelist():
            if not name.endswith("RECORD"):
                assert ours.read(name) == original.read(name)


def test_line_pc_flashes_runs_and_delivers_without_torch(
    fresh_line_pc: LinePc, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "package")
    parts = write_parts(tmp_path / "parts", good=3, defective=4)
    command, slot = fresh_line_pc.graftline, f"local:{tmp_path / 'slot'}"
    code, _, err = fresh_line_pc.run(command, "flash", package.folder, slot)
    assert code == 0, err
    with Broker(tmp_path) as broker, SimCollector(tmp_path, broker.port) as collector:
        config = tmp_path / "edge.toml"
        config.write_text(EDGE_TOML.format(port=broker.port))
        code, out, err = fresh_line_pc.run(
            *(command, "run", "--config", config, "--exit-at-end", "--json"),
            timeout_s=120,
        )
        assert code == 0, err
        assert isinstance(json.loads(out), dict)
        assert collector.wait_for(4) == 4
        seen = {event["data"]["part_id"] for event in collector.history()}
    assert seen == set(parts[3:])
