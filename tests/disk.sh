#!/usr/bin/env bash
# A disk that fills up while a run is trained, and one that can't be written: `tests/disk.sh FRAUDML WORK_FOLDER`. Both say so
# in words; after room was made the run goes on and ends with the bytes of one that had room. Mounts a tmpfs: needs root.
set -euo pipefail
fraudml=$(realpath "$1")
mkdir -p "$2" && cd "$2"
mkdir -p small roomy
if ! mount -t tmpfs -o size=700k,mode=755 tmpfs small 2> mount.txt; then
  echo "NOT RUN: no tmpfs can be mounted here ($(cat mount.txt))"
  exit 0
fi
trap 'umount small' EXIT
"$fraudml" synth --rows 2000 --seed 5 --out data --quiet
printf '%s' "name: disk
data: { tables: [ { path: data/train_transaction.csv } ], target: isFraud, id: TransactionID, time: TransactionDT }
split: { folds: 2 }
imbalance: [ raw, class-weights ]
models: { random-forest: { trees: 20 }, extra-trees: { trees: 20 } }
" > c.yaml
# train FOLDER OUTPUT: the exit code, for any of them.
train() {
  local code=0
  "$fraudml" train --config c.yaml --quiet --set "output.experiments=$1/experiments" --set "output.reports=$1/reports" \
    --set "output.artifacts=$1/artifacts" > /dev/null 2> "$2" || code=$?
  echo "$code"
}
# All that must be equal; `config.yaml` names the folders, and so do reports.
lasting() { (cd "$1" && find experiments artifacts -type f ! -name run.json ! -name timings.jsonl ! -name times.csv ! -name config.yaml -print0 | sort -z | xargs -0 sha256sum); }

[ "$(train roomy roomy.txt)" = 0 ] || { cat roomy.txt; exit 1; }
code=$(train small full.txt)
cat full.txt
[ "$code" = 1 ] || { echo "a full disk: exit code $code, expected 1"; exit 1; }
grep -q '^error: `.*no space left on device' full.txt && grep -q '^hint: .*free space' full.txt
mount -o remount,ro small
code=$(train small read-only.txt)
cat read-only.txt
[ "$code" = 2 ] || { echo "a read-only disk: exit code $code, expected 2"; exit 1; }
grep -q '^error: `.*read-only file system' read-only.txt
mount -o remount,rw,size=500m small
[ "$(train small again.txt)" = 0 ] || { cat again.txt; exit 1; }
diff <(lasting roomy) <(lasting small)
echo "full and read-only disks are told, and the run ended with the same bytes"
