#!/usr/bin/env bash
# OpenWhisk's npm clients: tests/npm.sh BUNDLE FRAUDML
#
# `openwhisk` invokes action, sequence and web action of `fraudml serve`, and reads activations. `serverless-openwhisk`
# deploys the emitted serverless.yml to the stand-in for the REST API, which then holds the actions, each with its image.
# Needs node, npm, cargo.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: $0 BUNDLE FRAUDML" >&2; exit 2; }
bundle=$(realpath "$1") fraudml=$(realpath "$2")
cd "$(dirname "$0")/.."
work=$(mktemp -d) pids=()
cleanup() { [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
modules=${NPM_MODULES:-$work}
[ -d "$modules/node_modules/openwhisk" ] || (cd "$modules" && npm init -y >/dev/null && npm install --no-audit --no-fund --silent openwhisk@3.21.9 serverless@3 serverless-openwhisk@0.18.4)
"$fraudml" package --bundle "$bundle" --quiet

"$fraudml" serve --bundle "$bundle" --port 0 >"$work/serve.log" &
pids+=($!)
for _ in $(seq 100); do grep -q serving "$work/serve.log" && break; sleep 0.1; done
cat >"$modules/invoke.js" <<'JS'
const [url, bundle, name] = process.argv.slice(2)
const ow = require('openwhisk')({ apihost: url, api_key: 'a:b' })
const golden = JSON.parse(require('fs').readFileSync(bundle + '/golden.json')).records
const assert = require('assert')
const main = async () => {
  for (const { record, predict } of golden) {
    for (const action of ['score', 'pipeline']) {
      const result = await ow.actions.invoke({ name: `${name}/${action}`, blocking: true, result: true, params: record })
      assert.strictEqual(result.score, predict.score, action)
    }
  }
  const { activationId } = await ow.actions.invoke({ name: `${name}/score`, params: golden[0].record })
  let activation
  for (let i = 0; i < 100 && !activation; i++) {
    activation = await ow.activations.get({ name: activationId }).catch(() => new Promise(done => setTimeout(done, 20)))
  }
  assert.strictEqual(activation.response.result.score, golden[0].predict.score)
  assert.strictEqual(activation.logs.length, 3)
  await assert.rejects(ow.actions.invoke({ name: `${name}/none`, blocking: true }), /does not exist/)
  assert((await ow.actions.list()).length >= 5)
  console.log(`ok      openwhisk: ${golden.length} golden records by score and pipeline`)
}
main().catch(error => { console.error(error); process.exit(1) })
JS
package=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["package"])' "$bundle/openwhisk/image.json")
node "$modules/invoke.js" "$(grep -o 'http://[0-9.:]*' "$work/serve.log" | head -1)" "$bundle" "$package"

port=5061
FRAUDML_STAND_IN=$port cargo test --release --locked --test deploy -- --ignored stand_in >"$work/stand_in.log" 2>&1 &
pids+=($!)
for _ in $(seq 600); do curl -s "http://127.0.0.1:$port/" >/dev/null && break; sleep 0.2; done
mkdir "$work/service" && cp "$bundle/openwhisk/serverless.yml" "$work/service/"
ln -s "$modules/node_modules" "$work/service/node_modules"
auth=23bc46b1-71f6-4ed5-8c54-816aa4f8c502:secret
(cd "$work/service" && HOME=$work OW_AUTH=$auth OW_APIHOST=http://127.0.0.1:$port SLS_TELEMETRY_DISABLED=1 SLS_NOTIFICATIONS_MODE=off \
  npx serverless deploy) >"$work/serverless.log" 2>&1 || { cat "$work/serverless.log"; exit 1; }
curl -s -u "$auth" "http://127.0.0.1:$port/api/v1/namespaces/_/actions" >"$work/actions.json"
python3 - "$work/actions.json" "$bundle/openwhisk/image.json" <<'PY'
import json, sys
actions = {action["name"]: action for action in json.load(open(sys.argv[1]))}
reference = json.load(open(sys.argv[2]))["reference"]
for stage in ["transform", "encode", "predict", "pipeline"]:
    assert actions[stage]["exec"]["image"] == f"{reference}-{stage}", actions[stage]["exec"]
assert [name.split("/")[-1] for name in actions["score"]["exec"]["components"]] == ["transform", "encode", "predict"]
print("ok      serverless-openwhisk: four actions with their images, the sequence over three")
PY
