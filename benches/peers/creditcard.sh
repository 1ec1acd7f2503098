#!/usr/bin/env bash
# Sets up what `creditcard.py` needs and runs it. $1: the fraudml binary, $2: creditcard.csv.zst, $3: a work folder.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
fraudml=$(realpath "$1") packed=$(realpath "$2")
mkdir -p "$3"
python3 -m venv "$3/venv" 2>/dev/null || { apt-get update -qq; apt-get install -y -qq python3-venv >/dev/null; python3 -m venv "$3/venv"; }
"$3/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
"$3/venv/bin/python" - "$packed" "$3/creditcard.csv" <<'P'
import sys, zstandard
with open(sys.argv[1], "rb") as packed, open(sys.argv[2], "wb") as plain:
    zstandard.ZstdDecompressor().copy_stream(packed, plain)
P
"$3/venv/bin/python" "$here/creditcard.py" "$fraudml" "$3/creditcard.csv" "$3/runs"
