#!/usr/bin/env bash
# What a plan expects of a cell's memory against the peak of a process that makes it: within a quarter, for three shapes of
# work (columns alone, an enlarged matrix beside the one it is made of, one matrix): `tests/memory.sh FRAUDML WORK_FOLDER`.
set -euo pipefail
fraudml=$(realpath "$1")
rm -rf "$2" && mkdir -p "$2" && cd "$2"
"$fraudml" synth --rows 100000 --seed 42 --out data --quiet
shape() { # name, case, model
  cat > "$1.yaml" <<YAML
name: $1
data:
  tables: [ { path: data/train_transaction.csv }, { path: data/train_identity.csv, join: { on: TransactionID, how: left } } ]
  target: isFraud
  id: TransactionID
  time: TransactionDT
split: { folds: 2, protocols: [random] }
imbalance: [ $2 ]
models: { $3 }
YAML
  "$fraudml" plan --config "$1.yaml" --quiet --no-progress
}
shape columns raw 'random-forest: { trees: 10 }'
shape enlarged 'smote-tomek: { target_share: 0.4 }' 'random-forest: { trees: 10 }'
shape matrix raw 'mlp: { hidden: [64], epochs: 1 }'
python3 - "$fraudml" <<'PYTHON'
import json, os, pathlib, subprocess, sys

wrong = 0
for plan in sorted(pathlib.Path("experiments").glob("*/plan.json")):
    cells = json.loads(plan.read_text())["cells"]
    at, cell = next((at, cell) for at, cell in enumerate(cells) if cell["part"] == "final" and cell["model"] != "logistic")
    shard = ["--run", str(plan.parent), "--shard", f"{at}/{len(cells)}"]
    started = subprocess.Popen([sys.argv[1], "--quiet", "--no-progress", "--threads", "2", "cell", *shard])
    _, status, used = os.wait4(started.pid, 0)
    ratio = used.ru_maxrss * 1024 / cell["memory_bytes"]
    sound = status == 0 and 0.75 <= ratio <= 1.25
    wrong += not sound
    print(f"{'ok     ' if sound else 'MISSED '} {cell['case']}, {cell['model']}: {cell['memory_bytes'] / 1e6:.0f} MB expected, the peak is {ratio:.2f} of it")
sys.exit(min(wrong, 1))
PYTHON
