#!/usr/bin/env bash
# A training that is killed at a random moment (kill -9) and started again ends with the bytes of one that was left alone,
# and no finished cell is made twice: `tests/kills.sh FRAUDML WORK_FOLDER [KILLS [ROWS]]`. ROWS sets how long the grid takes:
# 2000 some seconds, 12000 about twenty on two cores. Moments come from a fixed seed, but machines differ.
set -euo pipefail
fraudml=$(realpath "$1") kills=${3:-10} rows=${4:-2000}
mkdir -p "$2" && cd "$2"
"$fraudml" synth --rows "$rows" --seed 5 --out data --quiet
config="name: kills
data:
  tables: [ { path: data/train_transaction.csv }, { path: data/train_identity.csv, join: { on: TransactionID, how: left } } ]
  target: isFraud
  id: TransactionID
  time: TransactionDT
split: { folds: 2 }
imbalance: [ raw, oversample: { target_share: 0.4 }, smote-tomek: { target_share: 0.4 } ]
models:
  random-forest: { trees: 20 }
  extra-trees: { trees: 20 }
  mlp: { hidden: [32], epochs: 4 }
importance: { permutation: true, rows: 500, repeats: 1 }
"
begin() { rm -rf "$1"; mkdir "$1"; ln -s ../data "$1/data"; printf '%s' "$config" > "$1/c.yaml"; }
train() { cd "$1" && exec "$fraudml" train --config c.yaml --quiet > /dev/null; }
# All that must be equal: not times, threads and what the machine is. A file half-written would be told by its name.
lasting() { (cd "$1" && find -L . -type f ! -name run.json ! -name timings.jsonl ! -name times.csv ! -path './data/*' -print0 | sort -z | xargs -0 sha256sum); }
cells() { (cd "$1/experiments/cells" 2>/dev/null && stat --format '%n %i' -- */cell.json 2>/dev/null) || true; }

begin undisturbed
started=$(date +%s%N)
(train undisturbed)
takes=$((($(date +%s%N) - started) / 1000000))
lasting undisturbed > expected.txt
echo "undisturbed: ${takes} ms, $(cells undisturbed | wc -l) cells, $(wc -l < expected.txt) files"
RANDOM=20
for nth in $(seq "$kills"); do
  begin disturbed
  # The shell becomes the program, so that it is what dies.
  train disturbed &
  child=$!
  sleep "$(awk -v r="$RANDOM" -v t="$takes" 'BEGIN { print r / 32768 * t / 1000 }')"
  kill -9 "$child" 2>/dev/null || true
  wait "$child" 2>/dev/null || true
  cells disturbed > finished.txt
  (train disturbed)
  if ! lasting disturbed | diff expected.txt - > differences.txt; then
    echo "kill $nth: other bytes than undisturbed"; head -5 differences.txt; exit 1
  fi
  if ! cells disturbed | diff finished.txt - | grep -q '^<'; then :; else
    echo "kill $nth: a finished cell was made again"; exit 1
  fi
  echo "kill $nth after $(wc -l < finished.txt) cells: the same bytes"
done
echo "$kills kills, $kills times the same bytes"
