"""The laws of ``style.md`` that import-linter cannot check: S1 to S3, S6, S7, S11."""

import ast
from collections.abc import Iterator

import pytest

from tests.contract.laws import (
    Finding,
    Law,
    Source,
    calls,
    dotted_name,
    imported_modules,
    our_sources,
)
from tests.contract.style_laws import STYLE_LAWS

PURE_MODULES = (
    "dashboard.notify.schedule",
    "dashboard.plant_time",
    "dashboard.statistics",
    "edge.rules",
    "edge.control.command_validation",
    "edge.cameras.health.condition",
    "edge.cameras.health.scene",
    "deploy.fleet.groups",
    "deploy.fleet.host_patterns",
    "deploy.fleet.waves",
    "deploy.fleet.windows",
    "deploy.slots",
    "deploy.trust.clock_rule",
)
IMPURE_IMPORTS = {
    *("asyncio", "concurrent", "multiprocessing", "threading"),
    *("http", "select", "selectors", "socket", "urllib"),
    *("glob", "mmap", "shutil", "sqlite3", "tempfile"),
    *("signal", "subprocess", "time"),
}
FILE_METHODS = {
    *("exists", "is_file", "is_dir", "iterdir", "glob", "rglob", "stat"),
    *("mkdir", "rename", "symlink_to", "touch", "unlink", "rmdir"),
    *("open", "read_bytes", "read_text", "write_bytes", "write_text"),
}
CLOCK_METHODS = ("datetime.now", "datetime.utcnow", "datetime.today", "date.today")

# Law 4: the only modules that may import these libraries.
DOORS = {
    "openvino": ("models.openvino_runtime",),
    "onnxruntime": ("models.onnx_runtime",),
    "paho": ("models.mqtt_session",),
    "subprocess": (
        "deploy.broker.mosquitto",
        "deploy.provision.pip_runs",
        "deploy.selftest",
        "deploy.transports.openssh",
        "deploy.templates.provision.installer.files",  # runs alone, on a line PC
        "demo",
    ),
    "tuf": ("deploy.trust",),
    "securesystemslib": ("deploy.trust",),
}
OTHER_WAYS_TO_START_A_PROGRAM = (
    *("os.exec", "os.popen", "os.posix_spawn", "os.spawn", "os.system"),
    *("asyncio.create_subprocess", "pty.spawn"),
)
# Not called cli, and yet they talk to a person: the one command, and what stands
# behind `make wheel`, `make schemas` and `make pretrain`.
TALKERS = {
    "deploy/provision/installer_folder.py",
    "deploy/templates/provision/installer/install.py",  # runs alone, on a line PC
    "deploy/templates/provision/installer/files.py",
    "graftline.py",
    "models/schemas.py",
    "pretraining/pretrain.py",
}
ENDLESS_WAITS = {"get", "join", "wait"}


def find_impurity(source: Source) -> Iterator[Finding]:
    for line, module in imported_modules(source.tree):
        if module.partition(".")[0] in IMPURE_IMPORTS:
            yield line, f"a pure rule imports {module}"
    for call, name in calls(source.tree):
        method = name.rpartition(".")[2]
        if name == "open" or ("." in name and method in FILE_METHODS):
            yield call.lineno, f"a pure rule touches a file: {name}()"
        if name.endswith(CLOCK_METHODS):
            yield call.lineno, f"a pure rule reads a clock: {name}(); take now_ns"


def find_video_capture(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        name = getattr(node, "attr", None) or getattr(node, "name", None)
        if name == "VideoCapture" and isinstance(node, ast.Attribute | ast.alias):
            yield node.lineno, "cv2.VideoCapture belongs to edge.cameras"


def find_unlawful_door(source: Source) -> Iterator[Finding]:
    for line, module in imported_modules(source.tree):
        library = module.partition(".")[0]
        if library in DOORS and not source.is_in(*DOORS[library]):
            yield line, f"{library} has its door in {', '.join(DOORS[library])}"
    if source.is_in(*DOORS["subprocess"]):
        return
    for call, name in calls(source.tree):
        if name.startswith(OTHER_WAYS_TO_START_A_PROGRAM):
            yield call.lineno, f"{name}() starts a program past the door"


def find_dynamic_import(source: Source) -> Iterator[Finding]:
    for call, name in calls(source.tree):
        if name.endswith(("import_module", "__import__", "exec_module")):
            yield call.lineno, f"{name}() hides an import from import-linter"


def find_work_at_import(source: Source) -> Iterator[Finding]:
    for node in source.tree.body:
        if isinstance(node, ast.For | ast.While | ast.With):
            yield node.lineno, "a loop or a with-block runs at import"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield node.lineno, f"{dotted_name(node.value.func)}() runs at import"


def find_global_statement(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Global):
            yield node.lineno, f"global state: {', '.join(node.names)}"


def find_swallowed_error(source: Source) -> Iterator[Finding]:
    lines = source.text.splitlines()
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ExceptHandler) or _cleans_up(node):
            continue
        if _is_broad(node):
            above = lines[node.lineno - 2].strip()
            comment = lines[node.lineno - 1].partition("#")[2]
            reason = comment.replace("noqa: BLE001", "").strip(" #-")
            first = lines[node.body[0].lineno - 2].strip()
            if not reason and not above.startswith("#") and not first.startswith("#"):
                yield (
                    node.lineno,
                    "a broad handler without a comment that gives the reason",
                )
            if not _is_told(node):
                yield node.lineno, "a broad handler swallows the error: log it"
    for call, name in calls(source.tree):
        if name.endswith("suppress") and any(map(_is_broad_type, call.args)):
            yield call.lineno, "suppress() of every error"


def _cleans_up(handler: ast.ExceptHandler) -> bool:
    """Whether it lets the very same error go on, as a ``finally`` would."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    if isinstance(handler.type, ast.Tuple):
        return any(map(_is_broad_type, handler.type.elts))
    return _is_broad_type(handler.type)


def _is_broad_type(node: ast.expr) -> bool:
    return dotted_name(node) in {"Exception", "BaseException"}


def _is_told(handler: ast.ExceptHandler) -> bool:
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise):
            return True
        if isinstance(node, ast.Name) and node.id == handler.name:
            return True
        if isinstance(node, ast.Call) and "logger." in dotted_name(node.func):
            return True
    return False


def find_print(source: Source) -> Iterator[Finding]:
    for call, name in calls(source.tree):
        if name in {"print", "sys.stdout.write", "sys.stderr.write"}:
            yield call.lineno, f"{name}() outside a cli module"


def is_silent(source: Source) -> bool:
    """Whether the module may not talk to the person at the terminal."""
    talks = source.path.stem == "cli" or source.path.stem.startswith("cli_")
    talks = talks or source.is_in("trainer.cli")
    return not talks and str(source.path) not in TALKERS


def find_endless_wait(source: Source) -> Iterator[Finding]:
    in_coroutines = {
        id(call)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.AsyncFunctionDef)
        for call, _ in calls(node)
    }
    for call, name in calls(source.tree):
        keywords = {keyword.arg for keyword in call.keywords}
        is_bare = not call.args and not keywords and id(call) not in in_coroutines
        if is_bare and "." in name and name.rpartition(".")[2] in ENDLESS_WAITS:
            yield call.lineno, f"{name}() may wait without end: give it a timeout"
        if name == "subprocess.run" and "timeout" not in keywords:
            yield call.lineno, "subprocess.run() without a timeout"


def find_nameless_thread(source: Source) -> Iterator[Finding]:
    for call, name in calls(source.tree):
        keywords = {keyword.arg for keyword in call.keywords}
        if name in {"threading.Thread", "Thread"} and "name" not in keywords:
            yield call.lineno, "a thread without a name"


def find_shown_address(source: Source) -> Iterator[Finding]:
    """Find an address of a camera, which may hold a password, in a text or a call."""
    shown = [part for node in ast.walk(source.tree) for part in _shown_parts(node)]
    for part in shown if source.is_in("edge.cameras") else [source.tree]:
        for node in ast.walk(part):
            if dotted_name(node).endswith("source.address"):
                line = getattr(node, "lineno", 1)
                yield line, "the address of a source is shown: take `redacted`"


def _shown_parts(node: ast.AST) -> list[ast.expr]:
    """Return what a node makes a text of."""
    if isinstance(node, ast.FormattedValue):
        return [node.value]
    if isinstance(node, ast.Call):
        name = dotted_name(node.func)
        if name.startswith("logger.") or name in {"str", "repr", "print"}:
            return node.args
    return []


LAWS = [
    Law(
        "rules are pure",
        find_impurity,
        bad_path="edge/rules/alert_message.py",
        bad_text="import time\nopen('x')\npath.read_text()\ndatetime.datetime.now()\n",
        applies=lambda source: source.is_in(*PURE_MODULES),
    ),
    Law(
        "video capture only under edge cameras",
        find_video_capture,
        bad_path="edge/inspection/pipeline.py",
        bad_text="import cv2\ncv2.VideoCapture(0)\nfrom cv2 import VideoCapture\n",
        applies=lambda source: not source.is_in("edge.cameras"),
    ),
    Law(
        "each library has one door",
        find_unlawful_door,
        bad_path="models/backends.py",
        bad_text="def f():\n    import openvino\n    os.system('ls')\n",
    ),
    Law(
        "no import is hidden",
        find_dynamic_import,
        bad_path="edge/daemon.py",
        bad_text="importlib.import_module('torch')\n",
        applies=lambda source: str(source.path) != "graftline.py",
    ),
    Law(
        "no work at import",
        find_work_at_import,
        bad_path="edge/daemon.py",
        bad_text="logging.basicConfig()\nfor x in y: pass\n",
    ),
    Law(
        "no global state",
        find_global_statement,
        bad_path="edge/daemon.py",
        bad_text="def f():\n    global config\n    config = 1\n",
    ),
    Law(
        "no error is swallowed",
        find_swallowed_error,
        bad_path="edge/daemon.py",
        bad_text="try:\n    f()\nexcept Exception:\n    pass\n",
    ),
    Law(
        "only cli modules print",
        find_print,
        bad_path="trainer/fit/engine.py",
        bad_text="print('epoch')\n",
        applies=is_silent,
    ),
    Law(
        "every wait has a timeout",
        find_endless_wait,
        bad_path="edge/daemon.py",
        bad_text="thread.join()\nstop.wait()\nsubprocess.run(['ls'])\n",
    ),
    Law(
        "every thread has a name",
        find_nameless_thread,
        bad_path="edge/daemon.py",
        bad_text="threading.Thread(target=f)\n",
    ),
    Law(
        "the address of a camera is not shown",
        find_shown_address,
        bad_path="edge/daemon.py",
        bad_text="logger.info('lost %s', plan.source.address)\n",
        applies=lambda source: source.is_in("edge"),
    ),
    *STYLE_LAWS,
]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_law_is_kept(law: Law) -> None:
    findings = [text for source in our_sources() for text in law.findings(source)]
    assert not findings, "\n".join(["", *findings])


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_breaking_the_law_is_found(law: Law) -> None:
    assert law.findings(Source.at(law.bad_path, law.bad_text))


@pytest.mark.parametrize(
    "text",
    [
        "import socket\n",
        "from threading import Thread\n",
        "open('x')\n",
        "path.read_text()\n",
        "datetime.now()\n",
        "datetime.date.today()\n",
    ],
)
def test_each_impurity_is_found_alone(text: str) -> None:
    assert list(find_impurity(Source.at("deploy/slots.py", text)))


def test_adapter_may_import_its_library() -> None:
    text = "import openvino\n"
    assert not list(find_unlawful_door(Source.at("models/openvino_runtime.py", text)))


def test_broad_handler_with_a_reason_that_logs_is_allowed() -> None:
    text = (
        "try:\n    f()\n"
        "except Exception:  # noqa: BLE001 - top of the camera process\n"
        "    logger.exception('camera_failed')\n"
    )
    assert not list(find_swallowed_error(Source.at("edge/daemon.py", text)))


def test_broad_handler_that_cleans_up_and_raises_again_is_allowed() -> None:
    text = "try:\n    f()\nexcept BaseException:\n    file.close()\n    raise\n"
    assert not list(find_swallowed_error(Source.at("edge/daemon.py", text)))


def test_wait_in_a_coroutine_is_allowed() -> None:
    text = "async def f():\n    await queue.get()\n"
    assert not list(find_endless_wait(Source.at("dashboard/web/api.py", text)))


def test_broad_handler_that_only_silences_the_linter_is_found() -> None:
    text = (
        "try:\n    f()\n"
        "except Exception:  # noqa: BLE001\n"
        "    logger.exception('camera_failed')\n"
    )
    assert list(find_swallowed_error(Source.at("edge/daemon.py", text)))


def test_laws_read_every_package() -> None:
    rooms = {source.path.parts[0] for source in our_sources()}
    assert rooms >= {"models", "trainer", "edge", "deploy", "dashboard", "demo"}
