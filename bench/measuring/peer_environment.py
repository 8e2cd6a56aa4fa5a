"""A Python of its own for a peer that is measured and never depended on.

It sees our libraries (torch, OpenCV, pycocotools), so that both run on the same
versions; what the peer needs besides lies in a folder of the bench.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PEER = "pixeltable-yolox==0.4.3"
# What its trainer imports and we do not have; the rest of its requirements serves
# export. "thop" asks for a torch of its own: it is installed without its requirements.
NEEDS = ("loguru", "tensorboard", "tqdm")
ALONE = (PEER, "thop==0.1.1.post2209072238")
READY = "ready"
LIMIT_S = 1800.0


def peer_python(folder: Path) -> Path:
    """Return the Python that has the peer; made where it is missing.

    Args:
        folder: Of the environment.
    """
    python = folder.resolve() / "bin" / "python"
    if (folder / READY).exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)  # half made
    _run(sys.executable, "-m", "venv", folder)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = folder / "lib" / version / "site-packages"
    ours = sysconfig.get_paths()["purelib"]
    (site / "same-runtime.pth").write_text(f"{ours}\n", "utf-8")
    pip = (python, "-m", "pip", "install", "--quiet")
    _run(*pip, *NEEDS)
    _run(*pip, "--no-deps", *ALONE)
    (folder / READY).touch()
    return python


def _run(*words: object) -> None:
    """Run one program to its end."""
    subprocess.run([str(word) for word in words], check=True, timeout=LIMIT_S)
