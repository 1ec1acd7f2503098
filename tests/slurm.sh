#!/usr/bin/env bash
# A grid on Slurm, with a node that dies in the middle, ends with the bytes of `train`: `tests/slurm.sh FRAUDML WORK_FOLDER [CSV.ZST]`.
# Controller and two nodes on this machine, each node a network namespace with a host name of its own (needs root, slurm-wlm,
# munge, iproute2; ends what it started, by id). The grid is that of creditcard.csv's frauds and some of its other rows, or of
# `synth` without that file. Slurm holds a requeued task for two minutes: it is let go at once, as an operator would.
set -euo pipefail
source "$(dirname "$(realpath "$0")")/lasting.sh"
fraudml=$(realpath "$1") data=${3:+$(realpath "$3")}
mkdir -p "$2" && cd "$2"
work=$PWD
[ -n "$(command -v slurmctld)" ] && [ -n "$(command -v zstdcat)" ] && [ -n "$(command -v ip)" ] || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq slurm-wlm munge iproute2 zstd; } > apt.log 2>&1
started=() namespaces=()
end() {
  for namespace in "${namespaces[@]}"; do
    # Whatever still runs inside was started there.
    for pid in $(ip netns pids "$namespace"); do kill -9 "$pid" 2> /dev/null || true; done
    ip netns del "$namespace" || true
    ip link del "veth-$namespace" 2> /dev/null || true
  done
  for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || true; done
}
trap end EXIT

rm -rf whole shared slurm && mkdir -p whole shared/bin slurm/state
if [ -n "$data" ]; then
  # All frauds and every eighth of the others.
  zstdcat "$data" | awk -F, 'NR == 1 || $NF ~ /1/ || NR % 8 == 0' > shared/data.csv
  columns='target: Class, time: Time, amount: Amount'
else
  "$fraudml" synth --rows 6000 --seed 5 --out synth --quiet && cp synth/train_transaction.csv shared/data.csv
  columns='target: isFraud, id: TransactionID, time: TransactionDT'
fi
cat > shared/config.yaml <<YAML
name: slurm
data: { tables: [ { path: data.csv } ], $columns }
split: { folds: 3 }
imbalance: [ raw, class-weights ]
models:
  random-forest: { trees: 150 }
  extra-trees: { trees: 150 }
YAML
cp shared/data.csv shared/config.yaml whole/
(cd whole && "$fraudml" train --config config.yaml --quiet --no-progress > /dev/null)

ln -s "$fraudml" shared/bin/fraudml
dd if=/dev/urandom of=slurm/munge.key bs=64 count=1 status=none && chmod 600 slurm/munge.key
cat > slurm/slurm.conf <<CONF
ClusterName=fraudml
SlurmctldHost=$(hostname -s)(10.77.1.1)
AuthType=auth/munge
AuthInfo=socket=$work/slurm/munge.socket
CredType=cred/munge
SlurmUser=root
StateSaveLocation=$work/slurm/state
SlurmctldPidFile=$work/slurm/slurmctld.pid
SlurmctldLogFile=$work/slurm/slurmctld.log
SlurmdSpoolDir=$work/slurm/spool-%n
SlurmdPidFile=$work/slurm/slurmd-%n.pid
SlurmdLogFile=$work/slurm/slurmd-%n.log
SlurmdTimeout=15
ReturnToService=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
MpiDefault=none
NodeName=node1 NodeAddr=10.77.1.2 NodeHostname=node1 CPUs=1 RealMemory=6000
NodeName=node2 NodeAddr=10.77.2.2 NodeHostname=node2 CPUs=1 RealMemory=6000
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
export SLURM_CONF=$work/slurm/slurm.conf PATH=$work/shared/bin:$PATH
(cd slurm && exec munged --force --foreground --key-file="$work/slurm/munge.key" --socket="$work/slurm/munge.socket" --pid-file="$work/slurm/munged.pid" \
  --seed-file="$work/slurm/munge.seed" --log-file="$work/slurm/munged.log" > munged.txt 2>&1) & started+=($!)
for node in 1 2; do
  ip netns add "fraudml-$node" && namespaces+=("fraudml-$node")
  ip link add "veth-fraudml-$node" type veth peer name wire netns "fraudml-$node"
  ip addr add "10.77.$node.1/24" dev "veth-fraudml-$node" && ip link set "veth-fraudml-$node" up
  ip -n "fraudml-$node" addr add "10.77.$node.2/24" dev wire
  ip -n "fraudml-$node" link set wire up && ip -n "fraudml-$node" link set lo up
  ip -n "fraudml-$node" route replace default via "10.77.$node.1"
done
slurmctld -D > slurm/controller.txt 2>&1 & started+=($!)
for node in 1 2; do
  nsenter --net="/run/netns/fraudml-$node" unshare --uts sh -c "hostname node$node && exec slurmd -D -f '$SLURM_CONF'" > "slurm/node$node.txt" 2>&1 &
  started+=($!)
done
for _ in $(seq 150); do [ "$(sinfo -h -o %D -t idle 2> /dev/null)" = 2 ] && break; sleep 0.2; done
[ "$(sinfo -h -o %D -t idle)" = 2 ] || { echo "the nodes do not come up"; tail -5 slurm/*.log slurm/*.txt; exit 1; }
echo "two nodes are up"

cd shared
fraudml plan --config config.yaml --quiet --no-progress
rm data.csv
run=$(basename "$(dirname experiments/*/plan.json)")
fraudml submit --run "$run" --engine slurm --shards 8 --cores 1 --go --quiet > /dev/null
cells() { (ls experiments/cells/*/cell.json 2> /dev/null || true) | wc -l; }
for _ in $(seq 600); do [ "$(cells)" -ge 6 ] && [ -n "$(squeue -h -w node2 -t running -o %i)" ] && break; sleep 0.1; done
victims=$(squeue -h -w node2 -t running -o %i)
[ -n "$victims" ] || { echo "nothing runs on node2"; squeue; exit 1; }
for pid in $(ip netns pids fraudml-2); do kill -9 "$pid"; done
echo "node2 dies with $(cells) cells done, task $victims on it"
planned=$(grep -c '"key"' "experiments/$run/plan.json") requeued=
for _ in $(seq 400); do
  [ -z "$(squeue -h)" ] && break
  for task in $(squeue -h -t pending -o '%i %r' | awk '/BeginTime/ { print $1 }'); do
    scontrol update JobId="$task" StartTime=now && requeued="$requeued $task"
  done
  sleep 0.5
done
[ -n "$requeued" ] || { echo "nothing was requeued"; tail -20 ../slurm/slurmctld.log; exit 1; }
[ "$(cells)" = "$planned" ] && [ -f "experiments/$run/leaderboard.json" ] || { echo "$(cells) of $planned cells, no leaderboard"; squeue; cat slurm-*.out; exit 1; }
lasting "$work/whole" > ../expected.txt
lasting "$work/shared" | diff ../expected.txt - || { echo "other bytes than one machine's"; exit 1; }
echo "requeued$requeued; $planned cells, $(wc -l < ../expected.txt) files: the same bytes"
