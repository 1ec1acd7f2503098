#!/usr/bin/env bash
# The grid with one thread and with two: same bundle id, same cells, same image. $1: the binary, $2: a work folder.
# The network runs at one fixed thread count, twice, for its bytes are stated per thread count. Prints `N passed, N failed`.
set -euo pipefail
fraudml=$(realpath "$1")
mkdir -p "$2" && cd "$2"
passed=0 failed=0
same() { # what, folder, folder
  if diff -r -x run.json -x config.yaml -x timings.jsonl "$2" "$3"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "failed: $1 differ"; fi
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
forests=(--only random-forest,extra-trees,logistic)
run one --threads 1 "${forests[@]}"
run two --threads 2 "${forests[@]}"
same "cells and leaderboard for 1 and 2 threads" one/experiments two/experiments
same "bundle and image for 1 and 2 threads" one/artifacts two/artifacts
same "reports for 1 and 2 threads" one/reports two/reports
run mlp-a --threads 2 --only mlp
run mlp-b --threads 2 --only mlp
same "mlp cells at one thread count" mlp-a/experiments mlp-b/experiments
same "mlp bundle and image at one thread count" mlp-a/artifacts mlp-b/artifacts
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
