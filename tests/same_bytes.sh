#!/usr/bin/env bash
# The grid with one thread and with two: same bundle id, same cells, same image. $1: the binary, $2: a work folder.
# Prints `N passed, N failed`.
set -euo pipefail
fraudml=$(realpath "$1")
mkdir -p "$2" && cd "$2"
passed=0 failed=0
same() { # what, folder, folder
  if diff -r -x run.json -x config.yaml -x timings.jsonl -x times.csv "$2" "$3"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "failed: $1 differ"; fi
}
"$fraudml" synth --rows 4000 --seed 7 --out data --quiet
cat > grid.yaml <<'Y'
name: threads
data:
  tables:
    - path: data/train_transaction.csv
    - path: data/train_identity.csv
      join: { on: TransactionID, how: left }
  target: isFraud
  id: TransactionID
  time: TransactionDT
split: { folds: 2 }
models:
  random-forest: { trees: 20 }
  extra-trees: { trees: 20 }
  mlp: { epochs: 2 }
Y
run() { # folder, flags..
  local folder=$1; shift
  "$fraudml" train --config grid.yaml --no-progress --quiet "$@" --set output.experiments="$folder/experiments" \
    --set output.reports="$folder/reports" --set output.artifacts="$folder/artifacts" >/dev/null
  "$fraudml" package --bundle "$folder"/artifacts/* --quiet
}
run one --threads 1
run two --threads 2
same "cells and leaderboard for 1 and 2 threads" one/experiments two/experiments
same "bundle and image for 1 and 2 threads" one/artifacts two/artifacts
same "reports for 1 and 2 threads" one/reports two/reports
# Whoever wins above, the network's own bundle, with all that its step knows.
network=(--only mlp --set models.mlp.batch_norm=true --set models.mlp.clip_norm=1 --set "models.mlp.early_stopping={share: 0.1, patience: 3}")
run mlp-one --threads 1 "${network[@]}"
run mlp-three --threads 3 "${network[@]}"
same "cells of the network for 1 and 3 threads" mlp-one/experiments mlp-three/experiments
same "its bundle and image for 1 and 3 threads" mlp-one/artifacts mlp-three/artifacts
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
