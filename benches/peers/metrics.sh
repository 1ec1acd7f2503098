#!/usr/bin/env bash
# Sets up what `metrics.py` needs, in one folder that may be kept, and runs it. $1: that folder, then `metrics.py`'s options.
set -euo pipefail
source "$(dirname "$(realpath "$0")")/setup.sh"
mkdir -p "$1"
work=$(realpath "$1")
shift
packages -r "$here/metrics-requirements.txt"
build --bench evaluate
exec "$work/venv/bin/python" "$here/metrics.py" --bench "$(program evaluate)" "$@"
