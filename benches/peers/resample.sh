#!/usr/bin/env bash
# Sets up what `resample.py` needs, in one folder that may be kept, and runs it. $1: that folder, then `resample.py`'s
# options.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
mkdir -p "$1"
work=$(realpath "$1")
shift
if ! [ -x "$work/venv/bin/pip" ]; then
  python3 -m venv "$work/venv" 2>/dev/null || { apt-get update -qq; apt-get install -y -qq python3-venv >/dev/null; python3 -m venv "$work/venv"; }
fi
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/resample-requirements.txt"
cd "$here/../.."
cargo bench --locked --features bench --bench resample --no-run --message-format json-render-diagnostics > "$work/cargo.json"
bench=$("$work/venv/bin/python" - "$work/cargo.json" <<'P'
import json, sys
lines = map(json.loads, open(sys.argv[1]))
(path,) = [line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == "resample"]
print(path)
P
)
exec "$work/venv/bin/python" "$here/resample.py" --bench "$bench" --data "$work/data" "$@"
