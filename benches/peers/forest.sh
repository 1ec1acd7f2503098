#!/usr/bin/env bash
# Sets up what `forest.py` needs, in one folder that may be kept, and runs it. $1: that folder, $2: creditcard.csv.zst or
# `-`, then `forest.py`'s options.
set -euo pipefail
source "$(dirname "$(realpath "$0")")/setup.sh"
mkdir -p "$1"
work=$(realpath "$1") options=()
if [ "$2" != - ]; then options=(--creditcard "$(realpath "$2")"); fi
shift 2
# LightGBM's wheel brings no OpenMP.
ldconfig -p | grep -q libgomp.so.1 || { apt-get update -qq; apt-get install -y -qq libgomp1 >/dev/null; }
packages -r "$here/forest-requirements.txt"
build --bench forest
exec "$work/venv/bin/python" "$here/forest.py" --fraudml "$(program fraudml)" --bench "$(program forest)" --data "$work/data" "${options[@]}" "$@"
