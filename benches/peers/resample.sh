#!/usr/bin/env bash
# Sets up what `resample.py` needs, in one folder that may be kept, and runs it. $1: that folder, then `resample.py`'s
# options.
set -euo pipefail
source "$(dirname "$(realpath "$0")")/setup.sh"
mkdir -p "$1"
work=$(realpath "$1")
shift
packages -r "$here/resample-requirements.txt"
build --bench resample
exec "$work/venv/bin/python" "$here/resample.py" --bench "$(program resample)" --data "$work/data" "$@"
