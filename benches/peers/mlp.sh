#!/usr/bin/env bash
# Sets up what `mlp.py` needs, in one folder that may be kept, and runs it. $1: that folder, $2: creditcard.csv.zst or
# `-`, then `mlp.py`'s options.
set -euo pipefail
source "$(dirname "$(realpath "$0")")/setup.sh"
mkdir -p "$1"
work=$(realpath "$1") options=()
if [ "$2" != - ]; then options=(--creditcard "$(realpath "$2")"); fi
shift 2
packages -r "$here/mlp-requirements.txt"
# PyPI's wheel brings 3 GB of CUDA.
if [[ " $* " != *" --libraries fraudml,flex "* ]]; then packages torch==2.15.0; fi
build --bench forest --bench mlp
exec "$work/venv/bin/python" "$here/mlp.py" --fraudml "$(program fraudml)" --bench "$(program mlp)" --prepare "$(program forest)" --data "$work/data" "${options[@]}" "$@"
