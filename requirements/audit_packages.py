"""Look up the known weaknesses of every locked package: ``make audit-packages``.

pip-audit reads the locked files and asks the database of PyPI, or that of OSV with
``SERVICE=osv``. It ends with 0 where the database has no answer for any package, so
this script reads its list: a package that was not looked up is a failure.

Exit codes: 0 no known weakness, 1 at least one, 3 not everything was looked up.

Source: https://github.com/pypa/pip-audit (JSON format of its output).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
LOOK_UP_TIMEOUT_S = 600
NAMES_SHOWN = 5
WEAK, NOT_LOOKED_UP = 1, 3


def verdict(document: dict[str, Any]) -> tuple[int, list[str]]:
    """Return the exit code for one file, and what to print.

    Args:
        document: What pip-audit prints for one file with ``--format json``.
    """
    packages = document["dependencies"]
    weak = [package for package in packages if package.get("vulns")]
    skipped = [package for package in packages if "skip_reason" in package]
    lines = [
        f"{package['name']} {package['version']}: {entry['id']}, fixed in "
        f"{', '.join(entry['fix_versions']) or 'no version'}"
        for package in weak
        for entry in package["vulns"]
    ]
    if skipped or not packages:
        names = ", ".join(package["name"] for package in skipped[:NAMES_SHOWN])
        more = ", ..." if len(skipped) > NAMES_SHOWN else ""
        lines.append(
            f"{len(skipped)} of {len(packages)} packages were not looked up: "
            f"{names or 'the file has none'}{more}"
        )
        if skipped:
            lines.append(f"Reason for the first: {skipped[0]['skip_reason']}")
    elif not weak:
        lines.append(f"{len(packages)} packages, no known weakness")
    if weak:
        return WEAK, lines
    return (NOT_LOOKED_UP if skipped or not packages else 0), lines


def look_up(file: Path, service: str) -> tuple[int, list[str]]:
    """Return the exit code for a locked file, and what to print."""
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service]
    command += ["--disable-pip", "--require-hashes", "--requirement", str(file)]
    command += ["--progress-spinner", "off", "--format", "json"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LOOK_UP_TIMEOUT_S
    )
    try:
        return verdict(json.loads(result.stdout))
    except (ValueError, KeyError):
        last = (result.stderr.strip() or "no output").splitlines()[-1]
        return NOT_LOOKED_UP, [f"pip-audit gave no list. Its last line: {last}"]


def main() -> int:
    """Look up every locked file, print the results and return the exit code."""
    service = os.environ.get("SERVICE") or "pypi"
    codes = set()
    for file in sorted(FOLDER.glob("*.txt")):
        code, lines = look_up(file, service)
        codes.add(code)
        print("\n".join(f"{file.name}: {line}" for line in lines), flush=True)
    if NOT_LOOKED_UP in codes:
        print(
            f"make audit-packages: the database '{service}' did not answer for every "
            "package, so nothing is known of those. Fix: allow access to it, or "
            "SERVICE=osv make audit-packages",
            file=sys.stderr,
        )
    return WEAK if WEAK in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
