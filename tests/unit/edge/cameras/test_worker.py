import subprocess
import sys

import pytest

from edge.cameras.source import SourceKind
from edge.cameras.sources.aravis import run_aravis
from edge.cameras.sources.folder import run_folder
from edge.cameras.sources.opencv import run_live
from edge.cameras.sources.video import run_video
from edge.cameras.worker import _without_address, runner_of
from tests.simulators.plans import plan_of


@pytest.mark.parametrize(
    ("kind", "runner"),
    [
        (SourceKind.FOLDER, run_folder),
        (SourceKind.VIDEO, run_video),
        (SourceKind.STREAM, run_live),
        (SourceKind.USB, run_live),
        (SourceKind.ARAVIS, run_aravis),
    ],
)
def test_every_kind_of_source_has_a_runner(kind: SourceKind, runner: object) -> None:
    assert runner_of(kind) is runner


def test_camera_process_imports_neither_pydantic_nor_a_model() -> None:
    program = (
        "import sys\n"
        "import edge.cameras.worker\n"
        "import edge.cameras.health.monitor\n"
        "import edge.cameras.sources.opencv\n"
        "heavy = {'pydantic', 'openvino', 'onnxruntime', 'paho'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == 0


def test_login_in_the_error_of_a_library_is_hidden() -> None:
    plan = plan_of("aravis:admin:S3cret@cam")
    text = "top: *** cannot be opened. Device 'admin:S3cret@cam' not found"
    assert _without_address(plan, text) == text.replace("admin:S3cret@cam", "***")
    assert _without_address(plan_of("aravis:Basler-1"), text) == text
