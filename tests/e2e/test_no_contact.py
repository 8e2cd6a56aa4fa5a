"""No verb contacts anything but what its configuration names.

Every verb runs once in a network namespace in which each name look-up and each address
outside loopback is seen, without the variable ``CI``: libraries with telemetry keep
silent where it is set, and so did tests.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graftline import VERBS
from tests.command import REPOSITORY, environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(400)]

WATCH = REPOSITORY / "tests" / "simulators" / "network_watch.py"
NAMESPACE = ("unshare", "--map-root-user", "--net", "--mount")
SENDS_AFTER_S = 14  # ONNX Runtime sends its first events 10 s after the import

EDGE_TOML = """\
[station]
site = "works"
line = "line-1"
station = "station-1"
[model]
slot = "line-pc"
[broker]
port = 18830
[outbox]
path = "outbox.sqlite3"
[evidence]
folder = "evidence"
[[camera]]
name = "boards"
source = "folder:data/images"
"""
DASHBOARD_TOML = """\
[broker]
port = 18830
[server]
port = 18831
"""
PLANT_TOML = """\
[all.hosts]
here = { graftline_target = "local:line-pc" }
"""
# Every verb but demo, which runs these and a browser, and wheelhouse, which fetches
# what it packs.
SCRIPT = """\
graftline synth --out data --photos 24 --good 8 --parts 6
graftline synth --out more --photos 4 --good 2 --parts 2
graftline merge more data --out merged
graftline check data --html check.html --fix repaired
graftline train data --out run --epochs 1 --size 64 --batch 2
graftline evaluate run data --report report.html
graftline pack run --out package
graftline evaluate package data
graftline selftest package
graftline keys init --no-passphrase
graftline enroll local:line-pc
graftline sign package --out release
graftline flash package local:line-pc
graftline agent --slot line-pc --from release --once
graftline fleet status --inventory plant.toml
graftline provision local:pc --wheelhouse release
graftline status local:line-pc
graftline rollback local:line-pc
graftline service --config edge.toml
graftline broker-config --out broker
graftline capture data/line.mp4 --out captured --count 2 --every 0.1
graftline doctor --config edge.toml
timeout -s INT 20 graftline run --config edge.toml
graftline dashboard-user add ann --role admin --password-file password
graftline verify-audit --config dashboard.toml
timeout -s INT 8 graftline dashboard --config dashboard.toml
"""


def can_make_namespaces() -> bool:
    """Return whether this user may make a network namespace, with ``ip`` in it."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    done = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)
    return done.returncode == 0


pytestmark.append(
    pytest.mark.skipif(
        not can_make_namespaces(), reason="needs network namespaces (unshare, ip)"
    )
)


def contacts(folder: Path, *command: str) -> list[str]:
    """Run a command in the namespace; return what it tried to contact."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    path = f"{folder}:{os.environ['PATH']}"
    variables = environment() | {"HOME": str(home), "PATH": path}
    for name in ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY"):
        variables.pop(name, None)
    report = folder / "report.json"
    with (folder / "log.txt").open("ab") as log:
        subprocess.run(
            [*NAMESPACE, sys.executable, str(WATCH), str(report), *command],
            cwd=folder,
            env=variables,
            stdout=log,
            stderr=log,
            check=True,
            timeout=390,
        )
    document = json.loads(report.read_text())
    assert isinstance(document["contacts"], list)
    return document["contacts"]


def test_look_ups_and_connections_of_c_libraries_are_seen(tmp_path: Path) -> None:
    """The watch itself: a library that phones home does not pass."""
    code = "import socket; socket.create_connection(('198.51.100.7', 443), 1)"
    assert contacts(tmp_path, sys.executable, "-c", code) == ["198.51.100.7 port 443"]
    code = "import socket; socket.getaddrinfo('host.example', 443)"
    assert "look-up of host.example" in contacts(tmp_path, sys.executable, "-c", code)


def test_every_verb_runs_in_the_script() -> None:
    typed = {line.split("graftline ")[1].split()[0] for line in SCRIPT.splitlines()}
    assert typed == {verb.name for verb in VERBS} - {"demo", "wheelhouse"}


@pytest.mark.fault(76)
def test_onnx_runtime_sends_nothing(tmp_path: Path) -> None:
    code = f"import models.onnx_runtime, time; time.sleep({SENDS_AFTER_S})"
    assert contacts(tmp_path, sys.executable, "-c", code) == []
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "code",
    [
        "import models.openvino_runtime",
        "from trainer.ship.nncf_adapter import load_nncf; load_nncf()",
    ],
    ids=["openvino", "nncf"],
)
def test_library_sends_nothing_when_it_is_imported_first(
    tmp_path: Path, code: str
) -> None:
    code += "; print('imported')"
    assert contacts(tmp_path, sys.executable, "-c", code) == []
    assert "imported" in (tmp_path / "log.txt").read_text()
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()]


@pytest.mark.fault(76)
def test_no_verb_contacts_anything(tmp_path: Path) -> None:
    (tmp_path / "edge.toml").write_text(EDGE_TOML)
    (tmp_path / "dashboard.toml").write_text(DASHBOARD_TOML)
    (tmp_path / "plant.toml").write_text(PLANT_TOML)
    (tmp_path / "password").write_text("four random words here\n")
    command = tmp_path / "graftline"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m graftline "$@"\n')
    command.chmod(0o755)
    script = tmp_path / "script.sh"
    script.write_text(SCRIPT)
    assert contacts(tmp_path, "sh", "-x", str(script)) == []
    log = (tmp_path / "log.txt").read_text()
    assert (tmp_path / "line-pc" / "current" / "manifest.json").is_file(), log
    assert "Traceback" not in log
    assert "Correct the file" not in log  # both services got as far as they can
