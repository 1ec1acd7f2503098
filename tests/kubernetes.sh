#!/usr/bin/env bash
# What `submit --engine kubernetes` writes is valid, for a run on a volume and for one in an object store, and the trainer image
# does the shards as those manifests start it (user 65532, no capabilities, no new privileges): `tests/kubernetes.sh FRAUDML WORK`.
# `kubernetes-validate --strict` knows the API without a cluster; Docker builds the image without a base; moto is the store.
set -euo pipefail
fraudml=$(realpath "$1") here=$(realpath "$(dirname "$0")")
mkdir -p "$2" && cd "$2"
. "$here/dockerd.sh"
need_docker "$PWD"
. "$here/moto.sh"
trap 'end_store; end_docker' EXIT
need_store kubernetes-validate
export FRAUDML_CACHE=$PWD/cache

rm -rf work cache && mkdir -m 777 work && cd work
"$fraudml" synth --rows 1500 --seed 5 --out data --quiet
cat > config.yaml <<'YAML'
name: cluster
data: { tables: [ { path: data/train_transaction.csv } ], target: isFraud, id: TransactionID, time: TransactionDT }
split: { folds: 2 }
imbalance: [ raw ]
models: { random-forest: { trees: 10 } }
YAML
"$fraudml" plan --config config.yaml --quiet --no-progress
"$fraudml" plan --config config.yaml --run s3://runs/cluster --quiet --no-progress
folder=$(dirname experiments/*/plan.json)
"$fraudml" submit --run "$folder" --engine kubernetes --shards 2 --cores 1 --image fraudml-trainer:test > volume.yaml
"$fraudml" submit --run s3://runs/cluster --engine kubernetes --shards 2 --cores 1 --image fraudml-trainer:test > store.yaml
sed -i '/^nothing was sent/d' volume.yaml store.yaml
../venv/bin/kubernetes-validate --strict volume.yaml store.yaml
grep -q 'persistentVolumeClaim' volume.yaml && grep -q 'secretRef: { name: "fraudml-store" }' store.yaml
if grep -q "$AWS_SECRET_ACCESS_KEY" volume.yaml store.yaml; then echo "a secret stands in a manifest"; exit 1; fi
# The check can fail: a key that the API does not know.
sed 's/completionMode/completionMood/' store.yaml > wrong.yaml
if ../venv/bin/kubernetes-validate --strict wrong.yaml > /dev/null 2>&1; then echo "a wrong manifest is valid"; exit 1; fi

"$here/../docker/trainer.sh" "$fraudml" fraudml-trainer:test > build.log 2>&1
chmod -R a+rwX .
pod() { # docker's arguments -- those of the program
  local of_docker=()
  while [ "$1" != -- ]; do of_docker+=("$1"); shift; done
  docker run --rm --network host --user 65532:65532 --cap-drop ALL --security-opt no-new-privileges "${of_docker[@]}" fraudml-trainer:test "${@:2}"
}
volume=(-v "$PWD:/work" -w /work)
store=(--tmpfs /cache:rw,mode=1777,uid=65532 -w /cache -e FRAUDML_CACHE=/cache)
for name in AWS_ENDPOINT_URL AWS_ALLOW_HTTP AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY; do store+=(-e "$name"); done
for index in 0 1; do
  pod "${volume[@]}" -e JOB_COMPLETION_INDEX=$index -- --no-progress cell --run "$folder" --shard 2
  pod "${store[@]}" -e JOB_COMPLETION_INDEX=$index -- --no-progress cell --run s3://runs/cluster --shard 2
done
pod "${volume[@]}" -- --quiet --no-progress collect --watch --run "$folder" > /dev/null
pod "${store[@]}" -- --quiet --no-progress collect --watch --run s3://runs/cluster > /dev/null
../venv/bin/python -c 'import boto3, sys; sys.stdout.buffer.write(boto3.client("s3", endpoint_url=sys.argv[1]).get_object(Bucket="runs", Key="cluster/leaderboard.json")["Body"].read())' \
  "$AWS_ENDPOINT_URL" | cmp - "$folder/leaderboard.json"
code=0; pod "${store[@]}" -e JOB_COMPLETION_INDEX=7 -- cell --run s3://runs/cluster --shard 2 2> /dev/null || code=$?
[ "$code" = 2 ] || { echo "a shard out of range must end with 2, found $code"; exit 1; }
echo "valid manifests, and the image does what they ask of it: the same leaderboard on a volume and in a store"
