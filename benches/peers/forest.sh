#!/usr/bin/env bash
# Sets up what `forest.py` needs, in one folder that may be kept, and runs it. $1: that folder, $2: creditcard.csv.zst or
# `-`, then `forest.py`'s options. Builds the bench, and the tool with it, beside what cargo built before.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
mkdir -p "$1"
work=$(realpath "$1") options=()
if [ "$2" != - ]; then options=(--creditcard "$(realpath "$2")"); fi
shift 2
if ! [ -x "$work/venv/bin/pip" ]; then
  python3 -m venv "$work/venv" 2>/dev/null || { apt-get update -qq; apt-get install -y -qq python3-venv >/dev/null; python3 -m venv "$work/venv"; }
fi
# LightGBM's wheel brings no OpenMP.
ldconfig -p | grep -q libgomp.so.1 || { apt-get update -qq; apt-get install -y -qq libgomp1 >/dev/null; }
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/forest-requirements.txt"
cd "$here/../.."
# cargo says where the bench and the tool lie.
cargo bench --locked --features bench --bench forest --no-run --message-format json-render-diagnostics > "$work/cargo.json"
program() { # name
  "$work/venv/bin/python" - "$1" "$work/cargo.json" <<'P'
import json, sys
lines = map(json.loads, open(sys.argv[2]))
(path,) = [line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == sys.argv[1]]
print(path)
P
}
exec "$work/venv/bin/python" "$here/forest.py" --fraudml "$(program fraudml)" --bench "$(program forest)" --data "$work/data" "${options[@]}" "$@"
