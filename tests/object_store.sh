#!/usr/bin/env bash
# A grid whose run lies in an object store (moto's S3 server, from PyPI) ends with the bytes of `train`, however it is
# shared, killed, done twice and damaged; so does one whose tables lie there; refusals by exit code:
# `tests/object_store.sh FRAUDML WORK_FOLDER [--measure]`. Every shard has a cache of its own, as on a machine of its own, and no data files. `--measure` times 1,014 cells, on disk
# and in the store: what the hook adds to a cell, and a finished run collected again.
set -euo pipefail
fraudml=$(realpath "$1") here=$(realpath "$(dirname "$0")") measure=${3:-}
mkdir -p "$2" && cd "$2"
. "$here/moto.sh"
need_store pyarrow
trap end_store EXIT

cat > store.py <<'PYTHON'
"""same URL FOLDER: the store holds what `train` left in a folder, byte for byte. cut URL FILE: the first cell's file loses half."""
import os, pathlib, sys
import boto3

what, url, name = sys.argv[1:]
bucket, prefix = url.removeprefix("s3://").split("/", 1)
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + "/")
keys = sorted(found["Key"] for page in pages for found in page.get("Contents", []))
body = lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read()
if what == "cut":
    key = next(key for key in keys if "/cells/" in key and key.endswith(name))
    whole = body(key)
    s3.put_object(Bucket=bucket, Key=key, Body=whole[: len(whole) // 2])
    sys.exit()
# Times, the machine, the plan, its table and parts of forests stand outside of what must be equal.
counts = lambda path: not path.name.startswith(("tim", "plan.json", "table.")) and path.name != "run.json" and "trees" not in path.parts
root = pathlib.Path(name)
run = next(path.parent.name for path in root.glob("experiments/*/leaderboard.json"))
def home(key):
    folder, *rest = key.split("/")
    if folder == "cells": return pathlib.Path("experiments", key)
    if folder == "reports" and rest: return pathlib.Path("reports", run, *rest)
    return pathlib.Path(key) if folder == "artifacts" else pathlib.Path("experiments", run, key)
there = {home(key.removeprefix(prefix + "/")): key for key in keys}
there = {path: key for path, key in there.items() if counts(path)}
here = {path.relative_to(root): path for top in ("experiments", "artifacts", "reports") for path in (root / top).rglob("*") if path.is_file()}
here = {path: file for path, file in here.items() if counts(path)}
wrong = sorted(map(str, set(here) ^ set(there))) + [str(path) for path in set(here) & set(there) if here[path].read_bytes() != body(there[path])]
sys.exit(f"these differ, or are on one side alone: {wrong}" if wrong else 0)
PYTHON
same() { venv/bin/python store.py same "$1" whole; }
ends() { # expected exit code, what is said, command..
  local expected=$1 said=$2 code=0; shift 2
  "$@" > told.txt 2>&1 || code=$?
  if [ "$code" != "$expected" ] || ! grep -q -- "$said" told.txt || grep -q "$AWS_SECRET_ACCESS_KEY" told.txt; then
    echo "expected exit code $expected and \`$said\`, found $code:"; cat told.txt; exit 1
  fi
}
on() { # cache, arguments: as a machine with that cache
  local cache=$1; shift
  FRAUDML_CACHE=$caches/$cache "$fraudml" "$@" --quiet --no-progress > /dev/null
}

caches=$PWD/caches
rm -rf caches whole data gone gone.csv && mkdir whole
"$fraudml" synth --rows 1500 --seed 5 --out data --quiet
cat > config.yaml <<'YAML'
name: remote
data:
  tables: [ { path: data/train_transaction.csv }, { path: data/train_identity.csv, join: { on: TransactionID, how: left } } ]
  target: isFraud
  id: TransactionID
  time: TransactionDT
split: { folds: 2 }
imbalance: [ raw, oversample: { target_share: 0.4 } ]
models:
  random-forest: { trees: 10 }
  mlp: { hidden: [16], epochs: 2 }
YAML
(cd whole && ln -s ../data data && "$fraudml" train --config ../config.yaml --quiet --no-progress > /dev/null)
for shards in 1 2 7; do on "plan-$shards" plan --config config.yaml --run "s3://runs/of-$shards"; done
for other in twice killed cut; do on "plan-$other" plan --config config.yaml --run "s3://runs/$other"; done
ends 2 'another plan' on plan-other plan --config config.yaml --set seed=9 --run s3://runs/of-1
on plan-trees plan --config config.yaml --run s3://runs/trees --trees-per-cell 3
# From here on nobody has the data.
mv data gone

for shards in 1 2 7; do
  for shard in $(seq 0 $((shards - 1))); do on "of-$shards-$shard" cell --run "s3://runs/of-$shards" --shard "$shard/$shards"; done
  on "of-$shards-collect" collect --run "s3://runs/of-$shards"
  same "s3://runs/of-$shards"
  echo "$shards shards: the same bytes"
done

for shard in 0 1 2; do on "trees-$shard" cell --run s3://runs/trees --shard "$shard/3"; done
on trees-collect collect --run s3://runs/trees
same s3://runs/trees
echo "forests in parts of three trees: the same bytes"

on twice-1 cell --run s3://runs/twice --shard 0/1 & first=$!
on twice-2 cell --run s3://runs/twice --shard 0/1
wait "$first"
on twice-3 collect --run s3://runs/twice --watch
same s3://runs/twice
echo "every cell made twice at once: the same bytes"

# Half of the cells, so that some are missing on the fastest machine too.
for wait in 0.1 0.3 0.6; do
  FRAUDML_CACHE=caches/killed-$wait "$fraudml" cell --run s3://runs/killed --shard 0/2 --quiet --no-progress & victim=$!
  sleep "$wait"
  kill -9 "$victim" 2> /dev/null || true
  wait "$victim" 2> /dev/null || true
done
ends 75 'are missing' on killed-collect collect --run s3://runs/killed
on killed-again cell --run s3://runs/killed --shard 0/1
on killed-collect collect --run s3://runs/killed
same s3://runs/killed
echo "killed three times and done elsewhere: the same bytes"

on cut cell --run s3://runs/cut --shard 0/1
for file in scores.parquet model.safetensors cell.json; do
  venv/bin/python store.py cut s3://runs/cut "$file"
  ends 75 '1 of .* cells are missing' on "cut-look-$file" collect --run s3://runs/cut
  FRAUDML_CACHE=caches/cut-$file "$fraudml" cell --run s3://runs/cut --shard 0/1 --no-progress 2>&1 | grep -q '1 cells done'
done
venv/bin/python store.py cut s3://runs/cut scores.parquet
# Who has it still brings it there.
FRAUDML_CACHE=caches/cut-cell.json "$fraudml" cell --run s3://runs/cut --shard 0/1 --no-progress 2>&1 | grep -q '0 cells done'
on cut-collect collect --run s3://runs/cut
same s3://runs/cut
echo "cut files are noticed and made again: the same bytes"

ends 2 'has no plan.json' on none cell --run s3://runs/nothing --shard 0/1
ends 2 'expected `I/N`' on none cell --run s3://runs/of-1 --shard 3/3
ends 2 'bucket does not exist' on none cell --run s3://no-such-bucket/run --shard 0/1
ends 2 'no credentials' env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY AWS_METADATA_ENDPOINT=http://127.0.0.1:1 FRAUDML_CACHE=caches/none "$fraudml" cell --run s3://runs/of-1 --shard 0/1
ends 75 "can't be read" env AWS_ENDPOINT_URL=http://127.0.0.1:1 FRAUDML_CACHE=caches/none "$fraudml" cell --run s3://runs/of-1 --shard 0/1
echo "refusals: told apart by exit code"
ends 0 'finished already' env FRAUDML_CACHE=caches/of-1-collect "$fraudml" collect --run s3://runs/of-1

. "$here/store_tables.sh"

[ "$measure" = --measure ] || exit 0
now() { date +%s%N; }
{
  printf 'name: many\ndata: { tables: [ { path: ../small.csv } ], target: fraud, id: id }\nsplit: { protocols: [random], folds: 25 }\n'
  printf 'models: { random-forest: { trees: 1 }, extra-trees: { trees: 1 } }\nimbalance:\n  - raw\n'
  for case in $(seq 18); do printf '  - oversample: { name: o%s, target_share: 0.%s }\n' "$case" "$((200 + case))"; done
} > many.yaml
awk 'BEGIN { print "id,fraud,a,b"; for (i = 0; i < 1000; i++) printf "%d,%d,%d,%d\n", i, i % 8 == 0, i * 37 % 101 + 25 * (i % 8 == 0), i * 53 % 89 }' > small.csv
rm -rf disk && mkdir disk
(cd disk && "$fraudml" plan --config ../many.yaml --quiet --no-progress)
each() { # what is said, command..: twenty shards of one cell each, with the program's start, reading and fit
  local said=$1 begun; shift
  begun=$(now)
  for shard in $(seq 0 19); do "$@" --shard "$shard/1014"; done
  echo "$said, a process for each of twenty cells: $((($(now) - begun) / 20000000)) ms a cell"
}
took() { # what is said, command..
  local said=$1 begun; shift
  begun=$(now); "$@" > /dev/null; echo "$said: $((($(now) - begun) / 1000000)) ms"
}
(
  cd disk
  here() { "$fraudml" "$@" --quiet --no-progress; }
  each "on disk" here cell --run many
  took "on disk, the other 994 in one process" here cell --run many --shard 0/1
  here collect --run many > /dev/null
  took "on disk, a finished run collected again" here collect --run many
  on many plan --config ../many.yaml --run s3://runs/many
  mv ../small.csv ../gone.csv
)
each "in the store, with a cache" on many cell --run s3://runs/many
took "in the store, the other 994 in one process" on many cell --run s3://runs/many --shard 0/1
took "in the store, nothing left to do, with a cache" on many cell --run s3://runs/many --shard 0/1
took "in the store, nothing left to do, without a cache" on many-2 cell --run s3://runs/many --shard 0/1
on many-2 collect --run s3://runs/many
took "in the store, a finished run collected again, without a cache" on many-3 collect --run s3://runs/many
