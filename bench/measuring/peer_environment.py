"""A Python environment for a peer that is measured and is no dependency.

It imports the libraries of this environment (torch, OpenCV, pycocotools), so that both
run on the same versions; the other requirements of the peer are installed into a folder
of the bench.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PEER = "pixeltable-yolox==0.4.3"
# What its trainer imports and is missing here; the rest of its requirements is for
# export. "thop" requires another torch: it is installed without its requirements.
NEEDS = ("loguru", "tensorboard", "tqdm")
WITHOUT_REQUIREMENTS = (PEER, "thop==0.1.1.post2209072238")
READY = "ready"
LIMIT_S = 1800.0


def peer_python(folder: Path) -> Path:
    """Return the Python of the peer's environment, made where it is missing."""
    python = folder.resolve() / "bin" / "python"
    if (folder / READY).exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)  # left by an interrupted installation
    _run(sys.executable, "-m", "venv", folder)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = folder / "lib" / version / "site-packages"
    ours = sysconfig.get_paths()["purelib"]
    (site / "same-runtime.pth").write_text(f"{ours}\n", "utf-8")
    pip = (python, "-m", "pip", "install", "--quiet")
    _run(*pip, *NEEDS)
    _run(*pip, "--no-deps", *WITHOUT_REQUIREMENTS)
    (folder / READY).touch()
    return python


def _run(*arguments: object) -> None:
    subprocess.run([str(word) for word in arguments], check=True, timeout=LIMIT_S)
