#!/usr/bin/env bash
# Sets up what `mlp.py` needs, in one folder that may be kept, and runs it. $1: that folder, $2: creditcard.csv.zst or
# `-`, then `mlp.py`'s options. Builds the bench, and the tool with it, beside what cargo built before.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
mkdir -p "$1"
work=$(realpath "$1") options=()
if [ "$2" != - ]; then options=(--creditcard "$(realpath "$2")"); fi
shift 2
if ! [ -x "$work/venv/bin/pip" ]; then
  python3 -m venv "$work/venv" 2>/dev/null || { apt-get update -qq; apt-get install -y -qq python3-venv >/dev/null; python3 -m venv "$work/venv"; }
fi
pip() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
pip -r "$here/mlp-requirements.txt"
# For processors alone where PyTorch's own index can be reached; PyPI's wheel brings 3 GB of CUDA.
if [[ " $* " != *" --libraries fraudml,flex "* ]] && ! "$work/venv/bin/python" -c "import torch" 2>/dev/null; then
  pip --retries 0 --index-url https://download.pytorch.org/whl/cpu torch==2.15.0 2>/dev/null || pip torch==2.15.0
fi
cd "$here/../.."
# cargo says where the bench and the tool lie.
cargo bench --locked --features bench --bench forest --bench mlp --no-run --message-format json-render-diagnostics > "$work/cargo.json"
program() { # name
  "$work/venv/bin/python" - "$1" "$work/cargo.json" <<'P'
import json, sys
lines = map(json.loads, open(sys.argv[2]))
(path,) = [line["executable"] for line in lines if line.get("executable") and line["target"]["name"] == sys.argv[1]]
print(path)
P
}
exec "$work/venv/bin/python" "$here/mlp.py" --fraudml "$(program fraudml)" --bench "$(program mlp)" --prepare "$(program forest)" --data "$work/data" "${options[@]}" "$@"
