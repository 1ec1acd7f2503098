#!/usr/bin/env bash
# What the demo promises, looked at from outside: $1 is the folder it ran in. Prints `N passed, N failed`.
set -uo pipefail
cd "$1"
passed=0 failed=0
check() { # what, command..
  if "${@:2}" >/dev/null 2>&1; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "failed: $1"; fi
}
report=$(dirname reports/*/report.html)
bundle=$(dirname artifacts/*/manifest.json)
check "one bundle" test "$(ls -d artifacts/*/ | wc -l)" = 1
rows() { [ "$(grep -c "^random,\($1\)," "$report/table1.csv")" = "$2" ]; }
check "twelve rows of Table I" rows "random-forest\|extra-trees\|mlp" 12
check "the baseline" rows logistic 2
for figure in fig3a fig3b fig3c fig3d fig3e fig3f roc precision_recall confusion_matrix thresholds savings reliability periods; do
  check "$figure.svg" grep -q "</svg>" "$report/$figure.svg"
  check "$figure.png" sh -c "head -c 8 '$report/$figure.png' | od -An -tx1 | grep -q '89 50 4e 47'"
done
for file in report.html report.md report.json model_card.md times.csv table1.csv table1.md table1.json eda.json; do check "$file" test -s "$report/$file"; done
for file in preprocessor.json model.safetensors golden.json openwhisk/image.tar openwhisk/manifest.yaml openwhisk/deploy.sh openwhisk/serverless.yml; do
  check "$file" test -s "$bundle/$file"
done
for file in run.json config.yaml schema.json cells.json leaderboard.json leaderboard.csv splits/random.csv splits/temporal.csv timings.jsonl explanation.json rows/temporal-final.parquet; do
  check "$file" sh -c "test -s experiments/demo-*/$file"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
