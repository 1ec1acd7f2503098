#!/usr/bin/env bash
# The action beside the paper's way of serving: serve.sh FRAUDML CREDITCARD.csv.zst WORK_FOLDER [options of serve.py]
set -euo pipefail
. "$(dirname "$0")/setup.sh"
fraudml=$1 data=$2 work=$3; shift 3
mkdir -p "$work"
packages -r "$here/serve-requirements.txt"
"$work/venv/bin/python" "$here/serve.py" "$fraudml" "$data" "$@"
