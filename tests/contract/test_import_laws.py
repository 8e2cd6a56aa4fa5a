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
    "models/openvino_detector.py": "import openvino",
    "models/onnx_detector.py": "import onnxruntime",
    "trainer/__init__.py": "",
    "trainer/ship/__init__.py": "",
    "trainer/ship/export.py": "import openvino, onnxruntime",
    "edge/__init__.py": "",
    "edge/app.py": "from edge import decision, lifecycle",
    "edge/association.py": "",
    "edge/commands.py": "",
    "edge/continuity.py": "",
    "edge/motion.py": "",
    "edge/track.py": "",
    "edge/triggers.py": "",
    "edge/watchdog.py": "",
    "edge/cameras/condition.py": "",
    "edge/cameras/scene.py": "",
    "edge/cooldown.py": "",
    "edge/decision.py": "import models.boxes",
    "edge/lifecycle.py": "",
    "edge/cameras/__init__.py": "",
    "edge/cameras/aravis.py": "import gi",
    "edge/parts.py": "",
    "edge/regions.py": "",
    "edge/streak.py": "",
    "edge/delivery/__init__.py": "",
    "edge/delivery/publisher.py": "import paho.mqtt.client",
    "deploy/__init__.py": "",
    "deploy/slots.py": "",
    "deploy/selftest.py": "import subprocess",
    "deploy/target.py": "import subprocess",
    "dashboard/__init__.py": "",
    "dashboard/collector.py": "import paho.mqtt.client",
    "demo/__init__.py": "",
    "demo/line.py": "import subprocess",
}

BREACHES = [
    ("edge/app.py", "import trainer", "Law 1"),
    ("deploy/target.py", "import edge.app", "Law 1"),
    ("demo/line.py", "import dashboard.collector", "Law 1"),
    ("models/boxes.py", "def f():\n    import edge.app", "Law 1"),
    ("edge/app.py", "import graftline", "Law 1: the command"),
    ("edge/app.py", "def f():\n    import torch", "Law 2: no training"),
    ("dashboard/collector.py", "import onnx", "Law 2: no training"),
    ("trainer/ship/export.py", "import paho.mqtt.client", "Law 2: no MQTT"),
    ("edge/decision.py", "import time", "Law 3"),
    ("edge/lifecycle.py", "from pathlib import Path", "Law 3"),
    ("edge/streak.py", "import time", "Law 3"),
    ("deploy/slots.py", "import threading", "Law 3"),
    ("edge/app.py", "import openvino", "Law 4: one door to OpenVINO"),
    ("edge/app.py", "import onnxruntime", "Law 4: one door to ONNX"),
    ("edge/app.py", "import paho.mqtt.client", "Law 4: one door to MQTT"),
    ("edge/app.py", "import gi", "Law 4: one door to Aravis"),
    ("edge/app.py", "import subprocess", "Law 4: other programs"),
    ("edge/lifecycle.py", "import edge.app", "Law 5"),
]


def check_imports(repository: Path, folder: Path, **more: str) -> tuple[int, str]:
    """Write the skeleton with the given lines added, and check its contracts."""
    for name, text in SKELETON.items():
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


def test_lawful_skeleton_passes(repository: Path, tmp_path: Path) -> None:
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
