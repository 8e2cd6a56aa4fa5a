"""Laws against kinds of faults that a security review found: CWE numbers beside each.

A file that somebody else may have written is read by ``models.files`` with a limit, and
what is written replaces links instead of following them. Places that do otherwise are
listed with the reason.
"""

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

# Where a whole file may be read without a limit, and why.
OWN_FILES = {
    "models/files.py": "the bounded reader itself",
    "models/machine.py": "/proc/cpuinfo, written by the kernel",
    "edge/monitoring/thermal.py": "/sys, written by the kernel",
    "trainer/fit/memory.py": "/proc and /sys, written by the kernel",
    "trainer/fit/provenance.py": "the .git of this program's own checkout",
    "trainer/report/markup.py": "templates of this program",
    "trainer/ship/licences.py": "templates of this program",
    "deploy/service.py": "templates of this program",
    "deploy/templates/provision/installer/environment.py": "verified by their hashes",
    "deploy/templates/provision/installer/files.py": "a lock, never read",
    "deploy/templates/provision/installer/services.py": "files of root, on a line PC",
    "deploy/provision/wheelhouse.py": "copies, verified by their hashes",
    "deploy/broker/config_files.py": "templates, and files that it wrote",
    "trainer/data/synthetic/line_folder.py": "the marker of a folder that it replaces",
    "trainer/detectors/download.py": "a download that is verified by its hash",
    "trainer/detectors/zoo.py": "sidecars of the weights that are shipped",
    "trainer/data/archive.py": "members of a zip, each with a limit of its own",
    "demo": "its own files, in a folder that it made",
    "pretraining": "not installed",
    # Read in parts, or a few bytes.
    "trainer/detectors/weights.py": "the first bytes",
    "trainer/data/synthetic/line_writer.py": "a video that it wrote",
    "edge/delivery/outbox/database.py": "the first bytes",
    "edge/inspection/known_defects.py": "in parts, for a hash",
    "edge/doctor/disk_check.py": "a lock, never read",
    "deploy/store.py": "copied in parts",
}
READS_ALL = {"read_bytes", "read_text", "readlines"}
FILE_OPENERS = {"open", "io.open", "os.fdopen"}

# Where a file may be written past ``models.files``, and why.
OWN_WRITES = {
    "models/files.py": "the safe writer itself",
    "models/schemas.py": "`make schemas`, in this program's own checkout",
    "trainer/detectors/download.py": "a part that is continued, in its own cache",
    "trainer/data/archive.py": "an unpacked zip, in a new folder of its own",
    "deploy/links.py": "a lock, never written",
    "deploy/templates/provision/installer/files.py": "runs alone, with a safe writer",
    "demo": "its own files, in a folder that it made",
    "pretraining": "not installed",
    "deploy/selftest/process.py": "/proc of its own child",
    # Into a folder that `replaced_folder` has just made.
    "trainer/data/synthetic/line_folder.py": "a new folder",
    "trainer/data/synthetic/line_writer.py": "a new folder",
    "trainer/ship/golden_frames.py": "a new folder",
    "trainer/ship/pack.py": "a new folder",
}
WRITES_ALL = {"write_text", "write_bytes"}

SOURCE_NAMES = {"source", "url", "camera_url"}  # an address may hold a password
NEVER_CALLED = {
    "eval": "CWE-95: runs text as a program",
    "exec": "CWE-95: runs text as a program",
    "compile": "CWE-95: runs text as a program",
    "yaml.load": "CWE-502: makes any object; use yaml.safe_load",
    "yaml.unsafe_load": "CWE-502: makes any object; use yaml.safe_load",
    "yaml.full_load": "CWE-502: makes more than plain values; use yaml.safe_load",
    "pickle.load": "CWE-502: runs what the file names",
    "pickle.loads": "CWE-502: runs what the file names",
    "marshal.loads": "CWE-502: makes code of bytes",
    "shelve.open": "CWE-502: holds pickles",
    "tempfile.mktemp": "CWE-377: another user may take the name",
    "os.system": "CWE-78: a shell",
    "os.popen": "CWE-78: a shell",
}
PICKLES = {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}


def is_listed(source: Source, allowed: dict[str, str]) -> bool:
    path = str(source.path)
    return any(path == entry or path.startswith(f"{entry}/") for entry in allowed)


def find_unbounded_read(source: Source) -> Iterator[Finding]:
    for call, name in calls(source.tree):
        method = name.rpartition(".")[2]
        if "." in name and method in READS_ALL:
            yield call.lineno, f"{name}() has no limit: use models.files.read_regular"
        if name in {"file.read", "?.read"} and not call.args:
            yield call.lineno, f"{name}() has no limit: use models.files.read_regular"
        if _mode(call, name).startswith("r") and _opens(name):
            yield call.lineno, f"{name}() may wait for a pipe: use models.files"


def find_raw_write(source: Source) -> Iterator[Finding]:
    for call, name in calls(source.tree):
        if "." in name and name.rpartition(".")[2] in WRITES_ALL:
            yield call.lineno, f"{name}() follows a link: use models.files"
        if _opens(name) and set(_mode(call, name)) & set("wax+"):
            yield call.lineno, f"{name}() follows a link: use models.files.open_new"


def _opens(name: str) -> bool:
    """Whether it opens a file of the disk, as far as the name shows."""
    owner, _, method = name.rpartition(".")
    return name in FILE_OPENERS or (method == "open" and "path" in owner.lower())


def _mode(call: ast.Call, name: str) -> str:
    """Return the mode of an ``open``; ``r`` where it has none."""
    place = 1 if name in FILE_OPENERS else 0
    given = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    given += call.args[place : place + 1]
    value = given[0] if given else None
    return str(value.value) if isinstance(value, ast.Constant) else "r"


def find_shown_source(source: Source) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        shown: list[ast.expr] = []
        if isinstance(node, ast.FormattedValue):
            shown = [node.value]
        elif isinstance(node, ast.Call) and _prints(dotted_name(node.func)):
            shown = node.args
        for value in shown:
            name = dotted_name(value)
            if name.rpartition(".")[2] in SOURCE_NAMES and _is_of_camera(source, name):
                yield value.lineno, f"{name} may hold a password: show it redacted"


def _prints(name: str) -> bool:
    method = name.rpartition(".")[2]
    levels = {"debug", "info", "warning", "error", "exception"}
    return name == "print" or ("logger" in name and method in levels)


def _is_of_camera(source: Source, name: str) -> bool:
    """Whether it is an address: elsewhere a source is a file of labels."""
    return (
        source.is_in("edge.cameras", "edge.config", "edge.doctor") or "camera" in name
    )


def find_dangerous_call(source: Source) -> Iterator[Finding]:
    for call, name in calls(source.tree):
        if name in NEVER_CALLED:
            yield call.lineno, f"{name}() is never called: {NEVER_CALLED[name]}"
        values = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
        if values.get("shell", False) is not False:
            yield call.lineno, "shell=True: CWE-78"
        if values.get("allow_pickle", False) is not False:
            yield call.lineno, "allow_pickle=True: CWE-502"
        if name == "torch.load" and values.get("weights_only") is not True:
            yield call.lineno, "torch.load() without weights_only=True: CWE-502"


def find_pickle(source: Source) -> Iterator[Finding]:
    for line, module in imported_modules(source.tree):
        if module.partition(".")[0] in PICKLES:
            yield line, f"{module} runs what a file names: CWE-502"


LAWS = [
    Law(
        "foreign files are read with a limit",
        find_unbounded_read,
        bad_path="trainer/data/formats/json_file.py",
        bad_text="content = path.read_bytes()\n",
        applies=lambda source: not is_listed(source, OWN_FILES),
    ),
    Law(
        "nothing is written through a link",
        find_raw_write,
        bad_path="trainer/report/page.py",
        bad_text="path.write_text('x')\n",
        applies=lambda source: not is_listed(source, OWN_WRITES),
    ),
    Law(
        "no address of a camera is shown",
        find_shown_source,
        bad_path="edge/cameras/supervisor.py",
        bad_text="logger.warning('lost %s', self.settings.source)\n",
    ),
    Law(
        "nothing that was read is run",
        find_dangerous_call,
        bad_path="trainer/run.py",
        bad_text="yaml.load(text)\n",
    ),
    Law(
        "no pickle is read",
        find_pickle,
        bad_path="trainer/fit/checkpoint.py",
        bad_text="import pickle\n",
        # Only the name of the error that torch.load raises.
        applies=lambda source: str(source.path) != "trainer/detectors/weights.py",
    ),
]


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_law_is_kept(law: Law) -> None:
    findings = [text for source in our_sources() for text in law.findings(source)]
    assert not findings, "\n".join(["", *findings])


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_breaking_the_law_is_found(law: Law) -> None:
    assert law.findings(Source.at(law.bad_path, law.bad_text))


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (0, "path.read_text('utf-8')\n"),
        (0, "with open(path) as file:\n    pass\n"),
        (0, "with path.open('rb') as file:\n    pass\n"),
        (0, "file.read()\n"),
        (1, "path.write_bytes(b'')\n"),
        (1, "open(path, 'w')\n"),
        (1, "open(path, mode='ab')\n"),
        (1, "path.open('r+')\n"),
        (2, "f'{source} is lost'\n"),
        (2, "print(camera.source)\n"),
        (2, "f'{settings.camera_url!r}'\n"),
        (3, "eval(text)\n"),
        (3, "subprocess.run(text, shell=True)\n"),
        (3, "subprocess.run(text, shell=is_shell)\n"),
        (4, "import pickle\n"),
        (4, "from joblib import load\n"),
        (3, "np.load(path, allow_pickle=True)\n"),
        (3, "torch.load(path)\n"),
        (3, "torch.load(path, weights_only=False)\n"),
        (3, "yaml.unsafe_load(text)\n"),
    ],
)
def test_each_breach_is_found_alone(law: int, text: str) -> None:
    assert LAWS[law].findings(Source.at("edge/cameras/other.py", text))


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (0, "read_regular(path, 10)\n"),
        (0, "capture.read()\n"),
        (0, "file.read(4096)\n"),
        (1, "write_atomically(path, b'')\n"),
        (1, "path.open('rb')\n"),
        (2, "f'{source.redacted} is lost'\n"),
        (3, "torch.load(path, weights_only=True)\n"),
        (3, "re.compile(text)\n"),
        (3, "subprocess.run(['ls'], shell=False)\n"),
    ],
)
def test_what_is_safe_is_no_breach(law: int, text: str) -> None:
    assert not LAWS[law].findings(Source.at("edge/cameras/other.py", text))


@pytest.mark.parametrize("entry", sorted({*OWN_FILES, *OWN_WRITES}))
def test_every_exception_is_a_place_of_this_program(entry: str) -> None:
    assert any(
        str(source.path) == entry or str(source.path).startswith(f"{entry}/")
        for source in our_sources()
    )
