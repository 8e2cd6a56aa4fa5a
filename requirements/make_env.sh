#!/usr/bin/env bash
# Creates the environment of `make env`: every locked version, and this checkout.
#
# Usage: requirements/make_env.sh [FOLDER]      (default .venv)
#
# TORCH=cpu installs PyTorch's CPU build from PyTorch's own index, TORCH=FOLDER installs
# torch and torchvision from wheels in a folder, TORCH=cuda installs the locked build
# again. The choice is remembered in the environment.
#
# Needs only python3 >= 3.11 with its venv module. Does nothing when the folder
# already holds what the requirements ask for. Packages are installed by uv,
# which is locked by hash like everything else and is several times faster than
# pip; it is told the package index that pip is configured for. Where uv cannot
# reach it (pip knows more kinds of proxies, indexes and folders), pip does it.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:-.venv}
python=${PYTHON:-python3}
stamp=$venv/graftline-env.sha256

fail() {
    printf 'make env: %s\n' "$@" >&2
    exit 3
}

# What the environment depends on, as one line.
fingerprint() {
    cat requirements/all.txt requirements/uv.txt requirements/make_env.sh \
        pyproject.toml <(pwd) <(echo "$torch") | sha256sum | cut -d' ' -f1
}

check_torch() {
    case $torch in
    cuda | cpu) return ;;
    esac
    [ -d "$torch" ] ||
        fail "TORCH=$torch is neither cpu, cuda nor a folder with wheels." \
            "Fix: TORCH=cpu make env"
}

check_python() {
    command -v "$python" >/dev/null ||
        fail "$python is not installed." "Fix: apt install python3 python3-venv"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old, Graftline needs 3.11 or later." \
            "Fix: PYTHON=/path/to/python3.11 make env"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$python has no venv module; Debian and Ubuntu pack it separately." \
            "Fix: apt install python3-venv"
}

# One value of pip's configuration (files and variables), or nothing.
pip_setting() {
    "$venv/bin/python" -m pip config list 2>/dev/null |
        sed -n "s/^\(global\|install\|:env:\)\.$1='\(.*\)'\$/\2/p" | tail -n 1
}

# The locked requirements without PyTorch and the libraries that only its CUDA build
# loads.
requirements_without_torch() {
    awk '/^[a-z0-9]/ { keep = $0 !~ /^(torch|torchvision|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==/ }
         keep || /^#/' requirements/all.txt
}

locked_version() {
    sed -n "s/^$1==\([^ ]*\).*/\1/p" requirements/all.txt
}

# The CPU build has other hashes than the locked one, so only its version is checked.
install_torch() {
    local from=(--torch-backend cpu) gpu
    [ "$torch" = cpu ] || from=(--no-index --find-links "$torch")
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps \
        --reinstall-package torch --reinstall-package torchvision "${from[@]}" \
        "torch==$(locked_version torch)" "torchvision==$(locked_version torchvision)" ||
        fail "PyTorch's CPU build $(locked_version torch) could not be installed; the reason is above." \
            "Its wheels are on PyTorch's own index or, with TORCH=FOLDER, in a folder." \
            "Fix: allow access to that index, or give a folder with torch and torchvision," \
            "or run TORCH=cuda make env: the CUDA build also works without a GPU."
    gpu=$(sed -n 's/^\(triton\|nvidia-[a-z0-9-]*\|cuda-[a-z0-9-]*\)==.*/\1/p' \
        requirements/all.txt)
    # shellcheck disable=SC2086
    "$venv/bin/uv" pip uninstall --quiet --python "$venv/bin/python" $gpu 2>/dev/null ||
        true
    echo "$torch" >"$choice"
}

install_with_uv() {
    local index extra links cert
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes -r requirements/uv.txt || return 1
    index=$(pip_setting index-url) extra=$(pip_setting extra-index-url)
    links=$(pip_setting find-links) cert=$(pip_setting cert)
    [ -z "$index" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
    [ -z "$extra" ] || export UV_INDEX=${UV_INDEX:-$extra}
    [ -z "$links" ] || export UV_FIND_LINKS=${UV_FIND_LINKS:-${links// /,}}
    [ -z "$cert" ] || export SSL_CERT_FILE=${SSL_CERT_FILE:-$cert}
    # Hashes decide, so the same version may come from any configured index.
    export UV_INDEX_STRATEGY=unsafe-best-match UV_LINK_MODE=${UV_LINK_MODE:-hardlink}
    if [ "$torch" = cuda ]; then
        "$venv/bin/uv" pip install --python "$venv/bin/python" \
            --require-hashes -r requirements/all.txt
    else
        install_torch
        requirements_without_torch >"$venv/requirements.txt"
        "$venv/bin/uv" pip install --python "$venv/bin/python" --no-deps \
            --require-hashes -r "$venv/requirements.txt"
    fi
}

install_with_pip() {
    [ "$torch" = cuda ] ||
        fail "uv could not install the packages; its message is above." \
            "Fix: check the network or pip's index, then: TORCH=$torch make env"
    echo "make env: uv could not install the packages; pip tries (slower)." >&2
    "$venv/bin/python" -m pip install --disable-pip-version-check \
        --require-hashes -r requirements/all.txt ||
        fail "the packages could not be installed; pip's message is above." \
            "Fix: check the network or pip's index, then: make env"
}

# Where Python may not write bytecode (PYTHONDONTWRITEBYTECODE), each start of
# torch would cost ten seconds instead of two; uv leaves that to the first start.
compile_bytecode() {
    echo "make env: compiling" >&2
    "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null 2>&1 ||
        true # some packages carry templates that are no Python
}

choice=$venv/graftline-torch
torch=${TORCH:-$(cat "$choice" 2>/dev/null || echo cuda)}
check_torch
wanted=$(fingerprint)
if [ -x "$venv/bin/graftline" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
check_python
rm -f "$stamp" # an interrupted installation must not look whole
"$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
    "$python" -m venv --clear "$venv"
install_with_uv || install_with_pip
compile_bytecode
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index \
    --no-deps --no-build-isolation --editable .
echo "$torch" >"$choice"
echo "$wanted" >"$stamp"
echo "make env: ready in $venv; try: $venv/bin/graftline --help"
