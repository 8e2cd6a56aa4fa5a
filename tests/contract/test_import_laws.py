"""The import contracts in ``pyproject.toml`` find what they forbid.

A skeleton of the product, one file per module that a contract names, is lawful;
with one bad line in it the contract of that law breaks.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Every module that a contract names, and the one import that it exists for.
SKELETON = {
    "models/__init__.py": "",
    "models/boxes.py": "",
    "models/openvino_runtime.py": "import openvino",
    "models/onnx_runtime.py": "import onnxruntime",
    "models/mqtt_session.py": "import paho.mqtt.client",
    "trainer/__init__.py": "",
    "trainer/cli/__init__.py": "",
    "trainer/report/__init__.py": "",
    "trainer/study/__init__.py": "",
    "trainer/fit/__init__.py": "",
    "trainer/label_errors/__init__.py": "",
    "trainer/unknown/__init__.py": "",
    "trainer/learning_curve/__init__.py": "",
    "trainer/ship/__init__.py": "",
    "trainer/ship/export.py": "import models.openvino_runtime, models.onnx_runtime",
    "trainer/evaluation/__init__.py": "",
    "trainer/run.py": "",
    "trainer/run_record.py": "",
    "trainer/full_check.py": "",
    "trainer/detectors/__init__.py": "",
    "trainer/data/__init__.py": "",
    "edge/__init__.py": "",
    "edge/capture.py": "",
    "edge/cli.py": "",
    "edge/cli_capture.py": "",
    "edge/daemon.py": "from edge.rules import alert_message, lifecycle",
    "edge/doctor/__init__.py": "",
    "edge/monitoring/__init__.py": "",
    "edge/control/__init__.py": "",
    "edge/control/command_validation.py": "",
    "edge/inspection/__init__.py": "",
    "edge/delivery/__init__.py": "",
    "edge/delivery/publisher/__init__.py": "",
    "edge/delivery/publisher/session.py": "import models.mqtt_session",
    "edge/config/__init__.py": "",
    "edge/cameras/__init__.py": "",
    "edge/cameras/health/__init__.py": "",
    "edge/cameras/health/condition.py": "",
    "edge/cameras/health/scene.py": "",
    "edge/cameras/sources/__init__.py": "",
    "edge/cameras/sources/aravis.py": "import gi",
    "edge/rules/__init__.py": "",
    "edge/rules/alert_message.py": "import models.boxes, edge.frame\n"
    "import edge.rules.lifecycle",
    "edge/rules/lifecycle.py": "",
    "edge/frame.py": "",
    "edge/counters.py": "",
    "deploy/__init__.py": "",
    "deploy/broker/__init__.py": "",
    "deploy/broker/mosquitto.py": "import subprocess",
    "deploy/cli.py": "",
    "deploy/cli_trust.py": "",
    "deploy/cli_shared.py": "",
    "deploy/installer.py": "import deploy.trust.client",
    "deploy/links.py": "",
    "deploy/fleet/__init__.py": "",
    "deploy/fleet/groups.py": "",
    "deploy/fleet/host_patterns.py": "",
    "deploy/fleet/waves.py": "",
    "deploy/fleet/windows.py": "",
    "deploy/provision/__init__.py": "",
    "deploy/provision/pip_runs.py": "import subprocess",
    "deploy/slots.py": "",
    "deploy/trust/__init__.py": "",
    "deploy/trust/client.py": "import securesystemslib, tuf",
    "deploy/trust/clock_rule.py": "",
    "deploy/trial.py": "",
    "deploy/selftest.py": "import subprocess",
    "deploy/target.py": "",
    "deploy/transports/__init__.py": "",
    "deploy/transports/openssh.py": "import subprocess",
    "dashboard/__init__.py": "",
    "dashboard/cli.py": "",
    "dashboard/cli_access.py": "",
    "dashboard/access/__init__.py": "",
    "dashboard/alarms/__init__.py": "",
    "dashboard/alarms/rules.py": "",
    "dashboard/ingest/__init__.py": "",
    "dashboard/ingest/mqtt.py": "import models.mqtt_session",
    "dashboard/web/__init__.py": "",
    "dashboard/history/__init__.py": "",
    "dashboard/config.py": "",
    "dashboard/messages.py": "",
    "dashboard/notify/__init__.py": "",
    "dashboard/notify/schedule.py": "",
    "dashboard/notify_settings.py": "",
    "dashboard/postgresql_login.py": "",
    "dashboard/outgoing.py": "",
    "dashboard/plant_time.py": "",
    "dashboard/statistics/__init__.py": "",
    "dashboard/plant_settings.py": "",
    "dashboard/status.py": "",
    "demo/__init__.py": "",
    "demo/line.py": "import subprocess",
    "pretraining/__init__.py": "",
    "pretraining/pretrain.py": "import trainer.fit",
}

BREACHES = [
    ("edge/daemon.py", "import trainer", "Law 1"),
    ("deploy/target.py", "import edge.daemon", "Law 1"),
    ("demo/line.py", "import dashboard.ingest.mqtt", "Law 1"),
    ("models/boxes.py", "def f():\n    import edge.daemon", "Law 1"),
    ("edge/daemon.py", "import graftline", "Law 1: the command"),
    (
        "edge/rules/lifecycle.py",
        "import edge.config",
        "Law 1: the layers of the daemon",
    ),
    ("edge/surprise.py", "", "Law 1: the layers of the daemon"),
    ("trainer/data/__init__.py", "import trainer.run", "Law 1: the layers of the tr"),
    ("trainer/surprise.py", "", "Law 1: the layers of the trainer"),
    ("dashboard/status.py", "import dashboard.web", "Law 1: the layers of the da"),
    ("deploy/target.py", "import deploy.trial", "Law 1: the layers of flashing"),
    ("deploy/surprise.py", "", "Law 1: the layers of flashing"),
    ("dashboard/surprise.py", "", "Law 1: the layers of the dashboard"),
    ("trainer/fit/__init__.py", "import pretraining", "Law 1: no room needs"),
    ("edge/daemon.py", "def f():\n    import torch", "Law 2: no training"),
    ("dashboard/ingest/mqtt.py", "import onnx", "Law 2: no training"),
    ("trainer/ship/export.py", "import paho.mqtt.client", "Law 2: no MQTT"),
    ("trainer/run.py", "import models.mqtt_session", "Law 2: no MQTT"),
    ("models/boxes.py", "import tuf", "Law 2: no signing"),
    ("edge/rules/alert_message.py", "import time", "Law 3"),
    ("edge/rules/lifecycle.py", "from pathlib import Path", "Law 3"),
    ("edge/frame.py", "import mmap", "Law 3"),
    ("edge/rules/defect_rate.py", "import time", "Law 3"),
    ("deploy/slots.py", "import threading", "Law 3"),
    ("edge/daemon.py", "import openvino", "Law 4: one door to OpenVINO"),
    ("edge/daemon.py", "import onnxruntime", "Law 4: one door to ONNX"),
    ("edge/delivery/publisher/session.py", "import paho", "Law 4: one door to MQTT"),
    ("dashboard/ingest/mqtt.py", "import paho", "Law 4: one door to MQTT"),
    ("edge/daemon.py", "import gi", "Law 4: one door to Aravis"),
    ("deploy/installer.py", "import tuf", "Law 4: one door to signatures"),
    ("deploy/cli.py", "import securesystemslib", "Law 4: one door to signatures"),
    ("deploy/links.py", "import deploy.trust", "Law 1: the layers of flashing"),
    ("deploy/trust/clock_rule.py", "import time", "Law 3"),
    ("edge/daemon.py", "import subprocess", "Law 4: other programs"),
    ("edge/rules/lifecycle.py", "import edge.rules.alert_message", "Law 5"),
]


def check_imports(repository: Path, folder: Path, **more: str) -> tuple[int, str]:
    """Write the skeleton with the given lines added, and check its contracts."""
    for name, text in (dict.fromkeys(more, "") | SKELETON).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n{more.get(name, '')}\n")
    shutil.copy(repository / "pyproject.toml", folder)
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return result.returncode, result.stdout + result.stderr


def test_skeleton_without_violations_passes(repository: Path, tmp_path: Path) -> None:
    code, output = check_imports(repository, tmp_path)
    assert code == 0, output


@pytest.mark.parametrize(("file", "line", "law"), BREACHES)
def test_breach_is_found(
    repository: Path, tmp_path: Path, file: str, line: str, law: str
) -> None:
    code, output = check_imports(repository, tmp_path, **{file: line})
    broken = [text for text in output.splitlines() if text.endswith("BROKEN")]
    assert code == 1, output
    assert any(text.startswith(law) for text in broken), output
