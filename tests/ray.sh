#!/usr/bin/env bash
# A grid on Ray, with a node that dies in the middle, ends with the bytes of `train`; and what Ray adds to a cell:
# `tests/ray.sh FRAUDML WORK_FOLDER`. A head and two workers on this machine (`ray[default]` from PyPI: 400 MB, 2 GB of memory,
# half a minute), with a token. Not in `.ci/run`. Ends what it started, by id.
set -euo pipefail
source "$(dirname "$(realpath "$0")")/lasting.sh"
fraudml=$(realpath "$1")
mkdir -p "$2" && cd "$2"
[ -x venv/bin/ray ] || { python3 -m venv venv && venv/bin/pip install -q 'ray[default]'; }
export PATH=$PWD/venv/bin:$PATH RAY_AUTH_MODE=token RAY_AUTH_TOKEN=0123456789abcdef0123456789abcdef
export RAY_DISABLE_IMPORT_WARNING=1 RAY_USAGE_STATS_ENABLED=0 RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=2000
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
gcs=$(free_port) dashboard=$(free_port)
address=http://127.0.0.1:$dashboard
# Every node is a session of its own, so that all it starts can be found and ended.
started=()
# One after the other: nodes of one machine choose the names of their sockets as they start.
node() {
  local log=node${#started[@]}.log
  setsid ray start --block --disable-usage-stats --object-store-memory=80000000 "$@" > "$log" 2>&1 & started+=($!)
  for _ in $(seq 300); do grep -q 'Ray runtime started' "$log" && return; sleep 0.2; done
  echo "a node does not start"; tail -3 "$log"; exit 1
}
of_node() { ps -o pid= --sid "$1"; }
end() { for session in "${started[@]}"; do for pid in $(of_node "$session"); do kill -9 "$pid" 2> /dev/null || true; done; done; }
trap end EXIT

rm -rf whole shared && mkdir whole shared
"$fraudml" synth --rows 6000 --seed 5 --out data --quiet
cat > shared/config.yaml <<'YAML'
name: ray
data: { tables: [ { path: ../data/train_transaction.csv } ], target: isFraud, id: TransactionID, time: TransactionDT }
split: { folds: 3 }
imbalance: [ raw, class-weights ]
models:
  random-forest: { trees: 150 }
  extra-trees: { trees: 150 }
YAML
cp shared/config.yaml whole/
(cd whole && "$fraudml" train --config config.yaml --quiet --no-progress > /dev/null)
now() { date +%s%N; }
begun=$(now)
node --head --port="$gcs" --dashboard-host=127.0.0.1 --dashboard-port="$dashboard" --include-dashboard=true --num-cpus=0
for _ in $(seq 300); do curl -sf -H "Authorization: Bearer $RAY_AUTH_TOKEN" "$address/api/jobs/" -o /dev/null && break; sleep 0.2; done
for _ in 1 2; do node --address="127.0.0.1:$gcs" --num-cpus=1; done
echo "three nodes start: $((($(now) - begun) / 1000000)) ms"

cd shared
"$fraudml" plan --config config.yaml --quiet --no-progress
run=$(basename "$(dirname experiments/*/plan.json)")
cells() { (ls experiments/cells/*/cell.json 2> /dev/null || true) | wc -l; }
planned=$(grep -c '"key"' "experiments/$run/plan.json")
begun=$(now)
job=$("$fraudml" submit --run "$run" --engine ray --shards 8 --cores 1 --address "$address" --go 2>&1 | grep -o 'raysubmit_[A-Za-z0-9]*' | head -1)
echo "job $job"
for _ in $(seq 1200); do [ "$(cells)" -ge 6 ] && break; sleep 0.1; done
[ "$(cells)" -ge 6 ] || { echo "no cells in two minutes"; ray job logs --address "$address" "$job" | tail -5; exit 1; }
for pid in $(of_node "${started[2]}"); do kill -9 "$pid" 2> /dev/null || true; done
echo "a worker dies with $(cells) of $planned cells done"
state() { curl -sf -H "Authorization: Bearer $RAY_AUTH_TOKEN" "$address/api/jobs/$job" | python3 -c 'import json, sys; print(json.load(sys.stdin)["status"])'; }
for _ in $(seq 600); do case $(state) in SUCCEEDED | FAILED | STOPPED) break ;; esac; sleep 0.5; done
[ "$(state)" = SUCCEEDED ] || { echo "the job: $(state)"; ray job logs --address "$address" "$job" | tail -20; exit 1; }
echo "the whole job with a dead node: $((($(now) - begun) / 1000000)) ms"
lasting ../whole > ../expected.txt
lasting . | diff ../expected.txt - || { echo "other bytes than one machine's"; exit 1; }
echo "$planned cells, $(wc -l < ../expected.txt) files: the same bytes"

# What Ray adds: the same job when nothing is left to do, as one shard and as many as there are cells, on the worker that is left.
idle() { # shards: milliseconds of the job
  local begun=$(now)
  job=$("$fraudml" submit --run "$run" --engine ray --shards "$1" --cores 1 --address "$address" --go 2>&1 | grep -o 'raysubmit_[A-Za-z0-9]*' | head -1)
  for _ in $(seq 600); do case $(state) in SUCCEEDED | FAILED | STOPPED) break ;; esac; sleep 0.1; done
  [ "$(state)" = SUCCEEDED ] || { echo "a job with nothing to do: $(state)" >&2; exit 1; }
  echo $((($(now) - begun) / 1000000))
}
one=$(idle 1) all=$(idle "$planned")
echo "with nothing to do: a job of one shard $one ms, of $planned shards $all ms, so $(((all - one) / (planned - 1))) ms a shard"
begun=$(now)
for shard in $(seq 0 9); do "$fraudml" cell --run "$run" --shard "$shard/$planned" --quiet --no-progress > /dev/null; done
echo "of them the program itself, with nothing to do: $((($(now) - begun) / 10000000)) ms"
