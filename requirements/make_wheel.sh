#!/usr/bin/env bash
# Writes dist/: the wheel, its locked packages, and the installer of a PC of the plant.
#
# Usage: requirements/make_wheel.sh [FOLDER]      (default dist)
#
# Needs python3 >= 3.11 with its venv module, and setuptools, which comes into an
# environment of its own (build/wheel-env): PyTorch is not needed to build a wheel.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/wheel-env
python=${PYTHON:-python3}
stamp=$venv/requirements.sha256
wanted=$(sha256sum <requirements/wheel.txt)

if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    "$python" -m venv --clear "$venv" || {
        echo "make wheel: no environment could be made. Fix: apt install python3-venv" >&2
        exit 3
    }
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes -r requirements/wheel.txt || {
        echo "make wheel: setuptools could not be installed; pip's message is above." >&2
        echo "Fix: check the network or pip's index, then: make wheel" >&2
        exit 3
    }
    echo "$wanted" >"$stamp"
fi
# Left by an older version, which wrote no manifest.
[ -e "${1:-dist}/manifest.json" ] || rm -f "${1:-dist}"/graftline-*.whl
"$venv/bin/python" -m deploy.provision.installer_folder "${1:-dist}"
