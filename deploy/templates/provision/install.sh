#!/bin/sh
# Sets up a PC of the plant from this folder.
#   sudo sh install.sh --station plant/line-1/station-1 --broker 10.0.0.5
# sh install.sh --help describes the options.
set -eu
folder=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
start='import sys
sys.path.insert(0, sys.argv.pop(1))
from installer.install import main
sys.exit(main())'
version=$(sed -n 's/^  "python": "\([0-9.]*\)",$/\1/p' "$folder/manifest.json")
for python in ${version:+"python$version"} python3; do
    if command -v "$python" >/dev/null 2>&1; then
        # Isolated: only the modules of this folder and of Python are found.
        exec "$python" -I -B -c "$start" "$folder" "$@"
    fi
done
echo "error: this PC has no Python $version." >&2
echo "  Fix: install it (Debian: the package python3), or pack a wheelhouse for its" >&2
echo "  version: graftline wheelhouse --for PYTHON,PLATFORM" >&2
exit 8
