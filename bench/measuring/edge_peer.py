"""A peer's own OpenVINO loop over the same JPEG files, in an environment of its own.

Ultralytics is AGPL: it is installed for this measurement only, into a folder of the
bench, and is no dependency. OpenVINO, OpenCV and torch are those of this environment,
so that both run on the same versions. Without the Internet its weights may not be
available; then its network is built from its description, with random weights, which
have the same speed and nothing to suppress afterwards.
"""

import json
import statistics
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from measuring.edge_daemon import Daemon
from measuring.edge_model import link_photos

PEER = "ultralytics"
# its requirements besides the libraries that both share (OpenVINO, OpenCV, torch)
NEEDS = ("matplotlib", "pillow", "pyyaml", "requests", "scipy", "psutil", "polars")
PICTURES = 150
PAIRS = 3
LIMIT_S = 1800.0
EXPORT = """
from pathlib import Path
from ultralytics import YOLO
weights = "yolo11n.pt" if Path("yolo11n.pt").exists() else "yolo11n.yaml"
YOLO(weights).export(format="openvino", imgsz=640)
Path("weights.txt").write_text(weights)
"""
PREDICT = """
import json, sys, time
from pathlib import Path
from ultralytics import YOLO, __version__
model = YOLO("yolo11n_openvino_model", task="detect")
files = sorted(map(str, Path(sys.argv[1]).iterdir()))
for path in files[:5]:
    model.predict(path, imgsz=640, verbose=False)
started_s = time.perf_counter()
for path in files:
    model.predict(path, imgsz=640, verbose=False)
fps = len(files) / (time.perf_counter() - started_s)
print(json.dumps({"fps": fps, "version": __version__}))
"""


def measure_peer(out: Path, slot: Path, photos: Path) -> dict[str, Any]:
    """Time the peer's predict loop and the real daemon on the same files, in pairs.

    Args:
        photos: Folder with JPEG files of 640 x 640.
    """
    folder = out / "peer"
    python = _environment(folder)
    files = link_photos(photos, out / "peer-photos", PICTURES).resolve()
    pairs = []
    for _ in range(PAIRS):
        peer = json.loads(_run(folder, python, "-c", PREDICT, files).splitlines()[-1])
        daemon = Daemon(out / "peer-daemon", slot, [(f"folder:{files}", "")])
        ours = float(daemon.figures()["cameras"]["c0"]["fps"])
        pairs.append({"peer_fps": peer["fps"], "daemon_fps": ours})
    return {
        "peer": f"{PEER} {peer['version']}, yolo11n, OpenVINO, predict()",
        "peer_weights": (folder / "weights.txt").read_text("utf-8"),
        "pairs": pairs,
        "ratio": statistics.median(p["daemon_fps"] / p["peer_fps"] for p in pairs),
    }


def _environment(folder: Path) -> Path:
    python = folder.resolve() / "venv" / "bin" / "python"
    if not (folder / "weights.txt").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run(folder, Path(sys.executable), "-m", "venv", "venv")
        shared = folder / "venv" / "lib" / f"python{sys.version_info[0]}."
        site = Path(f"{shared}{sys.version_info[1]}") / "site-packages"
        ours = sysconfig.get_paths()["purelib"]
        (site / "same-runtime.pth").write_text(f"{ours}\n", "utf-8")
        pip = ("-m", "pip", "install", "--quiet")
        _run(folder, python, *pip, *NEEDS)
        _run(folder, python, *pip, "--no-deps", PEER, f"{PEER}-thop")
        _run(folder, python, "-c", EXPORT)
    return python


def _run(folder: Path, python: Path, *arguments: object) -> str:
    command = [str(python), *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LIMIT_S,
    )
    return done.stdout
